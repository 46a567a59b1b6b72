import { Alert, Anchor } from '@mantine/core';
import { IconClockPause } from '@tabler/icons-react';
import { Link, useLocation } from 'react-router';
import type { LogInState } from '../../app/gates';
import { asksForCode } from '../../api/auth';
import { useLogIn } from '../../session/session';
import { AuthLayout } from './AuthLayout';
import { CodeForm } from './CodeForm';
import { CredentialsForm } from './CredentialsForm';
import { PasskeyLogIn } from './PasskeyLogIn';
import { validateLogIn } from './validate';

export function LogInPage() {
  const logIn = useLogIn();
  const location = useLocation();
  const state = location.state as LogInState | null;
  return (
    <AuthLayout
      title="Welcome back"
      lead={
        <>
          New here?{' '}
          <Anchor component={Link} to="/signup" c="var(--app-accent-text)">
            Create an account
          </Anchor>
        </>
      }
    >
      {state?.expired && logIn.isIdle && (
        <Alert mb="md" variant="light" color="yellow" icon={<IconClockPause aria-hidden />}>
          Your session has ended. Please log in again.
        </Alert>
      )}
      {asksForCode(logIn.error) ? (
        <CodeForm onBack={() => logIn.reset()} />
      ) : (
        <>
          <CredentialsForm
            submitLabel="Log in"
            validate={validateLogIn}
            onSubmit={(credentials) => logIn.mutate(credentials)}
            pending={logIn.isPending}
            error={logIn.error}
          />
          <Anchor component={Link} to="/forgot-password" c="var(--app-accent-text)" size="sm" mt="md" display="block">
            Forgot your password?
          </Anchor>
          <PasskeyLogIn />
        </>
      )}
    </AuthLayout>
  );
}
