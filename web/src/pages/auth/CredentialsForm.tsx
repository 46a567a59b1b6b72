import { Alert, Button, PasswordInput, Stack } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import { useState, type FormEvent } from 'react';
import type { Credentials } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
import { EmailField } from './EmailField';

type Errors = Partial<Record<keyof Credentials, string>>;

interface Props {
  submitLabel: string;
  /** Says in the browser already what the server would refuse. */
  validate: (credentials: Credentials) => Errors;
  onSubmit: (credentials: Credentials) => void;
  pending: boolean;
  error: Error | null;
  passwordHint?: string;
  newPassword?: boolean;
}

/** E-mail and password with their errors; the server's own are shown at their fields. */
export function CredentialsForm({ submitLabel, validate, onSubmit, pending, error, passwordHint, newPassword }: Props) {
  const [values, setValues] = useState<Credentials>({ email: '', password: '' });
  const [local, setLocal] = useState<Errors>({});
  // The server's errors go as soon as the user edits what they are about.
  const [edited, setEdited] = useState<ReadonlySet<keyof Credentials>>(new Set());

  const edit = (field: keyof Credentials, value: string) => {
    setValues({ ...values, [field]: value });
    setEdited(new Set([...edited, field]));
    setLocal({ ...local, [field]: undefined });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const errors = validate(values);
    setLocal(errors);
    setEdited(new Set());
    if (Object.values(errors).every((e) => e === undefined)) onSubmit(values);
  };
  const errorOf = (field: keyof Credentials, label: string) => {
    if (local[field]) return local[field];
    const detail = error instanceof ApiError && !edited.has(field) ? error.field(field) : null;
    return detail === null ? null : `${label} ${detail}`;
  };
  const hasLocal = Object.values(local).some((e) => e !== undefined);
  const inFields = error instanceof ApiError && (error.field('email') ?? error.field('password')) !== null;

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        {error && !inFields && !hasLocal && edited.size === 0 && (
          <Alert color="red" variant="light" icon={<IconAlertCircle aria-hidden />} role="alert">
            {messageOf(error)}
          </Alert>
        )}
        <EmailField value={values.email} onChange={(value) => edit('email', value)} error={errorOf('email', 'E-mail')} />
        <PasswordInput
          label="Password"
          name="password"
          size="md"
          autoComplete={newPassword ? 'new-password' : 'current-password'}
          description={passwordHint}
          visibilityToggleButtonProps={{ 'aria-label': 'Show or hide what you type', tabIndex: 0 }}
          value={values.password}
          onChange={(event) => edit('password', event.currentTarget.value)}
          error={errorOf('password', 'Password')}
        />
        <Button type="submit" size="md" mt="xs" fullWidth loading={pending}>
          {submitLabel}
        </Button>
      </Stack>
    </form>
  );
}
