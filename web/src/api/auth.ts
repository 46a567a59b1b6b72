import { ApiError, request } from './http';
import type { Me } from './types';

export interface Credentials {
  email: string;
  password: string;
}

export const signUp = (credentials: Credentials) =>
  request<Me>('/auth/signup', { method: 'POST', body: credentials });

export const logIn = (credentials: Credentials) =>
  request<Me>('/auth/login', { method: 'POST', body: credentials });

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
