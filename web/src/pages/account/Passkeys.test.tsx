import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import type { Passkey } from '../../api/passkeys';
import { browserWithPasskeys, CREDENTIAL } from '../../testing/passkeys';
import { renderElement } from '../../testing/render';
import { Passkeys } from './Passkeys';

const LAPTOP: Passkey = {
  id: 'p1', name: 'My laptop', created_at: '2026-11-22T10:00:00Z', last_used_at: null, syncable: true, synced: true,
};
const notRecent = () =>
  new Response(JSON.stringify({ type: '/problems/reauthenticate', title: 'Forbidden', status: 403, detail: 'Confirm it.' }), {
    status: 403,
    headers: { 'Content-Type': 'application/problem+json' },
  });
const options = () => Response.json({ public_key: { challenge: 'abc' } });
const done = () => new Response(null, { status: 204 });

/** Plays the gateway: what "METHOD /path" answers next; the list is what it has. */
function gateway(list: Passkey[], answers: Record<string, (() => Response)[]>) {
  const server = { list, asked: [] as [string, unknown][] };
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    const call = `${init?.method ?? 'GET'} ${input as string}`;
    if (call === 'GET /auth/passkeys') return Promise.resolve(Response.json({ passkeys: server.list, next_cursor: null }));
    const next = answers[call]?.shift();
    server.asked.push([call, init?.body ? JSON.parse(init.body as string) : undefined]);
    return Promise.resolve(next?.() ?? new Response('', { status: 404 }));
  });
  renderElement(<Passkeys />);
  return server;
}

const click = async (name: string) => userEvent.click(await screen.findByRole('button', { name }));

it('adds a passkey, once the user has proved with another who they are', async () => {
  const { create, get } = browserWithPasskeys();
  const added = () => {
    server.list = [LAPTOP];
    return Response.json(LAPTOP, { status: 201 });
  };
  const server = gateway([], {
    'POST /auth/passkeys/options': [notRecent, options],
    'POST /auth/reauthenticate/passkey/options': [options],
    'POST /auth/reauthenticate/passkey': [done],
    'POST /auth/passkeys': [added],
  });
  await click('Add a passkey');
  await click('Go on');
  expect(screen.getByText('Name is required')).toBeTruthy();
  await userEvent.click(screen.getByLabelText('Name'));
  await userEvent.paste(' My laptop ');
  await click('Go on');
  await click('Use a passkey');
  const row = await screen.findByRole('group', { name: 'My laptop' });
  expect(row.textContent).toContain('never used, synced between devices');
  expect(get).toHaveBeenCalledOnce();
  expect(create).toHaveBeenCalledExactlyOnceWith({ publicKey: { parsed: { challenge: 'abc' } } });
  expect(server.asked.at(-1)).toEqual(['POST /auth/passkeys', { name: 'My laptop', credential: CREDENTIAL }]);
});

it('says when the device has one already, and nothing when the user gives up', async () => {
  const refusals = ['InvalidStateError', 'NotAllowedError'];
  browserWithPasskeys(() => Promise.reject(new DOMException('', refusals.shift())));
  const server = gateway([], { 'POST /auth/passkeys/options': [options, options] });
  await click('Add a passkey');
  await userEvent.click(screen.getByLabelText('Name'));
  await userEvent.paste('x');
  await click('Go on');
  expect(await screen.findByText(/on this device already/)).toBeTruthy();
  await click('Go on');
  await waitFor(() => expect(server.asked).toHaveLength(2));
  await waitFor(() => expect(screen.queryByText(/already/)).toBeNull());
  expect(screen.queryByText(/went wrong/)).toBeNull();
});

it('removes a passkey, also where the browser has none', async () => {
  const server = gateway([LAPTOP], { 'DELETE /auth/passkeys/p1': [done] });
  expect(await screen.findByText('This browser cannot add passkeys here.')).toBeTruthy();
  await click('Remove');
  server.list = [];
  await userEvent.click(within(await screen.findByRole('dialog')).getByRole('button', { name: 'Remove the passkey' }));
  await waitFor(() => expect(screen.queryByText('My laptop')).toBeNull());
  expect(server.asked).toEqual([['DELETE /auth/passkeys/p1', undefined]]);
});
