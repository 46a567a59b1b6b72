import { Alert, Anchor } from '@mantine/core';
import { IconMailCheck } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { askToSignUp, fetchSignUpWay } from '../../api/auth';
import { keys } from '../../api/keys';
import { useSignUp } from '../../session/session';
import { AuthLayout } from './AuthLayout';
import { CredentialsForm } from './CredentialsForm';
import { EmailForm } from './EmailForm';
import { validateSignUp } from './validate';

export function SignUpPage() {
  const way = useQuery({ queryKey: keys.signUpWay, queryFn: ({ signal }) => fetchSignUpWay(signal) });
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
      {way.isPending ? null : way.data?.by_mail ? <ByMail /> : <AtOnce />}
    </AuthLayout>
  );
}

function AtOnce() {
  const signUp = useSignUp();
  return (
    <CredentialsForm
      submitLabel="Sign up"
      validate={validateSignUp}
      onSubmit={(credentials) => signUp.mutate(credentials)}
      pending={signUp.isPending}
      error={signUp.error}
      passwordHint="At least 10 characters"
      newPassword
    />
  );
}

function ByMail() {
  const ask = useMutation({ mutationFn: askToSignUp });
  return ask.isSuccess ? (
    <Alert variant="light" icon={<IconMailCheck aria-hidden />} role="status">
      A mail is on its way to you: go on with the link in it. The link can be used once.
    </Alert>
  ) : (
    <EmailForm
      submitLabel="Sign up"
      onSubmit={(email) => ask.mutate(email)}
      pending={ask.isPending}
      error={ask.error}
      onEdit={ask.reset}
    />
  );
}
