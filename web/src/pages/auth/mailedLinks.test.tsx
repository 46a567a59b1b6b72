import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { me, problem } from '../../testing/fixtures';
import { renderRoutes } from '../../testing/render';
import { ForgotPasswordPage } from './ForgotPasswordPage';
import { LogInPage } from './LogInPage';
import { ResetPasswordPage } from './ResetPasswordPage';
import { VerifyEmailPage } from './VerifyEmailPage';

/** Answers one path, remembers the bodies that it got. */
function answer(path: string, answers: Response[]) {
  const bodies: unknown[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    const next = input === path ? answers.shift() : undefined;
    if (next) bodies.push(JSON.parse(init?.body as string));
    return Promise.resolve(next ?? new Response('', { status: 404 }));
  });
  return bodies;
}

it('asks for a link, and says the same whether or not there is an account', async () => {
  const bodies = answer('/auth/password/reset', [new Response(null, { status: 202 })]);
  renderRoutes([{ path: '/forgot-password', element: <ForgotPasswordPage /> }], '/forgot-password');
  await userEvent.click(screen.getByRole('button', { name: 'Send me a link' }));
  expect(screen.getByText('E-mail is required')).toBeTruthy();
  await userEvent.type(screen.getByLabelText('E-mail'), ' ana@example.com');
  await userEvent.click(screen.getByRole('button', { name: 'Send me a link' }));
  expect((await screen.findByRole('status')).textContent).toContain('If there is an account');
  expect(bodies).toEqual([{ email: 'ana@example.com' }]);
});

it('changes the password with the token of the link', async () => {
  const bodies = answer('/auth/password/reset/confirm', [
    problem(400, 'The input is not valid: password.', [{ field: 'password', detail: 'is one that many people use' }]),
    new Response(null, { status: 204 }),
  ]);
  renderRoutes([{ path: '/reset-password', element: <ResetPasswordPage /> }], '/reset-password#token=abc');
  const field = screen.getByLabelText('New password');
  await userEvent.type(field, 'short');
  await userEvent.click(screen.getByRole('button', { name: 'Change the password' }));
  expect(screen.getByText('Password must have at least 10 characters')).toBeTruthy();
  await userEvent.clear(field);
  await userEvent.type(field, 'password1234');
  await userEvent.click(screen.getByRole('button', { name: 'Change the password' }));
  expect(await screen.findByText('Password is one that many people use')).toBeTruthy();
  await userEvent.clear(field);
  await userEvent.type(field, 'something else');
  await userEvent.click(screen.getByRole('button', { name: 'Change the password' }));
  expect((await screen.findByRole('status')).textContent).toContain('Your password is changed');
  expect(bodies[1]).toEqual({ token: 'abc', password: 'something else' });
});

it('says that a link was used', async () => {
  answer('/auth/email/verify', [problem(404, 'This link is not valid.')]);
  renderRoutes([{ path: '/verify-email', element: <VerifyEmailPage /> }], '/verify-email#token=abc');
  await userEvent.click(screen.getByRole('button', { name: 'Confirm' }));
  expect((await screen.findByRole('alert')).textContent).toContain('used already');
});

it('confirms an address at a click, not before', async () => {
  const bodies = answer('/auth/email/verify', [Response.json({ email: 'ana@example.com' })]);
  renderRoutes([{ path: '/verify-email', element: <VerifyEmailPage /> }], '/verify-email#token=abc');
  expect(bodies).toEqual([]);
  await userEvent.click(screen.getByRole('button', { name: 'Confirm' }));
  expect((await screen.findByRole('status')).textContent).toContain('ana@example.com is confirmed');
  expect(bodies).toEqual([{ token: 'abc' }]);
});

it('asks for the code of the second factor', async () => {
  const twoSteps = JSON.stringify({ type: '/problems/second_factor', title: 'Unauthorized', status: 401, detail: 'Enter the code.' });
  const asked: unknown[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    if (input === '/auth/login') {
      return Promise.resolve(new Response(twoSteps, { status: 401, headers: { 'Content-Type': 'application/problem+json' } }));
    }
    if (input === '/auth/login/code') {
      asked.push(JSON.parse(init?.body as string));
      return Promise.resolve(
        asked.length === 1 ? problem(400, 'The input is not valid: code.', [{ field: 'code', detail: 'is not right' }]) : Response.json(me()),
      );
    }
    return Promise.resolve(new Response('', { status: 404 }));
  });
  renderRoutes([{ path: '/login', element: <LogInPage /> }], '/login');
  await userEvent.type(screen.getByLabelText('E-mail'), 'ana@example.com');
  await userEvent.type(screen.getByLabelText('Password'), 'long enough');
  await userEvent.click(screen.getByRole('button', { name: 'Log in' }));
  await userEvent.type(await screen.findByLabelText('Code'), '000000');
  await userEvent.click(screen.getByRole('button', { name: 'Log in' }));
  expect(await screen.findByText('Code is not right')).toBeTruthy();
  await userEvent.clear(screen.getByLabelText('Code'));
  await userEvent.type(screen.getByLabelText('Code'), ' 123456 ');
  await userEvent.click(screen.getByRole('button', { name: 'Log in' }));
  await vi.waitFor(() => expect(asked).toEqual([{ code: '000000' }, { code: '123456' }]));
});
