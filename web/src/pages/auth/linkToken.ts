import { ApiError } from '../../api/http';

/**
 * The token of a mailed link. It is behind the #, so that it is in no server's
 * log; empty if there is none.
 */
export function linkToken(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') ?? '';
}

/** Whether a link is good no more: it had no token, or the server knows it not. */
export function isSpent(token: string, error: Error | null): boolean {
  return token === '' || (error instanceof ApiError && error.status === 404);
}
