import { Button, Stack, TextInput } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { ApiError, messageOf } from '../../api/http';
import { useLogInCode } from '../../session/session';

/** The second step of a log-in. */
export function CodeForm({ onBack }: { onBack: () => void }) {
  const logIn = useLogInCode();
  const [code, setCode] = useState('');
  const [empty, setEmpty] = useState(false);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const trimmed = code.trim();
    setEmpty(trimmed === '');
    if (trimmed !== '') logIn.mutate(trimmed);
  };
  const detail = logIn.error instanceof ApiError ? logIn.error.field('code') : null;
  const error = empty ? 'Code is required' : detail ? `Code ${detail}` : logIn.error ? messageOf(logIn.error) : null;

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        <TextInput
          label="Code"
          description="From your authenticator app, or one of your recovery codes."
          name="code"
          size="md"
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          value={code}
          onChange={(event) => {
            setCode(event.currentTarget.value);
            setEmpty(false);
            if (logIn.isError) logIn.reset();
          }}
          error={error}
        />
        <Button type="submit" size="md" mt="xs" fullWidth loading={logIn.isPending}>
          Log in
        </Button>
        <Button variant="subtle" onClick={onBack}>
          Back to e-mail and password
        </Button>
      </Stack>
    </form>
  );
}
