import { Alert, Anchor } from '@mantine/core';
import { IconCircleCheck } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useLocation } from 'react-router';
import { resetPassword } from '../../api/auth';
import { keys } from '../../api/keys';
import { AuthLayout } from './AuthLayout';
import { isSpent, linkToken } from './linkToken';
import { NewPasswordForm } from './NewPasswordForm';
import { SpentLink } from './SpentLink';

export function ResetPasswordPage() {
  const token = linkToken(useLocation().hash);
  const queryClient = useQueryClient();
  const reset = useMutation({
    mutationFn: resetPassword,
    // All sessions have ended, this browser's too.
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.me }),
  });
  return (
    <AuthLayout title="Choose a new password" lead="You will be logged out everywhere else.">
      {reset.isSuccess ? (
        <Alert variant="light" icon={<IconCircleCheck aria-hidden />} role="status">
          Your password is changed.{' '}
          <Anchor component={Link} to="/login" c="var(--app-accent-text)">
            Log in
          </Anchor>
        </Alert>
      ) : isSpent(token, reset.error) ? (
        <SpentLink again="/forgot-password" />
      ) : (
        <NewPasswordForm
          label="New password"
          submitLabel="Change the password"
          onSubmit={(password) => reset.mutate({ token, password })}
          pending={reset.isPending}
          error={reset.error}
          onEdit={reset.reset}
        />
      )}
    </AuthLayout>
  );
}
