import { Alert, Button, Group, Modal, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconFingerprint } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { ApiError, messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import { createPasskey, deletePasskey, fetchPasskeys, passkeyDismissed, passkeyIsThere, passkeysSupported, type Passkey } from '../../api/passkeys';
import { fullTime } from '../../format/time';
import { ReauthenticateDialog } from './ReauthenticateDialog';
import { useRecentAuthentication } from './useRecentAuthentication';

/** Ways to log in without the password. */
export function Passkeys() {
  const passkeys = useQuery({ queryKey: keys.passkeys, queryFn: ({ signal }) => fetchPasskeys(signal) });
  const [adding, add] = useDisclosure(false);
  return (
    <Paper withBorder p="lg" component="section" aria-labelledby="passkeys">
      <Stack gap="sm">
        <Title order={2} fz={20} id="passkeys">
          Passkeys
        </Title>
        <Text size="sm">
          Log in with your fingerprint, your face or the PIN of your device, without password and code. Your password stays good as
          well.
        </Text>
        {passkeys.error && (
          <Alert color="red" variant="light" role="alert">
            {messageOf(passkeys.error)}
          </Alert>
        )}
        {passkeys.data?.map((passkey) => <Row key={passkey.id} passkey={passkey} />)}
        {passkeysSupported() ? (
          <Group>
            <Button variant="default" leftSection={<IconFingerprint size={17} aria-hidden />} onClick={add.open}>
              Add a passkey
            </Button>
          </Group>
        ) : (
          <Text size="sm" c="dimmed">
            This browser cannot add passkeys here.
          </Text>
        )}
      </Stack>
      <Modal opened={adding} onClose={add.close} title="Add a passkey">
        <AddForm onClose={add.close} />
      </Modal>
    </Paper>
  );
}

function Row({ passkey }: { passkey: Passkey }) {
  const queryClient = useQueryClient();
  const { run, dialog } = useRecentAuthentication();
  const [asking, ask] = useDisclosure(false);
  const remove = useMutation({
    mutationFn: () => run(() => deletePasskey(passkey.id)),
    // Also when it failed: it may have been removed elsewhere.
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.passkeys }),
  });
  const used = passkey.last_used_at ? `used ${fullTime(passkey.last_used_at)}` : 'never used';
  return (
    <Group justify="space-between" wrap="nowrap" role="group" aria-label={passkey.name}>
      <div>
        <Text fw={600} style={{ overflowWrap: 'anywhere' }}>
          {passkey.name}
        </Text>
        <Text size="sm" c="dimmed">
          Added {fullTime(passkey.created_at)}, {used}
          {passkey.synced && ', synced between devices'}
        </Text>
        {remove.error && (
          <Text size="sm" c="red" role="alert">
            {messageOf(remove.error)}
          </Text>
        )}
      </div>
      <Button variant="subtle" color="red" loading={remove.isPending} onClick={ask.open}>
        Remove
      </Button>
      <Modal opened={asking} onClose={ask.close} title={`Remove ${passkey.name}?`}>
        <Stack>
          <Text size="sm">Nobody can log in with it any more. Your device may go on offering it until you remove it there, too.</Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={ask.close}>
              Keep it
            </Button>
            <Button
              color="red"
              onClick={() => {
                ask.close();
                remove.mutate();
              }}
            >
              Remove the passkey
            </Button>
          </Group>
        </Stack>
      </Modal>
      <ReauthenticateDialog {...dialog} />
    </Group>
  );
}

function AddForm({ onClose }: { onClose: () => void }) {
  const queryClient = useQueryClient();
  const { run, dialog } = useRecentAuthentication();
  const [name, setName] = useState('');
  const [empty, setEmpty] = useState(false);
  const add = useMutation({
    mutationFn: (name: string) => run(() => createPasskey(name)),
    onSuccess: async (added) => {
      if (!added) return;
      await queryClient.invalidateQueries({ queryKey: keys.passkeys });
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setEmpty(name.trim() === '');
    if (name.trim() !== '') add.mutate(name.trim());
  };
  return (
    <>
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label="Name"
            description="By which you know it again, such as My laptop"
            name="passkey"
            autoComplete="off"
            maxLength={100}
            data-autofocus
            value={name}
            onChange={(event) => {
              setName(event.currentTarget.value);
              setEmpty(false);
              if (add.isError) add.reset();
            }}
            error={empty ? 'Name is required' : faultOf(add.error)}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={add.isPending}>
              Go on
            </Button>
          </Group>
        </Stack>
      </form>
      <ReauthenticateDialog {...dialog} />
    </>
  );
}

function faultOf(error: Error | null): string | null {
  if (!error || passkeyDismissed(error)) return null;
  if (passkeyIsThere(error)) return 'There is a passkey for your account on this device already.';
  const detail = error instanceof ApiError ? error.field('name') : null;
  return detail ? `Name ${detail}` : messageOf(error);
}
