import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, expect, it, vi } from 'vitest';
import { RequireSession } from '../../app/gates';
import type { Me } from '../../api/types';
import { me, problem } from '../../testing/fixtures';
import { renderRoutes } from '../../testing/render';
import { AccountPage } from './AccountPage';

const AT = '2026-12-08T20:30:00Z';
const notRecent = () =>
  new Response(JSON.stringify({ type: '/problems/reauthenticate', title: 'Forbidden', status: 403, detail: 'Confirm your password first.' }), {
    status: 403,
    headers: { 'Content-Type': 'application/problem+json' },
  });

/** Plays the gateway: "METHOD /path" to what it answers next. */
function gateway(first: Me, answers: Record<string, Response[]>) {
  const server = { me: first, asked: [] as { call: string; body: unknown }[] };
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    const call = `${init?.method ?? 'GET'} ${input as string}`;
    if (call === 'GET /auth/me') return Promise.resolve(Response.json(server.me));
    if (call === 'GET /auth/passkeys') return Promise.resolve(Response.json({ passkeys: [], next_cursor: null }));
    const next = answers[call]?.shift();
    if (next) server.asked.push({ call, body: init?.body ? JSON.parse(init.body as string) : undefined });
    return Promise.resolve(next ?? new Response('', { status: 404 }));
  });
  renderRoutes([{ element: <RequireSession />, children: [{ path: '/account', element: <AccountPage /> }] }], '/account');
  return server;
}

const createObjectURL = vi.fn(() => 'blob:1');

beforeEach(() => {
  createObjectURL.mockClear();
  Object.assign(URL, { createObjectURL, revokeObjectURL: vi.fn() });
});

/** All at once: each key of its own would draw the page anew. */
async function fill(field: HTMLElement, text: string) {
  await userEvent.clear(field);
  await userEvent.click(field);
  await userEvent.paste(text);
}

it('exports the data, after the password where that is asked for', async () => {
  const file = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => {});
  const server = gateway(me(), {
    'GET /auth/export': [notRecent(), new Response('{"account":{}}')],
    'POST /auth/reauthenticate': [
      problem(400, 'The input is not valid: password.', [{ field: 'password', detail: 'is not your password' }]),
      problem(400, 'The input is not valid: code.', [{ field: 'code', detail: 'is required' }]),
      new Response(null, { status: 204 }),
    ],
  });
  expect((await screen.findByRole('link', { name: 'Export my workspace' })).getAttribute('href')).toBe('/api/export');
  await userEvent.click(screen.getByRole('button', { name: 'Export my data' }));
  const dialog = within(await screen.findByRole('dialog'));
  await fill(dialog.getByLabelText('Password'), 'wrong horse');
  await userEvent.click(dialog.getByRole('button', { name: 'Confirm' }));
  expect(await dialog.findByText('Password is not your password')).toBeTruthy();
  await userEvent.click(dialog.getByRole('button', { name: 'Confirm' }));
  await fill(await dialog.findByLabelText('Code'), ' 123456');
  await userEvent.click(dialog.getByRole('button', { name: 'Confirm' }));
  await waitFor(() => expect(file).toHaveBeenCalled());
  expect(server.asked.at(-2)?.body).toEqual({ password: 'wrong horse', code: '123456' });
  expect(createObjectURL).toHaveBeenCalledOnce();
});

it('gives up without complaint when the user does', async () => {
  const server = gateway(me({ slice: { state: 'queued', position: 1, estimate_seconds: null } }), { 'GET /auth/export': [notRecent()] });
  await userEvent.click(await screen.findByRole('button', { name: 'Export my data' }));
  expect(screen.queryByRole('link', { name: 'Export my workspace' })).toBeNull();
  await userEvent.click(within(await screen.findByRole('dialog')).getByRole('button', { name: 'Cancel' }));
  await waitFor(() => expect(screen.getByRole('button', { name: 'Export my data' }).getAttribute('data-loading')).toBeNull());
  expect(screen.queryByRole('alert')).toBeNull();
  expect(server.asked).toHaveLength(1);
});

it('deletes the account once the address is typed, and says when', async () => {
  const server = gateway(me(), {
    'POST /auth/account/deletion': [problem(409, 'This is the last admin.'), Response.json({ deletion_at: AT })],
  });
  await userEvent.click(await screen.findByRole('button', { name: 'Delete my account' }));
  const dialog = within(await screen.findByRole('dialog'));
  const field = dialog.getByLabelText('Type ana@example.com to confirm');
  const button = dialog.getByRole('button', { name: 'Delete my account' });
  await fill(field, 'ben@example.com');
  expect(button.hasAttribute('disabled')).toBe(true);
  await fill(field, ' Ana@example.com');
  await userEvent.click(button);
  expect(await dialog.findByText('This is the last admin.')).toBeTruthy();
  expect(server.asked).toEqual([{ call: 'POST /auth/account/deletion', body: { email: 'Ana@example.com' } }]);
  server.me = me({ deletion_at: AT });
  await userEvent.click(button);
  expect(await screen.findByRole('button', { name: 'Keep my account' })).toBeTruthy();
  expect(await screen.findByRole('link', { name: 'Change your mind' })).toBeTruthy();
  expect(screen.getAllByText(/going to be deleted on/)[0]?.textContent).toContain('2026');
});

it('lets the account stay', async () => {
  const server = gateway(me({ deletion_at: AT }), { 'DELETE /auth/account/deletion': [new Response(null, { status: 204 })] });
  expect(await screen.findByRole('link', { name: 'Change your mind' })).toBeTruthy();
  server.me = me();
  await userEvent.click(screen.getByRole('button', { name: 'Keep my account' }));
  expect(await screen.findByRole('button', { name: 'Delete my account' })).toBeTruthy();
  await waitFor(() => expect(screen.queryByText(/going to be deleted/)).toBeNull());
});
