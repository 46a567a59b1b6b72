// The control API, as far as the phone page needs it.

async function call(method, path, body) {
  const json = body && !(body instanceof Blob);
  const response = await fetch(path.startsWith('/control') ? path : `/control/accounts${path}`, {
    method,
    headers: body ? { 'Content-Type': json ? 'application/json' : body.type || 'application/octet-stream' } : {},
    body: json ? JSON.stringify(body) : body,
  });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    const fields = (answer?.errors ?? []).map(({ field, detail }) => `${field} ${detail}`);
    throw new Error(fields.length ? fields.join('; ') : answer?.detail ?? `The server answered ${response.status}.`);
  }
  return answer;
}

const account = (phone, what) => `/${encodeURIComponent(phone)}/${what}`;

export const accounts = async () => (await call('GET', '')).accounts;
export const createAccount = (phone, name) => call('POST', '', { phone, name });
export const scan = (phone, qr) => call('POST', account(phone, 'scan'), { qr });
export const logout = (phone) => call('POST', account(phone, 'logout'));
export const fault = (phone, name) => call('POST', account(phone, 'faults'), { fault: name });
export const pageFault = (name) => call('POST', '/control/faults', { fault: name });
export const typeCode = (phone, code) => call('POST', account(phone, 'link-code'), { code });
export const passkey = (phone, pass) => call('POST', account(phone, 'passkey'), { pass });
export const createGroup = (phone, name, members) => call('POST', account(phone, 'groups'), { name, members });
// message: {from, from_name, text, group, quoted, lid}
export const write = (phone, message) => call('POST', account(phone, 'messages'), message);
export const edit = (phone, message, text) => call('POST', account(phone, 'edits'), { message, text });
export const remove = (phone, message) => call('POST', account(phone, 'deletions'), { message });
export const react = (phone, from, message, emoji) => call('POST', account(phone, 'reactions'), { message, from, emoji });
export const typing = (phone, from, chat, on) => call('POST', account(phone, 'typing'), { chat, from, typing: on });
export const play = (phone, message) => call('POST', account(phone, 'plays'), { message });
export const fileAddress = (phone, message) => `/control/accounts${account(phone, 'files')}?message=${encodeURIComponent(message)}`;

const KINDS = { image: 'image', video: 'video', audio: 'audio' };
export function sendFile(phone, message, file) {
  const query = new URLSearchParams({ type: KINDS[file.type.split('/')[0]] ?? 'document', name: file.name });
  for (const [name, value] of Object.entries(message)) if (value) query.set(name, value);
  return call('POST', `${account(phone, 'files')}?${query}`, file);
}

export const read = (phone, chat) => call('POST', account(phone, 'read'), { chat });

// follow calls back with every change of an account, from the beginning on; it
// returns what ends that.
export function follow(phone, changed) {
  const source = new EventSource(`/control/accounts${account(phone, 'events')}`);
  source.onmessage = ({ data }) => changed(JSON.parse(data));
  return () => source.close();
}
