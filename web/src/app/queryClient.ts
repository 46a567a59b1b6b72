import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from '../api/http';
import { keys } from '../api/keys';

/** At most one look at the session in this time, however many requests fail. */
const RECHECK_MS = 3_000;
const MAX_RETRIES = 2;

export function createQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        if (query.queryKey[0] !== keys.me[0]) recheckSession(client, error);
      },
    }),
    mutationCache: new MutationCache({ onError: (error) => recheckSession(client, error) }),
    defaultOptions: {
      queries: { retry: shouldRetry, staleTime: 10_000 },
      mutations: { retry: false },
    },
  });
  // Written by hand, read by pages that come and go: never collected.
  for (const key of [keys.outbox, keys.leftOnPurpose]) client.setQueryDefaults(key, { gcTime: Infinity });
  return client;
}

/**
 * Asks who is logged in and how the slice is when an error says that this may
 * have changed: the session expired (401), or the slice was stopped (503).
 */
export function recheckSession(client: QueryClient, error: unknown): void {
  if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 503)) return;
  const me = client.getQueryState(keys.me);
  if (!me?.data || Date.now() - me.dataUpdatedAt < RECHECK_MS) return;
  void client.invalidateQueries({ queryKey: keys.me }, { cancelRefetch: false });
}

/** What the server said about the input will not change by asking again. */
export function shouldRetry(failures: number, error: unknown): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) return false;
  return failures < MAX_RETRIES;
}
