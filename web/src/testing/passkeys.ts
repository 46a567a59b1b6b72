import { afterEach, vi } from 'vitest';

afterEach(() => {
  Reflect.deleteProperty(globalThis, 'PublicKeyCredential');
  Reflect.deleteProperty(navigator, 'credentials');
});

/** Makes jsdom a browser that knows passkeys; answer is what the user does in its dialogs. */
export function browserWithPasskeys(answer: () => Promise<void> = () => Promise.resolve()) {
  class FakeCredential {
    static parseRequestOptionsFromJSON = (options: object) => ({ parsed: options });
    static parseCreationOptionsFromJSON = (options: object) => ({ parsed: options });
    toJSON() {
      return CREDENTIAL;
    }
  }
  const dialog = (options: unknown) => answer().then(() => options && new FakeCredential());
  const get = vi.fn(dialog);
  const create = vi.fn(dialog);
  Object.assign(globalThis, { PublicKeyCredential: FakeCredential });
  Object.defineProperty(navigator, 'credentials', { configurable: true, value: { get, create } });
  return { get, create };
}

export const CREDENTIAL = { id: 'k1', type: 'public-key' };
