// The slice's part inside the page: it turns WPP's events and models into plain
// JSON for the Go side. The files of this folder are one function's body, joined
// in the order of script.go. Evaluated after each page load; evaluating it again
// changes nothing.
'use strict';
if (window.__slice) return true;
const { WPP } = window;
if (!WPP) throw new Error('the page has no WPP');

const BINDING = '__sliceEvent';
const POLL_MS = 50; // until WPP is ready
const LOOKUP_MS = 3000; // for what may wait for a connection

// What the Go side can call; each file adds to it.
const api = {};

// Refusal is an error with a code, as WPP's own are.
class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const emit = (type, data) => {
  try { window[BINDING](JSON.stringify({ type, ...data })); } catch { /* the browser is going down */ }
};
const attempt = (f, fallback) => {
  try { const v = f(); return v === undefined || v === null ? fallback : v; } catch { return fallback; }
};
// Resolves with null when f fails or takes too long.
const lookUp = (f) => Promise.race([
  Promise.resolve(attempt(f, null)).catch(() => null),
  new Promise((resolve) => { setTimeout(resolve, LOOKUP_MS, null); }),
]);

const str = (v) => (typeof v === 'string' ? v : '');
const num = (v) => (typeof v === 'number' && Number.isFinite(v) ? v : 0);
// Ids are models with _serialized, or strings already.
const id = (v) => (!v ? '' : typeof v === 'string' ? v : str(v._serialized) || String(v));

// A refusal of WPP's has a code; the Go side tells it from a failure.
const call = async (name, args) => {
  try {
    return { value: (await api[name](...args)) ?? null };
  } catch (error) {
    if (typeof error?.code !== 'string') throw error;
    return { code: error.code, message: str(error.message) };
  }
};
