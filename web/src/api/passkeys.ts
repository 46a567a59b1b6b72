import { request } from './http';
import type { Me } from './types';

export interface Passkey {
  id: string;
  name: string;
  created_at: string;
  /** null: never. */
  last_used_at: string | null;
  syncable: boolean;
  /** Kept elsewhere than on one device. */
  synced: boolean;
}

/** In WebAuthn's own JSON. */
interface Options<T> {
  public_key: T;
}

/** Passkeys belong to domain names; browsers refuse them at addresses. */
const isAddress = (hostname: string) => hostname.startsWith('[') || /^[\d.]+$/.test(hostname);

/** Whether this browser can use passkeys here. Older ones lack the conversions from and to JSON. */
export const passkeysSupported = (hostname = window.location.hostname): boolean =>
  typeof PublicKeyCredential === 'function' &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function' &&
  typeof PublicKeyCredential.prototype.toJSON === 'function' &&
  !isAddress(hostname);

/** Whether the user closed the browser's dialog, or let it wait for too long: nobody needs to be told. */
export const passkeyDismissed = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === 'NotAllowedError' || error.name === 'AbortError');

/** Whether the browser refuses since there is a passkey on this device already. */
export const passkeyIsThere = (error: unknown): boolean => error instanceof DOMException && error.name === 'InvalidStateError';

/** Lets the user choose a passkey, and sends what it signed. */
async function signWithPasskey<T>(path: string): Promise<T> {
  const options = await request<Options<PublicKeyCredentialRequestOptionsJSON>>(`${path}/options`, { method: 'POST' });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.public_key);
  const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  return request<T>(path, { method: 'POST', body: { credential: credential.toJSON() } });
}

export const logInWithPasskey = () => signWithPasskey<Me>('/auth/passkeys/login');

export const reauthenticateWithPasskey = () => signWithPasskey<void>('/auth/reauthenticate/passkey');

export const fetchPasskeys = async (signal?: AbortSignal) =>
  (await request<{ passkeys: Passkey[] }>('/auth/passkeys', { signal })).passkeys;

/** Has the device or the password manager make a passkey. */
export async function createPasskey(name: string): Promise<Passkey> {
  const options = await request<Options<PublicKeyCredentialCreationOptionsJSON>>('/auth/passkeys/options', { method: 'POST' });
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.public_key);
  const credential = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
  return request<Passkey>('/auth/passkeys', { method: 'POST', body: { name, credential: credential.toJSON() } });
}

export const deletePasskey = (id: string) => request<void>(`/auth/passkeys/${id}`, { method: 'DELETE' });
