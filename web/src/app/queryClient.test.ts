import { QueryObserver } from '@tanstack/react-query';
import { expect, it, vi } from 'vitest';
import { ApiError, NO_ANSWER } from '../api/http';
import { keys } from '../api/keys';
import { me } from '../testing/fixtures';
import { createQueryClient, recheckSession, shouldRetry } from './queryClient';

function watchMe() {
  const client = createQueryClient();
  client.setQueryData(keys.me, me());
  const fetchMe = vi.fn(() => Promise.resolve(null));
  const observer = new QueryObserver(client, { queryKey: keys.me, queryFn: fetchMe, staleTime: Infinity });
  observer.subscribe(() => {});
  return { client, fetchMe };
}

it.each([401, 503])('asks who is logged in after a %d, once for many', async (status) => {
  const { client, fetchMe } = watchMe();
  recheckSession(client, new ApiError(status, ''));
  recheckSession(client, new ApiError(status, ''));
  await vi.waitFor(() => expect(client.getQueryData(keys.me)).toBeNull());
  expect(fetchMe).toHaveBeenCalledTimes(1);
  recheckSession(client, new ApiError(status, '')); // that nobody is logged in is known
  expect(fetchMe).toHaveBeenCalledTimes(1);
});

it('does not for other errors', () => {
  const { client, fetchMe } = watchMe();
  recheckSession(client, new ApiError(404, ''));
  recheckSession(client, new ApiError(NO_ANSWER, ''));
  recheckSession(client, new TypeError('a fault of ours'));
  expect(fetchMe).not.toHaveBeenCalled();
});

it('retries what may pass, a few times', () => {
  expect(shouldRetry(0, new ApiError(404, ''))).toBe(false);
  expect(shouldRetry(0, new ApiError(503, ''))).toBe(true);
  expect(shouldRetry(1, new ApiError(NO_ANSWER, ''))).toBe(true);
  expect(shouldRetry(2, new ApiError(503, ''))).toBe(false);
});
