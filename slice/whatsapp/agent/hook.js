// Runs before anything of the page. There is no authenticator in a slice's
// browser: when the page asks for a passkey, the request is kept for the Go side
// instead, which shows it to the person and may bring an answer. Browsers have
// navigator.credentials only in pages of https and of this machine.
(() => {
  'use strict';
  const container = navigator.credentials;
  if (!container || window.__slicePasskey) return;
  const MAX_MS = 600000;
  const state = { request: null, changed: () => {} };
  Object.defineProperty(window, '__slicePasskey', { value: state });

  const encode = (buffer) => {
    const bytes = ArrayBuffer.isView(buffer) ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array(buffer);
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  };
  const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)).buffer;

  // What the browser itself would have returned, from its JSON form (WebAuthn 3).
  const credentialOf = (json) => {
    const response = { };
    for (const name of ['clientDataJSON', 'authenticatorData', 'signature']) response[name] = decode(json.response[name]);
    response.userHandle = json.response.userHandle ? decode(json.response.userHandle) : null;
    const made = (prototype, values) => Object.create(prototype, Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, { value, enumerable: true }]),
    ));
    return made(PublicKeyCredential.prototype, {
      id: json.id,
      rawId: decode(json.id),
      type: 'public-key',
      authenticatorAttachment: json.authenticatorAttachment || null,
      response: made(AuthenticatorAssertionResponse.prototype, response),
      getClientExtensionResults: () => ({}),
      toJSON: () => json,
    });
  };

  const get = container.get.bind(container);
  Object.defineProperty(container, 'get', {
    configurable: true,
    value: (options) => {
      const key = options && options.publicKey;
      // A conditional request waits in a text field's menu: nobody is asked yet.
      if (!key || options.mediation === 'conditional') return get(options);
      return new Promise((resolve, reject) => {
        const ms = Math.min(Number(key.timeout) || MAX_MS, MAX_MS);
        const end = (f, value) => {
          clearTimeout(timer);
          if (state.request === request) state.request = null;
          f(value);
          state.changed();
        };
        const fail = (name) => end(reject, new DOMException('The request was not answered.', name));
        const request = {
          rpId: String(key.rpId || location.hostname),
          challenge: encode(key.challenge),
          allow: (key.allowCredentials || []).slice(0, 64).map((c) => encode(c.id)),
          verification: String(key.userVerification || 'preferred'),
          expires: Date.now() + ms,
          answer: (json) => end(resolve, credentialOf(json)),
          refuse: () => fail('NotAllowedError'),
        };
        const timer = setTimeout(fail, ms, 'NotAllowedError');
        if (options.signal) options.signal.addEventListener('abort', () => fail('AbortError'));
        if (state.request) state.request.refuse();
        state.request = request;
        state.changed();
      });
    },
  });
})();
