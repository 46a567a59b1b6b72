// The part of eventemitter2 that is in use.
export class Emitter {
  #listeners = new Map();

  on(event, listener) {
    if (typeof listener !== 'function') throw new TypeError('the listener must be a function');
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  once(event, listener) {
    const once = (...args) => {
      this.off(event, once);
      listener(...args);
    };
    once.listener = listener;
    return this.on(event, once);
  }

  off(event, listener) {
    const rest = (this.#listeners.get(event) ?? []).filter((l) => l !== listener && l.listener !== listener);
    this.#listeners.set(event, rest);
    return this;
  }

  // One failing listener must not stop the others or the connection.
  emit(event, ...args) {
    const listeners = this.#listeners.get(event) ?? [];
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        console.error(`listener of ${event}:`, error);
      }
    }
    return listeners.length > 0;
  }
}
