import { Group, Loader, Paper, Progress, RingProgress, Stack, Text, Title } from '@mantine/core';
import type { SliceStatus } from '../../api/types';
import { Header } from '../../components/Header';
import { roughly } from '../../format/time';
import { useSliceEvents } from '../../session/useSliceEvents';
import classes from './waiting.module.css';

/** Shown until the user's workspace is there; the gate above replaces it then. */
export function WaitingPage({ slice }: { slice: SliceStatus }) {
  const { live } = useSliceEvents();
  return (
    <div className={classes.page}>
      <Header />
      <main className={classes.main}>
        <Paper className={classes.card} withBorder shadow="sm">
          <Stack align="center" gap="lg" role="status" aria-live="polite">
            <RingProgress
              size={150}
              thickness={9}
              roundCaps
              className={classes.ring ?? ''}
              sections={[{ value: 28, color: 'lagoon' }]}
              label={
                <div className={classes.position} data-testid="queue-position">
                  {slice.position ?? <Loader type="dots" size="md" component="span" />}
                </div>
              }
            />
            <Title order={1} fz={25}>
              Setting up your workspace
            </Title>
            <Text c="dimmed" maw={380}>
              {place(slice.position)} {wait(slice.estimate_seconds)}
            </Text>
            <Progress value={100} animated size="sm" w="100%" aria-label="Waiting" />
            <Group gap={8}>
              <span className={classes.dot} data-live={live} />
              <Text size="sm" c="dimmed">
                {live ? 'Updated live' : 'Checking every few seconds'}. You can leave this page: your place is kept.
              </Text>
            </Group>
          </Stack>
        </Paper>
      </main>
    </div>
  );
}

function place(position: number | null): string {
  if (position === null) return 'Your own container and database are being prepared.';
  if (position === 1) return 'You are next in the queue.';
  return `You are number ${position} in the queue.`;
}

function wait(seconds: number | null): string {
  return seconds === null ? 'It usually takes less than a minute.' : `It should take ${roughly(seconds)}.`;
}
