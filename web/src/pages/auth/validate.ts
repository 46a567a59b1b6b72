import type { Credentials } from '../../api/auth';

// The server's own limits (and it has the last word).
const MIN_PASSWORD_LENGTH = 10;
const MAX_PASSWORD_LENGTH = 128;

type Errors = Partial<Record<keyof Credentials, string>>;

export function validateLogIn({ email, password }: Credentials): Errors {
  const errors: Errors = {};
  if (email.trim() === '') errors.email = 'E-mail is required';
  if (password === '') errors.password = 'Password is required';
  return errors;
}

export function validateSignUp(credentials: Credentials): Errors {
  const errors = validateLogIn(credentials);
  if (!errors.email && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(credentials.email.trim())) {
    errors.email = 'E-mail must be an e-mail address such as ana@example.com';
  }
  const password = passwordError(credentials.password);
  if (!errors.password && password) errors.password = password;
  return errors;
}

/** What is wrong with a new password. */
export function passwordError(password: string): string | undefined {
  const length = Array.from(password).length; // characters, not UTF-16 units
  if (length < MIN_PASSWORD_LENGTH) return `Password must have at least ${MIN_PASSWORD_LENGTH} characters`;
  if (length > MAX_PASSWORD_LENGTH) return `Password must have at most ${MAX_PASSWORD_LENGTH} characters`;
  return undefined;
}
