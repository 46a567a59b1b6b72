import { Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { reauthenticate } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
import { passkeyDismissed, passkeysSupported, reauthenticateWithPasskey } from '../../api/passkeys';
import type { DialogProps } from './useRecentAuthentication';

/** Asks for the password, and for a code where there is a second factor; or for a passkey. */
export function ReauthenticateDialog({ opened, onDone }: DialogProps) {
  return (
    <Modal opened={opened} onClose={() => onDone(false)} title="Confirm that it is you">
      <PasswordForm onDone={onDone} />
    </Modal>
  );
}

function PasswordForm({ onDone }: Pick<DialogProps, 'onDone'>) {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [withCode, setWithCode] = useState(false);
  const prove = useMutation({
    mutationFn: reauthenticate,
    onSuccess: () => onDone(true),
    onError: (error) => {
      if (error instanceof ApiError && error.field('code')) setWithCode(true);
    },
  });
  const passkey = useMutation({ mutationFn: reauthenticateWithPasskey, onSuccess: () => onDone(true) });
  const detail = (field: string) => (prove.error instanceof ApiError ? prove.error.field(field) : null);
  const wrongPassword = detail('password');
  // That a code is missing is no mistake the first time.
  const wrongCode = prove.variables?.code ? detail('code') : null;
  const other = prove.error && !wrongPassword && !detail('code') ? messageOf(prove.error) : null;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    prove.mutate(withCode ? { password, code: code.trim() } : { password });
  };

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <Text size="sm">This needs your password once more.</Text>
        <PasswordInput
          label="Password"
          name="password"
          autoComplete="current-password"
          data-autofocus
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={wrongPassword ? `Password ${wrongPassword}` : other}
        />
        {withCode && (
          <TextInput
            label="Code"
            description="From your authenticator app, or a recovery code"
            name="code"
            autoComplete="one-time-code"
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
            error={wrongCode ? `Code ${wrongCode}` : null}
          />
        )}
        {passkey.error && !passkeyDismissed(passkey.error) && (
          <Text size="sm" c="red" role="alert">
            {messageOf(passkey.error)}
          </Text>
        )}
        <Group justify="flex-end">
          {passkeysSupported() && (
            <Button variant="subtle" mr="auto" loading={passkey.isPending} onClick={() => passkey.mutate()}>
              Use a passkey
            </Button>
          )}
          <Button variant="default" onClick={() => onDone(false)}>
            Cancel
          </Button>
          <Button type="submit" loading={prove.isPending}>
            Confirm
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
