import { Button, CloseButton, Skeleton, Stack, Text, TextInput } from '@mantine/core';
import { IconMessageOff, IconMessages, IconSearch, type Icon } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { messageOf } from '../../api/http';
import type { WhatsAppStatus } from '../../api/types';
import { matches } from '../../format/chat';
import { allChats } from '../../live/chatPages';
import type { useChats } from '../../live/queries';
import classes from './ChatList.module.css';
import { ChatRow } from './ChatRow';
import { useNow } from './useNow';
import { useSentinel } from './useSentinel';

interface Props {
  chats: ReturnType<typeof useChats>;
  status: WhatsAppStatus | undefined;
}

export function ChatList({ chats, status }: Props) {
  const [search, setSearch] = useState('');
  const now = useNow();
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage, refetch } = chats;
  const loaded = data ? allChats(data) : [];
  const shown = search.trim() === '' ? loaded : loaded.filter((chat) => matches(chat, search));
  const searching = search.trim() !== '';
  const more = () => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  };
  const sentinel = useSentinel<HTMLDivElement>(more, hasNextPage && !searching);

  return (
    <aside className={classes.panel} aria-label="Chats">
      <div className={classes.top}>
        <TextInput
          aria-label="Search chats"
          placeholder="Search chats"
          leftSection={<IconSearch size={17} aria-hidden />}
          rightSection={searching ? <CloseButton size="sm" aria-label="Clear the search" onClick={() => setSearch('')} /> : null}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
          radius="xl"
        />
      </div>
      <div className={classes.scroll}>
        {!data && !error && <LoadingRows />}
        {!data && error && (
          <Nothing icon={IconMessageOff} title="The chats cannot be shown" text={messageOf(error)}>
            <Button variant="light" size="xs" onClick={() => void refetch()}>
              Try again
            </Button>
          </Nothing>
        )}
        {data && loaded.length === 0 && (
          <Nothing
            icon={IconMessages}
            title={status?.state === 'syncing' ? 'Loading your chats…' : 'No chats yet'}
            text="When a customer writes to you, the chat appears here."
          />
        )}
        {searching && loaded.length > 0 && shown.length === 0 && (
          <Nothing icon={IconSearch} title="No chat found" text={`Nothing matches “${search.trim()}”.`} />
        )}
        <ul className={classes.list}>
          {shown.map((chat) => (
            <ChatRow key={chat.id} chat={chat} now={now} />
          ))}
        </ul>
        {hasNextPage && (
          <div ref={sentinel} className={classes.more}>
            {searching ? (
              <Button variant="subtle" size="xs" onClick={more} loading={isFetchingNextPage}>
                Search older chats, too
              </Button>
            ) : (
              <Skeleton h={52} radius="md" />
            )}
          </div>
        )}
      </div>
    </aside>
  );
}

function Nothing({ icon: Icon, title, text, children }: { icon: Icon; title: string; text: string; children?: ReactNode }) {
  return (
    <Stack align="center" ta="center" gap={6} px="xl" py={56}>
      <Icon size={40} stroke={1.3} color="var(--mantine-color-dimmed)" aria-hidden />
      <Text fw={600}>{title}</Text>
      <Text size="sm" c="dimmed">
        {text}
      </Text>
      {children}
    </Stack>
  );
}

function LoadingRows() {
  return (
    <div role="status" aria-label="Loading chats">
      {Array.from({ length: 7 }, (_, i) => (
        <div key={i} className={classes.loadingRow}>
          <Skeleton circle h={46} w={46} />
          <Stack gap={9} flex={1} justify="center">
            <Skeleton h={12} w={`${45 + ((i * 17) % 30)}%`} />
            <Skeleton h={10} w={`${60 + ((i * 23) % 35)}%`} />
          </Stack>
        </div>
      ))}
    </div>
  );
}
