import { Alert, Anchor, Button, PasswordInput, Stack } from '@mantine/core';
import { IconCircleCheck, IconLinkOff } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { Link, useLocation } from 'react-router';
import { resetPassword } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import { AuthLayout } from './AuthLayout';
import { linkToken } from './linkToken';
import { passwordError } from './validate';

export function ResetPasswordPage() {
  const token = linkToken(useLocation().hash);
  const queryClient = useQueryClient();
  const reset = useMutation({
    mutationFn: resetPassword,
    // All sessions have ended, this browser's too.
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.me }),
  });
  const [password, setPassword] = useState('');
  const [local, setLocal] = useState<string>();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const error = passwordError(password);
    setLocal(error);
    if (!error) reset.mutate({ token, password });
  };
  const detail = reset.error instanceof ApiError ? reset.error.field('password') : null;
  const spent = token === '' || (reset.error instanceof ApiError && reset.error.status === 404);

  return (
    <AuthLayout title="Choose a new password" lead="You will be logged out everywhere else.">
      {reset.isSuccess ? (
        <Alert variant="light" icon={<IconCircleCheck aria-hidden />} role="status">
          Your password is changed.{' '}
          <Anchor component={Link} to="/login" c="var(--app-accent-text)">
            Log in
          </Anchor>
        </Alert>
      ) : spent ? (
        <Alert color="yellow" variant="light" icon={<IconLinkOff aria-hidden />} role="alert">
          This link was used already, or is too old.{' '}
          <Anchor component={Link} to="/forgot-password" c="var(--app-accent-text)">
            Ask for a new one
          </Anchor>
        </Alert>
      ) : (
        <form onSubmit={submit} noValidate>
          <Stack gap="md">
            <PasswordInput
              label="New password"
              name="password"
              size="md"
              autoComplete="new-password"
              description="At least 10 characters"
              visibilityToggleButtonProps={{ 'aria-label': 'Show or hide what you type', tabIndex: 0 }}
              autoFocus
              value={password}
              onChange={(event) => {
                setPassword(event.currentTarget.value);
                setLocal(undefined);
                if (reset.isError) reset.reset();
              }}
              error={local ?? (detail ? `Password ${detail}` : reset.error ? messageOf(reset.error) : null)}
            />
            <Button type="submit" size="md" mt="xs" fullWidth loading={reset.isPending}>
              Change the password
            </Button>
          </Stack>
        </form>
      )}
    </AuthLayout>
  );
}
