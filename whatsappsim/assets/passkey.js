// The passkey that WhatsApp asks some accounts for when a device is linked.

const bytes = (base64url) => Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const TIMEOUT = 600_000; // ms

// ask runs the ceremony with the options of the real page, and returns the
// client data that was signed. It rejects where there is no passkey: here
// always, unless somebody answers for whatsapp.com.
export async function ask(challenge, signal) {
  const credential = await navigator.credentials.get({
    signal,
    publicKey: {
      challenge: bytes(challenge),
      timeout: TIMEOUT,
      rpId: 'whatsapp.com',
      allowCredentials: [],
      userVerification: 'required',
      extensions: { uvm: true },
    },
  });
  const data = String.fromCharCode(...new Uint8Array(credential.response.clientDataJSON));
  return btoa(data).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
