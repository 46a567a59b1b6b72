import { Alert, Anchor, Button, Stack, TextInput } from '@mantine/core';
import { IconMailCheck } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { Link } from 'react-router';
import { askForPasswordReset } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
import { AuthLayout } from './AuthLayout';

export function ForgotPasswordPage() {
  const ask = useMutation({ mutationFn: askForPasswordReset });
  const [email, setEmail] = useState('');
  const [empty, setEmpty] = useState(false);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const trimmed = email.trim();
    setEmpty(trimmed === '');
    if (trimmed !== '') ask.mutate(trimmed);
  };
  const detail = ask.error instanceof ApiError ? ask.error.field('email') : null;
  const error = empty ? 'E-mail is required' : detail ? `E-mail ${detail}` : ask.error ? messageOf(ask.error) : null;

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
        <form onSubmit={submit} noValidate>
          <Stack gap="md">
            <TextInput
              label="E-mail"
              type="email"
              name="email"
              size="md"
              autoComplete="email"
              autoCapitalize="none"
              spellCheck={false}
              autoFocus
              value={email}
              onChange={(event) => {
                setEmail(event.currentTarget.value);
                setEmpty(false);
                if (ask.isError) ask.reset();
              }}
              error={error}
            />
            <Button type="submit" size="md" mt="xs" fullWidth loading={ask.isPending}>
              Send me a link
            </Button>
          </Stack>
        </form>
      )}
    </AuthLayout>
  );
}
