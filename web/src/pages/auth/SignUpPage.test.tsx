import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { problem } from '../../testing/fixtures';
import { renderElement } from '../../testing/render';
import { SignUpPage } from './SignUpPage';
import { validateSignUp } from './validate';

async function submit(email: string, password: string) {
  await userEvent.clear(screen.getByLabelText('E-mail'));
  await userEvent.type(screen.getByLabelText('E-mail'), email);
  await userEvent.clear(screen.getByLabelText('Password'));
  await userEvent.type(screen.getByLabelText('Password'), password);
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
}

it('asks the server only when the input can be right', async () => {
  const fetch = vi.spyOn(globalThis, 'fetch').mockResolvedValue(new Response('', { status: 404 }));
  renderElement(<SignUpPage />);
  await submit('ana', 'short');
  expect(screen.getByText(/^E-mail must be/)).toBeTruthy();
  expect(screen.getByText('Password must have at least 10 characters')).toBeTruthy();
  expect(fetch.mock.calls.filter(([path]) => path === '/auth/signup')).toEqual([]);
});

it("shows the server's errors at their fields, and others above them", async () => {
  const answers = [
    problem(400, 'The input is not valid: email.', [{ field: 'email', detail: 'must have at most 254 bytes' }]),
    problem(409, 'There is already an account with this e-mail address.'),
  ];
  vi.spyOn(globalThis, 'fetch').mockImplementation((path) =>
    Promise.resolve((path === '/auth/signup' && answers.shift()) || new Response('', { status: 404 })),
  );
  renderElement(<SignUpPage />);
  await submit('ana@example.com', 'long enough');
  expect(await screen.findByText('E-mail must have at most 254 bytes')).toBeTruthy();
  expect(screen.queryByRole('alert')).toBeNull();
  await submit('ana@example.com', 'long enough');
  expect((await screen.findByRole('alert')).textContent).toContain('already an account');
});

it('counts characters, not bytes', () => {
  expect(validateSignUp({ email: 'a@b.de', password: '🔑'.repeat(9) }).password).toMatch(/at least 10/);
  expect(validateSignUp({ email: 'a@b.de', password: '🔑'.repeat(10) }).password).toBeUndefined();
  expect(validateSignUp({ email: 'a@b.de', password: 'x'.repeat(129) }).password).toMatch(/at most 128/);
});
