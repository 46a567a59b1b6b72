import { describe, expect, it, vi } from 'vitest';
import { problem } from '../testing/fixtures';
import { fetchMe } from './auth';
import { fetchMessages, sendMessage } from './crm';
import { ApiError, messageOf, NO_ANSWER, request } from './http';

function answer(response: Response | Error | DOMException) {
  const fetch = vi.spyOn(globalThis, 'fetch');
  if (response instanceof Response) fetch.mockResolvedValue(response);
  else fetch.mockRejectedValue(response);
  return fetch;
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    return error as ApiError;
  }
  throw new Error('the request did not fail');
}

describe('request', () => {
  it('decodes JSON and sends the session cookie to its own origin only', async () => {
    const fetch = answer(Response.json({ ok: true }));
    await expect(request('/x')).resolves.toEqual({ ok: true });
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({ method: 'GET', credentials: 'same-origin' });
    expect(fetch.mock.calls[0]?.[1]).not.toHaveProperty('body');
  });

  it('has no value for 204', async () => {
    answer(new Response(null, { status: 204 }));
    await expect(request('/x', { method: 'POST' })).resolves.toBeUndefined();
  });

  it('carries the detail, the fields and the request id of a problem', async () => {
    answer(problem(400, 'The input is not valid: email.', [{ field: 'email', detail: 'is required' }]));
    const error = await failure(request('/x'));
    expect(error).toMatchObject({ status: 400, message: 'The input is not valid: email.', requestID: 'r1' });
    expect(error.field('email')).toBe('is required');
    expect(error.field('password')).toBeNull();
  });

  it('knows when to try again', async () => {
    answer(problem(503, 'Not yet.', undefined, { 'Retry-After': '2' }));
    expect((await failure(request('/x'))).retryAfterSeconds).toBe(2);
  });

  it('has a text of its own for an error page of nginx', async () => {
    answer(new Response('<html>Bad Gateway</html>', { status: 502, headers: { 'Content-Type': 'text/html' } }));
    const error = await failure(request('/x'));
    expect(error.status).toBe(502);
    expect(error.message).toBe('The service is not available right now. Please try again in a moment.');
  });

  it('says so when an answer cannot be read', async () => {
    answer(new Response('<html>', { headers: { 'Content-Type': 'application/json' } }));
    expect((await failure(request('/x'))).message).toBe('The server sent an answer that cannot be read.');
  });

  it('tells a lost connection from a slow server', async () => {
    answer(new TypeError('Failed to fetch'));
    expect(await failure(request('/x'))).toMatchObject({ status: NO_ANSWER, message: expect.stringContaining('cannot be reached') as string });
    answer(new DOMException('', 'TimeoutError'));
    expect((await failure(request('/x'))).message).toContain('took too long');
  });

  it('lets an abort of the caller through as it is', async () => {
    const abort = new AbortController();
    abort.abort();
    const cause = new DOMException('', 'AbortError');
    answer(cause);
    await expect(request('/x', { signal: abort.signal })).rejects.toBe(cause);
  });
});

it('shows nothing of an unknown error to the user', () => {
  expect(messageOf(new TypeError('x is undefined'))).toBe('Something went wrong in the app.');
  expect(messageOf(new ApiError(409, 'Taken.'))).toBe('Taken.');
});

it('takes 401 from /auth/me as nobody, other errors as errors', async () => {
  answer(problem(401, 'Please log in.'));
  await expect(fetchMe()).resolves.toBeNull();
  answer(problem(503, 'Later.'));
  await expect(fetchMe()).rejects.toMatchObject({ status: 503 });
});

it('escapes chat ids and cursors', async () => {
  const fetch = answer(Response.json({}));
  await fetchMessages('a/b@g.us', 'c&d=');
  expect(fetch.mock.calls[0]?.[0]).toBe('/api/chats/a%2Fb%40g.us/messages?limit=50&before=c%26d%3D');
});

it('sends a message with its idempotency key', async () => {
  const fetch = answer(Response.json({}, { status: 201 }));
  await sendMessage('1@c.us', 'Hi', 'k1');
  expect(fetch.mock.calls[0]?.[1]?.body).toBe('{"text":"Hi","client_id":"k1"}');
  expect(fetch.mock.calls[0]?.[1]?.headers).toMatchObject({ 'Content-Type': 'application/json' });
});
