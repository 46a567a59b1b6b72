import { Alert, Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { exportAccount } from '../../api/auth';
import { messageOf } from '../../api/http';
import { useUser } from '../../session/session';
import { ReauthenticateDialog } from './ReauthenticateDialog';
import { useRecentAuthentication } from './useRecentAuthentication';

export function ExportData() {
  const { slice } = useUser();
  const { run, dialog } = useRecentAuthentication();
  const fetchExport = useMutation({ mutationFn: () => run(exportAccount), onSuccess: (file) => file && save(file, 'account.json') });

  return (
    <Paper withBorder p="lg" component="section" aria-labelledby="export">
      <Stack gap="sm">
        <Title order={2} fz={20} id="export">
          Your data
        </Title>
        <Text size="sm">
          Your account with its sessions, tokens, mails and history is one file. Contacts, chats, messages and files are in your
          workspace, which makes an archive of its own; with many files it takes a while.
        </Text>
        {fetchExport.error && (
          <Alert color="red" variant="light" role="alert">
            {messageOf(fetchExport.error)}
          </Alert>
        )}
        <Group>
          <Button variant="default" leftSection={<IconDownload size={17} aria-hidden />} loading={fetchExport.isPending} onClick={() => fetchExport.mutate()}>
            Export my data
          </Button>
          {slice.state === 'assigned' && (
            <Button component="a" href="/api/export" download variant="default" leftSection={<IconDownload size={17} aria-hidden />}>
              Export my workspace
            </Button>
          )}
        </Group>
      </Stack>
      <ReauthenticateDialog {...dialog} />
    </Paper>
  );
}

function save(file: Blob, name: string) {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
