import { createContext, useContext } from 'react';
import { useMutation, useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { fetchMe, logIn, logInCode, logOut, signUp, signUpByMail } from '../api/auth';
import { ApiError, NO_ANSWER } from '../api/http';
import { keys } from '../api/keys';
import { logInWithPasskey } from '../api/passkeys';
import { shouldRetry } from '../app/queryClient';
import type { Me } from '../api/types';

/** How often a user without a slice asks while the WebSocket is not there. */
export const POLL_MS = 3_000;

/** null: nobody is logged in. */
export function useMe(pollMs: number | false = false) {
  return useQuery({
    queryKey: keys.me,
    queryFn: ({ signal }) => fetchMe(signal),
    staleTime: 30_000,
    refetchInterval: pollMs,
  });
}

/**
 * Who is logged in, handed down by RequireSession. Not read from the query
 * itself: at a log-out a page below may be rendered once more before
 * RequireSession takes it away.
 */
export const UserContext = createContext<Me | null>(null);

/** For pages behind RequireSession, where somebody is logged in. */
export function useUser(): Me {
  const me = useContext(UserContext);
  if (!me) throw new Error('useUser is used outside RequireSession');
  return me;
}

export function useLogIn() {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: logIn,
    // An answer that was lost on its way leaves a session that nobody has: harmless.
    retry: (failures, error) => error instanceof ApiError && error.status === NO_ANSWER && failures < 2,
    onSuccess: (me) => beginSession(queryClient, me),
  });
}

export function useLogInCode() {
  const queryClient = useQueryClient();
  return useMutation({ mutationFn: logInCode, onSuccess: (me) => beginSession(queryClient, me) });
}

export function useLogInWithPasskey() {
  const queryClient = useQueryClient();
  return useMutation({ mutationFn: logInWithPasskey, onSuccess: (me) => beginSession(queryClient, me) });
}

export function useSignUp() {
  const queryClient = useQueryClient();
  return useMutation({ mutationFn: signUp, onSuccess: (me) => beginSession(queryClient, me) });
}

export function useSignUpByMail() {
  const queryClient = useQueryClient();
  return useMutation({ mutationFn: signUpByMail, onSuccess: (me) => beginSession(queryClient, me) });
}

export function useLogOut() {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: logOut,
    retry: shouldRetry, // a second time changes nothing more
    onSuccess: async () => {
      await queryClient.cancelQueries();
      queryClient.setQueryData(keys.leftOnPurpose, true);
      queryClient.setQueryData(keys.me, null);
      forgetUser(queryClient);
    },
  });
}

/** True after the user chose to log out; false when a session ended by itself. */
export function leftOnPurpose(queryClient: QueryClient): boolean {
  return queryClient.getQueryData(keys.leftOnPurpose) === true;
}

async function beginSession(queryClient: QueryClient, me: Me): Promise<void> {
  // An answer to an earlier "who am I" must not overwrite this one.
  await queryClient.cancelQueries({ queryKey: keys.me });
  forgetUser(queryClient);
  queryClient.setQueryData(keys.leftOnPurpose, false);
  queryClient.setQueryData(keys.me, me);
}

// Nothing of one user's is left for the next who uses this browser.
function forgetUser(queryClient: QueryClient): void {
  const kept: readonly unknown[] = [keys.me[0], keys.config[0], keys.leftOnPurpose[0]];
  queryClient.removeQueries({ predicate: (query) => !kept.includes(query.queryKey[0]) });
}
