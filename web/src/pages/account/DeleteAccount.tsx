import { Alert, Button, Group, Modal, Paper, Stack, Text, TextInput, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { cancelDeletion, scheduleDeletion } from '../../api/auth';
import { ApiError, messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import { fullTime } from '../../format/time';
import { useUser } from '../../session/session';
import { ReauthenticateDialog } from './ReauthenticateDialog';
import { useRecentAuthentication } from './useRecentAuthentication';

/** Has the account deleted, or lets it stay after all. */
export function DeleteAccount() {
  const { deletion_at: at } = useUser();
  const [confirming, confirm] = useDisclosure(false);
  return (
    <Paper withBorder p="lg" component="section" aria-labelledby="delete">
      <Stack gap="sm" align="flex-start">
        <Title order={2} fz={20} id="delete">
          Delete your account
        </Title>
        {at ? (
          <Scheduled at={at} />
        ) : (
          <>
            <Text size="sm">
              Your account and your workspace with all chats, contacts and files are removed for good. You have some days to change
              your mind; nothing is removed before that. What is in WhatsApp on your phone stays.
            </Text>
            <Button color="red" variant="light" onClick={confirm.open}>
              Delete my account
            </Button>
          </>
        )}
      </Stack>
      <Modal opened={confirming} onClose={confirm.close} title="Delete your account?">
        <ConfirmForm onClose={confirm.close} />
      </Modal>
    </Paper>
  );
}

function Scheduled({ at }: { at: string }) {
  const queryClient = useQueryClient();
  const cancel = useMutation({
    mutationFn: cancelDeletion,
    // Also when it failed: it may have been cancelled elsewhere.
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.me }),
  });
  return (
    <>
      <Text size="sm">
        Your account is going to be deleted on <strong>{fullTime(at)}</strong>. Until then you can work as before. Your other devices
        were logged out, and your API tokens have ended.
      </Text>
      {cancel.error && (
        <Alert color="red" variant="light" role="alert">
          {messageOf(cancel.error)}
        </Alert>
      )}
      <Button onClick={() => cancel.mutate()} loading={cancel.isPending}>
        Keep my account
      </Button>
    </>
  );
}

function ConfirmForm({ onClose }: { onClose: () => void }) {
  const { user } = useUser();
  const queryClient = useQueryClient();
  const { run, dialog } = useRecentAuthentication();
  const [typed, setTyped] = useState('');
  const schedule = useMutation({
    mutationFn: (email: string) => run(() => scheduleDeletion(email)),
    onSuccess: async (scheduled) => {
      if (!scheduled) return;
      await queryClient.invalidateQueries({ queryKey: keys.me });
      onClose();
    },
  });
  const detail = schedule.error instanceof ApiError ? schedule.error.field('email') : null;
  const error = detail ? `The address ${detail}` : schedule.error ? messageOf(schedule.error) : null;
  const matches = typed.trim().toLowerCase() === user.email;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (matches) schedule.mutate(typed.trim());
  };

  return (
    <>
      <form onSubmit={submit} noValidate>
        <Stack>
          <Text size="sm">
            Your other devices are logged out and your API tokens end at once. You may want to export your data first.
          </Text>
          <TextInput
            label={`Type ${user.email} to confirm`}
            name="email"
            type="email"
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            data-autofocus
            value={typed}
            onChange={(event) => {
              setTyped(event.currentTarget.value);
              if (schedule.isError) schedule.reset();
            }}
            error={error}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Keep my account
            </Button>
            <Button type="submit" color="red" disabled={!matches} loading={schedule.isPending}>
              Delete my account
            </Button>
          </Group>
        </Stack>
      </form>
      <ReauthenticateDialog {...dialog} />
    </>
  );
}
