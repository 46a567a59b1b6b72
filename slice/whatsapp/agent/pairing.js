// Linking by a code that is typed on the phone. WPP replaces the code every 195 s
// and gives up after 5 times; a document that goes takes it along.

let link = { code: '', at: 0, error: '' };
const setLink = (text, error = '') => { if (text !== link.code || error) link = { code: str(text), at: Date.now(), error }; };
const linkError = (error) => (str(error && error.message) || 'error').slice(0, 200);

const addLink = (s) => {
  if (s.authenticated) link = { code: '', at: 0, error: '' };
  Object.assign(s, { link_code: link.code, link_at: link.at, link_error: link.error });
};

api.requestPairingCode = async (phone) => {
  link.error = '';
  setLink(await WPP.conn.startLinkDeviceCodeForPhoneNumber(phone));
  return snapshot();
};

api.cancelPairingCode = async () => {
  WPP.conn.cancelLinkDeviceCode();
  setLink('');
  link.error = '';
  return snapshot();
};
