import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { me, problem } from '../../testing/fixtures';
import { renderElement, renderRoutes } from '../../testing/render';
import { ConfirmSignUpPage } from './ConfirmSignUpPage';
import { SignUpPage } from './SignUpPage';
import { validateSignUp } from './validate';

/** Answers GET /auth/signup, and what is sent to it by the answers in turn. */
function serve(byMail: boolean, ...answers: Response[]) {
  return vi.spyOn(globalThis, 'fetch').mockImplementation((path, init) =>
    Promise.resolve(
      path === '/auth/signup' && (init?.method ?? 'GET') === 'GET'
        ? Response.json({ by_mail: byMail })
        : ((path as string).startsWith('/auth/signup') && answers.shift()) || new Response('', { status: 404 }),
    ),
  );
}

const sent = (fetch: ReturnType<typeof serve>) =>
  fetch.mock.calls.filter(([, init]) => init?.method === 'POST').map(([path, init]) => [path, JSON.parse(init?.body as string) as unknown]);

async function submit(email: string, password: string) {
  await userEvent.clear(await screen.findByLabelText('E-mail'));
  await userEvent.type(screen.getByLabelText('E-mail'), email);
  await userEvent.clear(screen.getByLabelText('Password'));
  await userEvent.type(screen.getByLabelText('Password'), password);
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
}

it('asks the server only when the input can be right', async () => {
  const fetch = serve(false);
  renderElement(<SignUpPage />);
  await submit('ana', 'short');
  expect(screen.getByText(/^E-mail must be/)).toBeTruthy();
  expect(screen.getByText('Password must have at least 10 characters')).toBeTruthy();
  expect(sent(fetch)).toEqual([]);
});

it("shows the server's errors at their fields, and others above them", async () => {
  serve(
    false,
    problem(400, 'The input is not valid: email.', [{ field: 'email', detail: 'must have at most 254 bytes' }]),
    problem(409, 'There is already an account with this e-mail address.'),
  );
  renderElement(<SignUpPage />);
  await submit('ana@example.com', 'long enough');
  expect(await screen.findByText('E-mail must have at most 254 bytes')).toBeTruthy();
  expect(screen.queryByRole('alert')).toBeNull();
  await submit('ana@example.com', 'long enough');
  expect((await screen.findByRole('alert')).textContent).toContain('already an account');
});

it('begins with a mail where the platform wants it so', async () => {
  const fetch = serve(true, new Response(null, { status: 202 }));
  renderElement(<SignUpPage />);
  await userEvent.type(await screen.findByLabelText('E-mail'), ' ana@example.com');
  expect(screen.queryByLabelText('Password')).toBeNull();
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
  expect((await screen.findByRole('status')).textContent).toContain('A mail is on its way');
  expect(sent(fetch)).toEqual([['/auth/signup/mail', { email: 'ana@example.com' }]]);
});

it('offers the other way when admins have just opened it', async () => {
  let byMail = false;
  vi.spyOn(globalThis, 'fetch').mockImplementation((path, init) =>
    Promise.resolve(
      path !== '/auth/signup'
        ? new Response('', { status: 404 })
        : init?.method === 'POST'
          ? problem(403, 'A sign-up begins with a mail.')
          : Response.json({ by_mail: byMail }),
    ),
  );
  renderElement(<SignUpPage />);
  await screen.findByLabelText('Password');
  byMail = true;
  await submit('ana@example.com', 'long enough');
  await vi.waitFor(() => expect(screen.queryByLabelText('Password')).toBeNull());
  expect(screen.getByLabelText('E-mail')).toBeTruthy();
});

it('says when it cannot tell how people sign up, and tries again', async () => {
  let there = false;
  vi.spyOn(globalThis, 'fetch').mockImplementation((path) =>
    Promise.resolve(path === '/auth/signup' && there ? Response.json({ by_mail: true }) : new Response('', { status: 404 })),
  );
  renderElement(<SignUpPage />);
  await screen.findByRole('alert');
  there = true;
  await userEvent.click(screen.getByRole('button', { name: 'Try again' }));
  expect(await screen.findByLabelText('E-mail')).toBeTruthy();
});

it('goes on though the user types while the password is on its way', async () => {
  let answer: (response: Response) => void = () => undefined;
  vi.spyOn(globalThis, 'fetch').mockImplementation((path) =>
    path === '/auth/signup/confirm' ? new Promise((resolve) => (answer = resolve)) : Promise.resolve(new Response('', { status: 404 })),
  );
  renderRoutes(
    [
      { path: '/confirm-signup', element: <ConfirmSignUpPage /> },
      { path: '/', element: <p>inside</p> },
    ],
    '/confirm-signup#token=abc',
  );
  await userEvent.type(screen.getByLabelText('Password'), 'something long');
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
  await userEvent.type(screen.getByLabelText('Password'), '!');
  answer(Response.json(me(), { status: 201 }));
  expect(await screen.findByText('inside')).toBeTruthy();
});

it('goes on with the token of the mail', async () => {
  const fetch = serve(true, Response.json(me(), { status: 201 }));
  const { router } = renderRoutes(
    [
      { path: '/confirm-signup', element: <ConfirmSignUpPage /> },
      { path: '/', element: <p>inside</p> },
    ],
    '/confirm-signup#token=abc',
  );
  await userEvent.type(screen.getByLabelText('Password'), 'something long');
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
  expect(await screen.findByText('inside')).toBeTruthy();
  expect(sent(fetch)).toEqual([['/auth/signup/confirm', { token: 'abc', password: 'something long' }]]);
  expect(router.state.location.hash).toBe('');
});

it('says that a link was used, and where there is another', async () => {
  serve(true, problem(404, 'This link is not valid any more.'));
  renderRoutes([{ path: '/confirm-signup', element: <ConfirmSignUpPage /> }], '/confirm-signup#token=abc');
  await userEvent.type(screen.getByLabelText('Password'), 'something long');
  await userEvent.click(screen.getByRole('button', { name: 'Sign up' }));
  expect((await screen.findByRole('alert')).textContent).toContain('used already');
  expect(screen.getByRole('link', { name: 'Ask for a new one' }).getAttribute('href')).toBe('/signup');
});

it('counts characters, not bytes', () => {
  expect(validateSignUp({ email: 'a@b.de', password: '🔑'.repeat(9) }).password).toMatch(/at least 10/);
  expect(validateSignUp({ email: 'a@b.de', password: '🔑'.repeat(10) }).password).toBeUndefined();
  expect(validateSignUp({ email: 'a@b.de', password: 'x'.repeat(129) }).password).toMatch(/at most 128/);
});
