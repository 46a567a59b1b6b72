// What the device knows, in IndexedDB. Writes are strict: they are on the disk
// before they count as done, so that a login survives a killed browser.

const NAME = 'whatsapp-stand-in';
const VERSION = 2;
const STORES = ['state', 'chats', 'contacts', 'messages'];

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export class Database {
  #db;

  static async open() {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion === 0) {
        request.result.createObjectStore('state');
        for (const store of STORES.slice(1)) request.result.createObjectStore(store, { keyPath: 'id' });
        return;
      }
      // Contacts were names only: everything is asked for once more.
      request.transaction.objectStore('contacts').clear();
      request.transaction.objectStore('state').put(0, 'cursor');
    };
    const database = new Database();
    database.#db = await done(request);
    return database;
  }

  #write(use, durability = 'strict') {
    return new Promise((resolve, reject) => {
      const transaction = this.#db.transaction(STORES, 'readwrite', { durability });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      use((name) => transaction.objectStore(name));
    });
  }

  async load() {
    const transaction = this.#db.transaction(STORES);
    const state = transaction.objectStore('state');
    const [keys, values, ...records] = await Promise.all([
      done(state.getAllKeys()),
      done(state.getAll()),
      ...['contacts', 'chats', 'messages'].map((name) => done(transaction.objectStore(name).getAll())),
    ]);
    const [contacts, chats, messages] = records;
    return { state: Object.fromEntries(keys.map((key, i) => [key, values[i]])), contacts, chats, messages };
  }

  // All in one transaction: a cursor is never ahead of what it stands for.
  // What comes before another write need not wait for the disk.
  put({ state = {}, contacts = [], chats = [], messages = [] }, durability) {
    return this.#write((store) => {
      for (const [key, value] of Object.entries(state)) store('state').put(value, key);
      for (const [name, records] of Object.entries({ contacts, chats, messages })) {
        for (const record of records) store(name).put(record);
      }
    }, durability);
  }

  removeMessage(id) {
    return this.#write((store) => store('messages').delete(id));
  }

  clear() {
    return this.#write((store) => STORES.forEach((name) => store(name).clear()));
  }
}
