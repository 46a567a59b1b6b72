import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from '../api/http';
import { keys } from '../api/keys';

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
  if (!client.getQueryData(keys.me)) return; // that nobody is logged in is known
  // However many requests fail at once, one look is enough.
  void client.invalidateQueries({ queryKey: keys.me }, { cancelRefetch: false });
}

/** What the server said about the input will not change by asking again. */
export function shouldRetry(failures: number, error: unknown): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) return false;
  return failures < MAX_RETRIES;
}
