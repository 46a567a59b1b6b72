// The control API, as far as the phone page needs it.

async function call(method, path, body) {
  const response = await fetch(`/control/accounts${path}`, {
    method,
    headers: body ? { 'Content-Type': 'application/json' } : {},
    body: body && JSON.stringify(body),
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
export const write = (phone, from, fromName, text) =>
  call('POST', account(phone, 'messages'), { from, from_name: fromName, text });
export const read = (phone, chat) => call('POST', account(phone, 'read'), { chat });

// follow calls back with every change of an account, from the beginning on; it
// returns what ends that.
export function follow(phone, changed) {
  const source = new EventSource(`/control/accounts${account(phone, 'events')}`);
  source.onmessage = ({ data }) => changed(JSON.parse(data));
  return () => source.close();
}
