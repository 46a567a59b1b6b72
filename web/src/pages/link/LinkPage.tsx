import { Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { useNavigate } from 'react-router';
import { messageOf } from '../../api/http';
import type { WhatsAppState } from '../../api/types';
import { useWhatsApp } from '../../live/queries';
import classes from './LinkPage.module.css';
import { LinkState } from './LinkState';
import { QRPanel } from './QRPanel';

/** Links a phone, and says how the connection stands in all its states. */
export function LinkPage() {
  const { data: status, error, refetch } = useWhatsApp();
  useLeaveWhenLinked(status?.state);

  return (
    <div className={classes.page}>
      <Paper className={classes.card} withBorder shadow="sm">
        {status?.state === 'qr' && status.qr ? (
          <QRPanel qr={status.qr} />
        ) : status ? (
          <LinkState status={status} />
        ) : error ? (
          <Stack align="center" ta="center" gap="xs" py="xl">
            <Title order={1} fz={24}>
              The connection cannot be shown
            </Title>
            <Text c="dimmed">{messageOf(error)}</Text>
            <button type="button" className={classes.textButton} onClick={() => void refetch()}>
              Try again
            </button>
          </Stack>
        ) : (
          <LoadingPanel />
        )}
      </Paper>
    </div>
  );
}

// Who has just linked a phone wants to see the chats; who came here while it is
// linked wants to see the connection.
function useLeaveWhenLinked(state: WhatsAppState | undefined) {
  const navigate = useNavigate();
  const before = useRef(state);
  useEffect(() => {
    if (before.current !== undefined && before.current !== 'ready' && state === 'ready') {
      void navigate('/chats', { replace: true });
    }
    before.current = state;
  }, [state, navigate]);
}

function LoadingPanel() {
  return (
    <div className={classes.columns} role="status" aria-label="Loading">
      <Stack flex={1} w="100%">
        <Skeleton h={30} w="70%" />
        <Skeleton h={16} />
        <Skeleton h={16} w="90%" />
        <Skeleton h={16} w="80%" />
      </Stack>
      <Skeleton w={282} h={282} radius="lg" />
    </div>
  );
}
