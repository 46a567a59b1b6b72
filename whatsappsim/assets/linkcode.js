// Linking with a code that is typed on the phone: wa-js's managed flow.

const REFRESHES = 5; // before somebody must ask for the next code

export class LinkCode {
  #session;
  #events;
  #phone = null;
  #code = null;
  #waiting = null; // {promise, resolve, reject} of the code that was asked for
  #refreshes = 0;
  #timer;

  constructor(session, events) {
    this.#session = session;
    this.#events = events;
    for (const event of ['conn.authenticated', 'conn.logout']) events.on(event, () => this.cancel());
  }

  async start(phone) {
    if (this.#phone === phone) {
      if (this.#code) return this.#code;
      if (this.#waiting) return this.#waiting.promise;
    } else {
      this.cancel();
    }
    this.#phone = phone;
    this.#refreshes = 0;
    return this.#ask();
  }

  async refresh() {
    if (!this.#phone) throw new Error('No phone linking flow is active');
    if (this.#waiting) await this.#waiting.promise;
    clearTimeout(this.#timer);
    this.#code = null;
    return this.#ask();
  }

  cancel() {
    clearTimeout(this.#timer);
    if (this.#phone) this.#session.sendPairing({ type: 'link_code_cancel' });
    this.#phone = null;
    this.#code = null;
    this.#waiting = null;
    this.#refreshes = 0;
  }

  #ask() {
    if (this.#waiting) return this.#waiting.promise;
    this.#waiting = Promise.withResolvers();
    this.#session.sendPairing({ type: 'link_code', phone: this.#phone });
    return this.#waiting.promise;
  }

  // A frame of the server that is about the code.
  frame({ type, code, lifetime, error }) {
    if (!this.#phone) return;
    if (type === 'link_code_error') {
      this.#fail(new Error(error ?? 'WhatsApp Web reported an alternative linking error'));
      return;
    }
    this.#code = code;
    this.#waiting?.resolve(code);
    this.#waiting = null;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#expired(), lifetime);
    this.#events.emit('conn.link_code_change', code);
  }

  // The server forgets a code with the connection.
  closed() {
    if (this.#code || this.#waiting) this.#fail(new Error('The connection was lost'));
  }

  #expired() {
    this.#code = null;
    if (this.#refreshes >= REFRESHES) {
      this.#events.emit('conn.link_code_expired');
      return;
    }
    this.#refreshes += 1;
    this.#ask().catch(() => {});
  }

  #fail(error) {
    clearTimeout(this.#timer);
    this.#code = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#events.emit('conn.link_code_error', error);
    waiting?.reject(error);
  }
}
