import { ApiError, download, request } from './http';
import type { Me } from './types';

export interface Credentials {
  email: string;
  password: string;
}

export const signUp = (credentials: Credentials) =>
  request<Me>('/auth/signup', { method: 'POST', body: credentials });

/** Whether a sign-up begins with a mail. */
export const fetchSignUpWay = (signal?: AbortSignal) => request<{ by_mail: boolean }>('/auth/signup', { signal });

/** Has a mail sent that leads on, whether or not the address has an account. */
export const askToSignUp = (email: string) =>
  request<void>('/auth/signup/mail', { method: 'POST', body: { email } });

export const signUpByMail = (input: { token: string; password: string }) =>
  request<Me>('/auth/signup/confirm', { method: 'POST', body: input });

export const logIn = (credentials: Credentials) =>
  request<Me>('/auth/login', { method: 'POST', body: credentials });

/** Whether a log-in goes on with a code. */
export const asksForCode = (error: unknown): boolean =>
  error instanceof ApiError && error.type === '/problems/second_factor';

/** Second step of a log-in: a code of the authenticator app, or a recovery code. */
export const logInCode = (code: string) => request<Me>('/auth/login/code', { method: 'POST', body: { code } });

export const verifyEmail = (token: string) =>
  request<{ email: string }>('/auth/email/verify', { method: 'POST', body: { token } });

/** Has a link mailed, if there is such an account. */
export const askForPasswordReset = (email: string) =>
  request<void>('/auth/password/reset', { method: 'POST', body: { email } });

export const resetPassword = (input: { token: string; password: string }) =>
  request<void>('/auth/password/reset/confirm', { method: 'POST', body: input });

/** Whether a request is refused until the user proves again who they are. */
export const asksForPassword = (error: unknown): boolean =>
  error instanceof ApiError && error.type === '/problems/reauthenticate';

/** The code is for who has a second factor. */
export const reauthenticate = (input: { password: string; code?: string }) =>
  request<void>('/auth/reauthenticate', { method: 'POST', body: input });

/** All that the platform keeps about the user. */
export const exportAccount = () => download('/auth/export');

/** Has the account deleted after a time of grace. */
export const scheduleDeletion = (email: string) =>
  request<{ deletion_at: string }>('/auth/account/deletion', { method: 'POST', body: { email } });

export const cancelDeletion = () => request<void>('/auth/account/deletion', { method: 'DELETE' });

export const logOut = () => request<void>('/auth/logout', { method: 'POST' });

/** Who is logged in; null when nobody is. */
export async function fetchMe(signal?: AbortSignal): Promise<Me | null> {
  try {
    return await request<Me>('/auth/me', { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}
