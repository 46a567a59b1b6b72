import { expect, it, vi } from 'vitest';
import { fetchConfig, parseConfig, PRODUCTION } from './config';

it('reads a demo configuration', () => {
  expect(parseConfig({ demo: true, phone_url: 'http://127.0.0.1:9000/phone' })).toEqual({
    demo: true,
    phoneURL: 'http://127.0.0.1:9000/phone',
  });
});

it.each([null, 'demo', [], {}, { demo: false, phone_url: 'http://x/' }, { demo: 'true' }])('takes %j as production', (value) => {
  expect(parseConfig(value)).toEqual(PRODUCTION);
});

it.each(['javascript:alert(1)', 'phone', 42])('does not link to %j', (phone_url) => {
  expect(parseConfig({ demo: true, phone_url })).toEqual({ demo: true, phoneURL: null });
});

it('is production when the file is absent, is the app itself, or cannot be fetched', async () => {
  const fetch = vi.spyOn(globalThis, 'fetch');
  fetch.mockResolvedValueOnce(new Response('', { status: 404 }));
  await expect(fetchConfig()).resolves.toEqual(PRODUCTION);
  fetch.mockResolvedValueOnce(new Response('<!doctype html>'));
  await expect(fetchConfig()).resolves.toEqual(PRODUCTION);
  fetch.mockRejectedValueOnce(new TypeError('offline'));
  await expect(fetchConfig()).resolves.toEqual(PRODUCTION);
});
