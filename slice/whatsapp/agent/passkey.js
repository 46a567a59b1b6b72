// A request for a passkey, which hook.js took from the page.

const passkey = window.__slicePasskey || { request: null };

const addPasskey = (s) => {
  const r = passkey.request;
  s.passkey = r && !s.authenticated
    ? { rp_id: r.rpId, challenge: r.challenge, allow_credentials: r.allow, user_verification: r.verification, expires: r.expires }
    : null;
};

api.answerPasskey = async (credential) => {
  if (!passkey.request) throw new Refusal('no_passkey_request', 'no passkey is asked for');
  passkey.request.answer(credential);
};
api.refusePasskey = async () => { if (passkey.request) passkey.request.refuse(); };
