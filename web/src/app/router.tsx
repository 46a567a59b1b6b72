import { createBrowserRouter } from 'react-router';
import { AccountPage } from '../pages/account/AccountPage';
import { ConfirmSignUpPage } from '../pages/auth/ConfirmSignUpPage';
import { ForgotPasswordPage } from '../pages/auth/ForgotPasswordPage';
import { LogInPage } from '../pages/auth/LogInPage';
import { ResetPasswordPage } from '../pages/auth/ResetPasswordPage';
import { SignUpPage } from '../pages/auth/SignUpPage';
import { VerifyEmailPage } from '../pages/auth/VerifyEmailPage';
import { ChatsPage } from '../pages/inbox/ChatsPage';
import { NoChatSelected } from '../pages/inbox/NoChatSelected';
import { ThreadPage } from '../pages/inbox/ThreadPage';
import { LinkPage } from '../pages/link/LinkPage';
import { NotFoundPage } from '../pages/NotFoundPage';
import { ErrorPage } from './ErrorPage';
import { Home, OnlyAdmins, OnlyAnonymous, RequireSession } from './gates';
import { Root } from './Root';
import { SliceGate } from './SliceGate';

// None of these paths may begin with /auth, /api, /admin or /socket.io: those
// are the gateway's.
export const router = createBrowserRouter([
  {
    element: <Root />,
    errorElement: <ErrorPage />,
    hydrateFallbackElement: <></>,
    children: [
      {
        element: <OnlyAnonymous />,
        children: [
          { path: '/login', element: <LogInPage /> },
          { path: '/signup', element: <SignUpPage /> },
        ],
      },
      // Links from mails: they may be opened with or without a session.
      { path: '/confirm-signup', element: <ConfirmSignUpPage /> },
      { path: '/forgot-password', element: <ForgotPasswordPage /> },
      { path: '/reset-password', element: <ResetPasswordPage /> },
      { path: '/verify-email', element: <VerifyEmailPage /> },
      {
        element: <RequireSession />,
        children: [
          { path: '/', element: <Home /> },
          { path: '/account', element: <AccountPage /> },
          {
            element: <OnlyAdmins />,
            children: [{ path: '/platform', lazy: () => import('../pages/platform/PlatformPage') }],
          },
          {
            element: <SliceGate />,
            children: [
              { path: '/link', element: <LinkPage /> },
              {
                path: '/chats',
                element: <ChatsPage />,
                children: [
                  { index: true, element: <NoChatSelected /> },
                  { path: ':chatID', element: <ThreadPage /> },
                ],
              },
            ],
          },
        ],
      },
      { path: '*', element: <NotFoundPage /> },
    ],
  },
]);
