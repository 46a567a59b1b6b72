import { Alert, Button, Divider, Stack } from '@mantine/core';
import { IconAlertCircle, IconFingerprint } from '@tabler/icons-react';
import { messageOf } from '../../api/http';
import { passkeyDismissed, passkeysSupported } from '../../api/passkeys';
import { useLogInWithPasskey } from '../../session/session';

/** The other way to log in, where the browser knows passkeys. */
export function PasskeyLogIn() {
  const logIn = useLogInWithPasskey();
  if (!passkeysSupported()) return null;
  return (
    <Stack gap="md" mt="md">
      <Divider label="or" />
      {logIn.error && !passkeyDismissed(logIn.error) && (
        <Alert color="red" variant="light" icon={<IconAlertCircle aria-hidden />} role="alert">
          {messageOf(logIn.error)}
        </Alert>
      )}
      <Button
        variant="default"
        size="md"
        fullWidth
        leftSection={<IconFingerprint size={20} aria-hidden />}
        loading={logIn.isPending}
        onClick={() => logIn.mutate()}
      >
        Log in with a passkey
      </Button>
    </Stack>
  );
}
