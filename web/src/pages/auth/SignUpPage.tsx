import { Alert, Anchor, Button, Center, Loader, Stack } from '@mantine/core';
import { IconAlertCircle, IconMailCheck } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { askToSignUp, fetchSignUpWay } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
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
      {way.isError ? (
        <Alert color="red" variant="light" icon={<IconAlertCircle aria-hidden />} role="alert">
          <Stack gap="xs" align="flex-start">
            {messageOf(way.error)}
            <Button variant="light" size="xs" onClick={() => void way.refetch()}>
              Try again
            </Button>
          </Stack>
        </Alert>
      ) : way.isPending ? (
        <Center py="xl">
          <Loader aria-label="Loading" />
        </Center>
      ) : way.data.by_mail ? (
        <ByMail onOtherWay={() => void way.refetch()} />
      ) : (
        <AtOnce onOtherWay={() => void way.refetch()} />
      )}
    </AuthLayout>
  );
}

const onForbidden = (then: () => void) => (error: Error) => {
  if (error instanceof ApiError && error.status === 403) then();
};

interface WayProps {
  /** The other way has just been opened. */
  onOtherWay: () => void;
}

function AtOnce({ onOtherWay }: WayProps) {
  const signUp = useSignUp();
  return (
    <CredentialsForm
      submitLabel="Sign up"
      validate={validateSignUp}
      onSubmit={(credentials) => signUp.mutate(credentials, { onError: onForbidden(onOtherWay) })}
      pending={signUp.isPending}
      error={signUp.error}
      passwordHint="At least 10 characters"
      newPassword
    />
  );
}

function ByMail({ onOtherWay }: WayProps) {
  const ask = useMutation({ mutationFn: askToSignUp });
  return ask.isSuccess ? (
    <Alert variant="light" icon={<IconMailCheck aria-hidden />} role="status">
      A mail is on its way to you: go on with the link in it. The link can be used once.
    </Alert>
  ) : (
    <EmailForm
      submitLabel="Sign up"
      onSubmit={(email) => ask.mutate(email, { onError: onForbidden(onOtherWay) })}
      pending={ask.isPending}
      error={ask.error}
      onEdit={ask.reset}
    />
  );
}
