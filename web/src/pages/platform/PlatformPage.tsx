import { Alert, Container, Group, Paper, SimpleGrid, Skeleton, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconAlertCircle } from '@tabler/icons-react';
import { useState } from 'react';
import { fetchPool } from '../../api/admin';
import { messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import type { Pool, SliceState } from '../../api/types';
import { Header } from '../../components/Header';
import classes from './PlatformPage.module.css';
import { SliceTable } from './SliceTable';
import { REFRESH_MS, STATE_COLORS, SLICE_STATES } from './sliceStates';

/** For admins: the warm pool and every slice. Named so that the router can load it when it is needed. */
export function Component() {
  const [state, setState] = useState<SliceState | null>(null);
  const pool = useQuery({
    queryKey: keys.pool,
    queryFn: ({ signal }) => fetchPool(signal),
    refetchInterval: REFRESH_MS,
  });

  return (
    <div className={classes.page}>
      <Header />
      <Container component="main" size="xl" py="xl" w="100%">
        <Title order={1} mb={4}>
          Platform
        </Title>
        <Text c="dimmed" mb="lg">
          The warm pool and every slice. Updated every {REFRESH_MS / 1000} seconds.
        </Text>
        {pool.error && (
          <Alert color="red" variant="light" mb="lg" icon={<IconAlertCircle aria-hidden />} role="alert">
            {messageOf(pool.error)}
          </Alert>
        )}
        {pool.data ? <PoolCards pool={pool.data} /> : pool.isPending && <LoadingCards />}
        <StateCounts pool={pool.data} selected={state} onSelect={setState} />
        <SliceTable state={state} />
      </Container>
    </div>
  );
}

function PoolCards({ pool }: { pool: Pool }) {
  const warm = pool.slices.warm ?? 0;
  const short = warm < pool.target;
  const cards = [
    { label: 'Warm', value: warm, note: `target ${pool.target}`, alert: short },
    { label: 'Waiting users', value: pool.queued, note: pool.queued === 0 ? 'nobody waits' : 'in the queue', alert: pool.queued > 0 },
    { label: 'Assigned', value: pool.slices.assigned ?? 0, note: 'serve a user', alert: false },
    {
      label: 'Being made',
      value: (pool.slices.requested ?? 0) + (pool.slices.provisioning ?? 0),
      note: 'requested or provisioning',
      alert: false,
    },
    { label: 'Failed', value: pool.slices.failed ?? 0, note: 'being removed', alert: (pool.slices.failed ?? 0) > 0 },
  ];
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} mb="lg">
      {cards.map(({ label, value, note, alert }) => (
        <Paper key={label} withBorder p="lg" className={classes.card ?? ''}>
          <Text size="sm" c="dimmed" fw={600}>
            {label}
          </Text>
          <Text fz={34} fw={700} lh={1.25} c={alert ? 'var(--mantine-color-orange-text)' : 'inherit'} className={classes.number ?? ''}>
            {value}
          </Text>
          <Text size="xs" c="dimmed">
            {note}
          </Text>
        </Paper>
      ))}
    </SimpleGrid>
  );
}

interface CountsProps {
  pool: Pool | undefined;
  selected: SliceState | null;
  onSelect: (state: SliceState | null) => void;
}

/** The states with their counts; choosing one filters the table. */
function StateCounts({ pool, selected, onSelect }: CountsProps) {
  return (
    <Group gap="xs" mb="md" role="group" aria-label="Filter by state">
      <button type="button" className={classes.chip} aria-pressed={selected === null} onClick={() => onSelect(null)}>
        All
      </button>
      {SLICE_STATES.map((state) => (
        <button
          key={state}
          type="button"
          className={classes.chip}
          aria-pressed={selected === state}
          onClick={() => onSelect(selected === state ? null : state)}
        >
          <span className={classes.dot} style={{ background: `var(--mantine-color-${STATE_COLORS[state]}-6)` }} />
          {state}
          <span className={classes.count}>{pool?.slices[state] ?? 0}</span>
        </button>
      ))}
    </Group>
  );
}

function LoadingCards() {
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} mb="lg" role="status" aria-label="Loading the pool">
      {Array.from({ length: 5 }, (_, i) => (
        <Skeleton key={i} h={121} radius="lg" />
      ))}
    </SimpleGrid>
  );
}
