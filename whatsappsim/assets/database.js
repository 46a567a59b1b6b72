// What the device knows, in IndexedDB. Writes are strict: they are on the disk
// before they count as done, so that a login survives a killed browser.

const NAME = 'whatsapp-stand-in';
const VERSION = 1;
const STORES = ['state', 'chats', 'contacts', 'messages'];

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export class Database {
  #db;

  static async open() {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('state');
      for (const store of STORES.slice(1)) request.result.createObjectStore(store, { keyPath: 'id' });
    };
    const database = new Database();
    database.#db = await done(request);
    return database;
  }

  #write(use) {
    return new Promise((resolve, reject) => {
      const transaction = this.#db.transaction(STORES, 'readwrite', { durability: 'strict' });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      use((name) => transaction.objectStore(name));
    });
  }

  async load() {
    const transaction = this.#db.transaction(STORES);
    const state = transaction.objectStore('state');
    const [keys, values, chats, messages] = await Promise.all([
      done(state.getAllKeys()),
      done(state.getAll()),
      done(transaction.objectStore('chats').getAll()),
      done(transaction.objectStore('messages').getAll()),
    ]);
    return { state: Object.fromEntries(keys.map((key, i) => [key, values[i]])), chats, messages };
  }

  // All in one transaction: a cursor is never ahead of what it stands for.
  put({ state = {}, chats = [], messages = [] }) {
    return this.#write((store) => {
      for (const [key, value] of Object.entries(state)) store('state').put(value, key);
      for (const chat of chats) {
        store('chats').put(chat);
        store('contacts').put({ id: chat.id, pushname: chat.name });
      }
      for (const message of messages) store('messages').put(message);
    });
  }

  clear() {
    return this.#write((store) => STORES.forEach((name) => store(name).clear()));
  }
}
