/** What nginx serves as /config.json; its absence means production. */
export interface AppConfig {
  /** WhatsApp is a stand-in. */
  demo: boolean;
  /** The stand-in's phone page; null outside demo mode. */
  phoneURL: string | null;
}

export const PRODUCTION: AppConfig = { demo: false, phoneURL: null };

/** Never fails: whatever is not a demo configuration is production. */
export async function fetchConfig(signal?: AbortSignal): Promise<AppConfig> {
  try {
    const response = await fetch('/config.json', { cache: 'no-store', signal: signal ?? null });
    return response.ok ? parseConfig(await response.json()) : PRODUCTION;
  } catch {
    return PRODUCTION;
  }
}

export function parseConfig(value: unknown): AppConfig {
  if (typeof value !== 'object' || value === null) return PRODUCTION;
  if (!('demo' in value) || value.demo !== true) return PRODUCTION;
  return { demo: true, phoneURL: 'phone_url' in value ? webURL(value.phone_url) : null };
}

// The address becomes a link: only http and https may.
function webURL(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  try {
    const url = new URL(value);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
  } catch {
    return null;
  }
}
