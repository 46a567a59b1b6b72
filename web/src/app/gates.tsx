import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Navigate, Outlet, useLocation } from 'react-router';
import { messageOf } from '../api/http';
import { FullPageLoader } from '../components/FullPageLoader';
import { FullPageMessage } from '../components/FullPageMessage';
import { leftOnPurpose, useMe, UserContext, useUser } from '../session/session';

/** What the log-in page is told by whoever sends the user there. */
export interface LogInState {
  /** Where to go afterwards. */
  from?: string;
  /** The session ended by itself. */
  expired?: boolean;
}

/** The pages under it have a user. Without one it leads to the log-in page. */
export function RequireSession() {
  const { data: me, error, refetch, isFetching } = useMe();
  const location = useLocation();
  const queryClient = useQueryClient();
  const [hadSession, setHadSession] = useState(false);
  if (me && !hadSession) setHadSession(true);

  if (me) {
    return (
      <UserContext value={me}>
        <Outlet />
      </UserContext>
    );
  }
  if (me === null) {
    const onPurpose = leftOnPurpose(queryClient);
    const state: LogInState = onPurpose ? {} : { from: location.pathname + location.search, expired: hadSession };
    return <Navigate to="/login" replace state={state} />;
  }
  if (error) {
    return (
      <FullPageMessage
        title="We cannot reach the service"
        detail={messageOf(error)}
        action={{ label: 'Try again', onClick: () => void refetch(), loading: isFetching }}
      />
    );
  }
  return <FullPageLoader />;
}

/** Log-in and sign-up: who has a session goes on. */
export function OnlyAnonymous() {
  const { data: me } = useMe();
  const state = useLocation().state as LogInState | null;
  return me ? <Navigate to={state?.from ?? '/'} replace /> : <Outlet />;
}

export function OnlyAdmins() {
  return useUser().user.role === 'admin' ? <Outlet /> : <Navigate to="/" replace />;
}

/** The first page of each role. */
export function Home() {
  return <Navigate to={useUser().user.role === 'admin' ? '/platform' : '/chats'} replace />;
}
