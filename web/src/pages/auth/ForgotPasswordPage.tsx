import { Alert, Anchor } from '@mantine/core';
import { IconMailCheck } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link } from 'react-router';
import { askForPasswordReset } from '../../api/auth';
import { AuthLayout } from './AuthLayout';
import { EmailForm } from './EmailForm';

export function ForgotPasswordPage() {
  const ask = useMutation({ mutationFn: askForPasswordReset });
  return (
    <AuthLayout
      title="Forgot your password?"
      lead={
        <Anchor component={Link} to="/login" c="var(--app-accent-text)">
          Back to log in
        </Anchor>
      }
    >
      {ask.isSuccess ? (
        <Alert variant="light" icon={<IconMailCheck aria-hidden />} role="status">
          If there is an account with this address, a mail with a link is on its way. The link can be used once.
        </Alert>
      ) : (
        <EmailForm
          submitLabel="Send me a link"
          onSubmit={(email) => ask.mutate(email)}
          pending={ask.isPending}
          error={ask.error}
          onEdit={ask.reset}
        />
      )}
    </AuthLayout>
  );
}
