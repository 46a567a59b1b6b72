import { Button, Stack } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { ApiError, messageOf } from '../../api/http';
import { EmailField } from './EmailField';

interface Props {
  submitLabel: string;
  onSubmit: (email: string) => void;
  pending: boolean;
  error: Error | null;
  /** Takes the error back: the user edits what it is about. */
  onEdit: () => void;
}

/** Asks for an address to send a link to. */
export function EmailForm({ submitLabel, onSubmit, pending, error, onEdit }: Props) {
  const [email, setEmail] = useState('');
  const [empty, setEmpty] = useState(false);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const trimmed = email.trim();
    setEmpty(trimmed === '');
    if (trimmed !== '') onSubmit(trimmed);
  };
  const detail = error instanceof ApiError ? error.field('email') : null;
  const shown = empty ? 'E-mail is required' : detail ? `E-mail ${detail}` : error ? messageOf(error) : null;

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        <EmailField
          value={email}
          onChange={(value) => {
            setEmail(value);
            setEmpty(false);
            if (error) onEdit(); // not a request under way
          }}
          error={shown}
        />
        <Button type="submit" size="md" mt="xs" fullWidth loading={pending}>
          {submitLabel}
        </Button>
      </Stack>
    </form>
  );
}
