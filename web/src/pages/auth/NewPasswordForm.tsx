import { Button, PasswordInput, Stack } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { ApiError, messageOf } from '../../api/http';
import { passwordError } from './validate';

interface Props {
  label: string;
  submitLabel: string;
  onSubmit: (password: string) => void;
  pending: boolean;
  error: Error | null;
  /** Takes the error back: the user edits what it is about. */
  onEdit: () => void;
}

/** Asks for a password to be. */
export function NewPasswordForm({ label, submitLabel, onSubmit, pending, error, onEdit }: Props) {
  const [password, setPassword] = useState('');
  const [local, setLocal] = useState<string>();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const fault = passwordError(password);
    setLocal(fault);
    if (!fault) onSubmit(password);
  };
  const detail = error instanceof ApiError ? error.field('password') : null;

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        <PasswordInput
          label={label}
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
            if (error) onEdit(); // not a request under way
          }}
          error={local ?? (detail ? `Password ${detail}` : error ? messageOf(error) : null)}
        />
        <Button type="submit" size="md" mt="xs" fullWidth loading={pending}>
          {submitLabel}
        </Button>
      </Stack>
    </form>
  );
}
