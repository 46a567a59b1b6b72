/**
 * The token of a mailed link. It is behind the #, so that it is in no server's
 * log; empty if there is none.
 */
export function linkToken(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') ?? '';
}
