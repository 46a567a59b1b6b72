Object.defineProperty(window, '__slice', { value: Object.freeze({ call }) });

const start = () => { if (WPP.isReady === true) register(); else setTimeout(start, POLL_MS); };
start();
return true;
