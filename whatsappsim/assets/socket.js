// The connection to the server: reconnects with back-off until it is stopped,
// and repeats the requests that had no answer.

const FIRST_DELAY = 500; // ms
const MAX_DELAY = 10_000;
const SILENCE = 60_000; // ms without a frame: the server says "alive" every 20 s

export class Socket {
  #handlers;
  #ws = null;
  #stopped = true;
  #delay = FIRST_DELAY;
  #timer;
  #watchdog;
  #ready = false;
  #requests = new Map();
  #last = 0;

  // handlers: hello() returns the first frame; frame(f), closed().
  constructor(handlers) {
    this.#handlers = handlers;
    addEventListener('online', () => this.#now());
    addEventListener('offline', () => this.#ws?.close());
  }

  start() {
    this.#stopped = false;
    this.#delay = FIRST_DELAY;
    this.#open();
  }

  // Requests without an answer are given up.
  stop() {
    this.#stopped = true;
    this.#ready = false;
    clearTimeout(this.#timer);
    this.#ws?.close();
    for (const { reject } of this.#requests.values()) reject(new Error('disconnected'));
    this.#requests.clear();
  }

  #now() {
    if (this.#stopped || this.#ws) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  #open() {
    const ws = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/device`);
    this.#ws = ws;
    ws.onopen = () => {
      this.#watch();
      ws.send(JSON.stringify(this.#handlers.hello()));
    };
    ws.onmessage = ({ data }) => {
      if (ws !== this.#ws) return;
      this.#watch();
      this.#receive(JSON.parse(data));
    };
    ws.onclose = () => {
      if (ws !== this.#ws) return;
      this.#ws = null;
      this.#ready = false;
      clearTimeout(this.#watchdog);
      this.#handlers.closed();
      if (this.#stopped || this.#ws) return;
      // Spread out, so that devices do not all come back at once.
      this.#timer = setTimeout(() => this.#open(), this.#delay * (0.5 + Math.random() / 2));
      this.#delay = Math.min(2 * this.#delay, MAX_DELAY);
    };
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#ws?.close(), SILENCE);
  }

  #receive(frame) {
    if (frame.type === 'result') {
      const request = this.#requests.get(frame.n);
      this.#requests.delete(frame.n);
      if (frame.error) request?.reject(new Error(frame.error));
      else request?.resolve(frame);
      return;
    }
    if (frame.type === 'welcome') {
      this.#delay = FIRST_DELAY;
      this.#ready = true;
      for (const { frame: waiting } of this.#requests.values()) this.send(waiting);
    }
    this.#handlers.frame(frame);
  }

  send(frame) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(frame));
  }

  // Resolves with the result; waits for a connection if there is none.
  request(frame) {
    return new Promise((resolve, reject) => {
      frame = { ...frame, n: ++this.#last };
      this.#requests.set(frame.n, { frame, resolve, reject });
      if (this.#ready) this.send(frame);
    });
  }
}
