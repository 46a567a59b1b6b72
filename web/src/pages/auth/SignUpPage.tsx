import { Anchor } from '@mantine/core';
import { Link } from 'react-router';
import { useSignUp } from '../../session/session';
import { AuthLayout } from './AuthLayout';
import { CredentialsForm } from './CredentialsForm';
import { validateSignUp } from './validate';

export function SignUpPage() {
  const signUp = useSignUp();
  return (
    <AuthLayout
      title="Create your account"
      lead={
        <>
          Already have one?{' '}
          <Anchor component={Link} to="/login" c="var(--app-accent-text)">
            Log in
          </Anchor>
        </>
      }
    >
      <CredentialsForm
        submitLabel="Sign up"
        validate={validateSignUp}
        onSubmit={(credentials) => signUp.mutate(credentials)}
        pending={signUp.isPending}
        error={signUp.error}
        passwordHint="At least 10 characters"
        newPassword
      />
    </AuthLayout>
  );
}
