import { Alert, Badge, Button, Center, Paper, Skeleton, Table, Text } from '@mantine/core';
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { IconAlertCircle } from '@tabler/icons-react';
import { fetchSlices } from '../../api/admin';
import { messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import type { SliceRow, SliceState } from '../../api/types';
import { fullTime, longAgo } from '../../format/time';
import { REFRESH_MS, STATE_COLORS } from './sliceStates';

export function SliceTable({ state }: { state: SliceState | null }) {
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery({
    queryKey: keys.slices(state),
    queryFn: ({ pageParam, signal }) => fetchSlices(state, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });
  const slices = data?.pages.flatMap((page) => page.slices) ?? [];

  return (
    <>
      {error && (
        <Alert color="red" variant="light" mb="md" icon={<IconAlertCircle aria-hidden />} role="alert">
          {messageOf(error)}
        </Alert>
      )}
      <Paper withBorder>
        <Table.ScrollContainer minWidth={760}>
          <Table verticalSpacing="sm" horizontalSpacing="lg" highlightOnHover aria-label="Slices">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Slice</Table.Th>
                <Table.Th>State</Table.Th>
                <Table.Th>User</Table.Th>
                <Table.Th>Generation</Table.Th>
                <Table.Th>Requested</Table.Th>
                <Table.Th>In this state since</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {slices.map((slice) => (
                <Row key={slice.number} slice={slice} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
        {!data && !error && <Skeleton h={180} m="lg" w="auto" aria-label="Loading the slices" />}
        {data && slices.length === 0 && (
          <Text c="dimmed" ta="center" py={48}>
            {state ? `No slice is ${state}.` : 'There is no slice yet.'}
          </Text>
        )}
      </Paper>
      {hasNextPage && (
        <Center mt="md">
          <Button variant="default" onClick={() => void fetchNextPage()} loading={isFetchingNextPage}>
            Show more
          </Button>
        </Center>
      )}
    </>
  );
}

function Row({ slice }: { slice: SliceRow }) {
  return (
    <Table.Tr>
      <Table.Td fw={600}>slice-{slice.number}</Table.Td>
      <Table.Td>
        <Badge variant="light" color={STATE_COLORS[slice.state]} tt="none">
          {slice.state}
        </Badge>
        {slice.failure && (
          <Text size="xs" c="red" mt={4} maw={320}>
            {slice.failure}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{slice.user_email || <Text c="dimmed" span size="sm">none</Text>}</Table.Td>
      <Table.Td>{slice.generation}</Table.Td>
      <Table.Td>
        <Ago iso={slice.requested_at} />
      </Table.Td>
      <Table.Td>
        <Ago iso={slice.state_changed_at} />
      </Table.Td>
    </Table.Tr>
  );
}

function Ago({ iso }: { iso: string }) {
  return (
    <Text size="sm" component="time" dateTime={iso} title={fullTime(iso)}>
      {longAgo(iso)}
    </Text>
  );
}
