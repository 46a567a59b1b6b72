import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { keys } from '../../api/keys';
import { passkeysSupported } from '../../api/passkeys';
import { me, problem } from '../../testing/fixtures';
import { browserWithPasskeys, CREDENTIAL } from '../../testing/passkeys';
import { renderElement } from '../../testing/render';
import { LogInPage } from './LogInPage';

const BUTTON = { name: 'Log in with a passkey' };

/** Answers the two steps of a log-in, the second with these; remembers what they got. */
function answer(...second: Response[]) {
  const bodies: unknown[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation((path, init) => {
    if (path === '/auth/passkeys/login/options') return Promise.resolve(Response.json({ public_key: { challenge: 'abc' } }));
    if (path !== '/auth/passkeys/login') return Promise.resolve(new Response('', { status: 404 }));
    bodies.push(JSON.parse(init?.body as string));
    return Promise.resolve(second.shift() ?? new Response('', { status: 500 }));
  });
  return bodies;
}

it('logs in with a passkey', async () => {
  const bodies = answer(problem(401, 'The passkey was not accepted.'), Response.json(me()));
  const { get } = browserWithPasskeys();
  const { queryClient } = renderElement(<LogInPage />);
  await userEvent.click(screen.getByRole('button', BUTTON));
  expect((await screen.findByRole('alert')).textContent).toBe('The passkey was not accepted.');
  await userEvent.click(screen.getByRole('button', BUTTON));
  await vi.waitFor(() => expect(queryClient.getQueryData(keys.me)).toEqual(me()));
  expect(get).toHaveBeenCalledWith({ publicKey: { parsed: { challenge: 'abc' } } });
  expect(bodies[1]).toEqual({ credential: CREDENTIAL });
});

it('says nothing when the dialog is closed', async () => {
  const bodies = answer();
  const { get } = browserWithPasskeys(() => Promise.reject(new DOMException('', 'NotAllowedError')));
  renderElement(<LogInPage />);
  await userEvent.click(screen.getByRole('button', BUTTON));
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  await vi.waitFor(() => expect(screen.getByRole('button', BUTTON).hasAttribute('data-loading')).toBe(false));
  expect(screen.queryByRole('alert')).toBeNull();
  expect(bodies).toEqual([]);
});

it('is not offered where it cannot work', () => {
  renderElement(<LogInPage />);
  expect(screen.queryByRole('button', BUTTON)).toBeNull();
  browserWithPasskeys();
  const hosts = ['crm.example.com', 'localhost', '127.0.0.1', '[::1]'];
  expect(hosts.filter((host) => passkeysSupported(host))).toEqual(['crm.example.com', 'localhost']);
});
