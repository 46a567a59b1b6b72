import { screen, waitFor } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { keys } from '../api/keys';
import { LogInPage } from '../pages/auth/LogInPage';
import { me, problem } from '../testing/fixtures';
import { renderRoutes } from '../testing/render';
import { OnlyAdmins, OnlyAnonymous, RequireSession } from './gates';
import { createQueryClient } from './queryClient';

const routes = [
  { element: <OnlyAnonymous />, children: [{ path: '/login', element: <LogInPage /> }] },
  {
    element: <RequireSession />,
    children: [
      { path: '/', element: <p>home</p> },
      { path: '/chats', element: <p>the chats</p> },
      { element: <OnlyAdmins />, children: [{ path: '/platform', element: <p>the platform</p> }] },
    ],
  },
];

function answerMe(answer: () => Response) {
  vi.spyOn(globalThis, 'fetch').mockImplementation((path) =>
    Promise.resolve(path === '/auth/me' ? answer() : new Response('', { status: 404 })),
  );
}

it('leads to the log-in page and back', async () => {
  answerMe(() => problem(401, 'Please log in.'));
  const { router, queryClient } = renderRoutes(routes, '/chats');
  await screen.findByRole('button', { name: 'Log in' });
  expect(screen.queryByText(/session has ended/)).toBeNull();
  queryClient.setQueryData(keys.me, me());
  await screen.findByText('the chats');
  expect(router.state.location.pathname).toBe('/chats');
});

it('says so when the session has ended by itself', async () => {
  answerMe(() => problem(401, 'Please log in.'));
  const queryClient = createQueryClient();
  queryClient.setQueryData(keys.me, me());
  renderRoutes(routes, '/chats', queryClient);
  await screen.findByText('the chats');
  await queryClient.invalidateQueries({ queryKey: keys.me });
  await screen.findByText(/session has ended/);
});

it('does not take an unreachable server for a logged-out user', async () => {
  answerMe(() => problem(400, 'Not now.')); // one that is not retried
  const { router } = renderRoutes(routes, '/chats');
  await screen.findByText('Not now.');
  expect(router.state.location.pathname).toBe('/chats');
  answerMe(() => Response.json(me()));
  screen.getByRole('button', { name: 'Try again' }).click();
  await screen.findByText('the chats');
});

it('keeps the platform page for admins', async () => {
  answerMe(() => Response.json(me()));
  const { router } = renderRoutes(routes, '/platform');
  await waitFor(() => expect(router.state.location.pathname).toBe('/'));
  expect(screen.queryByText('the platform')).toBeNull();
});
