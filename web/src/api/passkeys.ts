import { request } from './http';
import type { Me } from './types';

/** In WebAuthn's own JSON. */
interface LogInOptions {
  public_key: PublicKeyCredentialRequestOptionsJSON;
}

/** Passkeys belong to domain names; browsers refuse them at addresses. */
const isAddress = (hostname: string) => hostname.startsWith('[') || /^[\d.]+$/.test(hostname);

/** Whether this browser can log in with a passkey here. Older ones lack the conversions from and to JSON. */
export const passkeysSupported = (hostname = window.location.hostname): boolean =>
  typeof PublicKeyCredential === 'function' &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function' &&
  typeof PublicKeyCredential.prototype.toJSON === 'function' &&
  !isAddress(hostname);

/** Lets the user choose a passkey, and logs in with it. */
export async function logInWithPasskey(): Promise<Me> {
  const options = await request<LogInOptions>('/auth/passkeys/login/options', { method: 'POST' });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.public_key);
  const credential = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  return request<Me>('/auth/passkeys/login', { method: 'POST', body: { credential: credential.toJSON() } });
}

/** Whether the user closed the browser's dialog, or let it wait for too long: nobody needs to be told. */
export const passkeyDismissed = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === 'NotAllowedError' || error.name === 'AbortError');
