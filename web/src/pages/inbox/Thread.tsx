import { Button, Loader, Skeleton, Stack, Text } from '@mantine/core';
import { IconArrowDown, IconMessageCircle, IconMessageOff } from '@tabler/icons-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { messageOf } from '../../api/http';
import { useLive } from '../../live/live';
import { allMessages } from '../../live/messagePages';
import { useMessages, useOutbox } from '../../live/queries';
import { DaySeparator, MessageBubble, OutboxBubble } from './MessageBubble';
import classes from './Thread.module.css';
import { groupByDay } from './groupByDay';
import { useSentinel } from './useSentinel';

/** Scrolled up further than this, a new message is announced rather than shown. */
const NEAR_BOTTOM_PX = 120;

interface Props {
  chatID: string;
  title: string;
  isGroup: boolean;
}

export function Thread({ chatID, title, isGroup }: Props) {
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useMessages(chatID);
  const pending = useOutbox(chatID);
  const { outbox } = useLive();
  const messages = useMemo(() => (data ? allMessages(data) : []), [data]);
  const days = useMemo(() => groupByDay(messages), [messages]);
  const sentinel = useSentinel<HTMLDivElement>(() => {
    if (!isFetchingNextPage) void fetchNextPage();
  }, hasNextPage);
  const { scroller, unseen, toBottom, onScroll } = useFollowBottom(messages.at(-1)?.id, pending.at(-1)?.clientID);

  return (
    <div className={classes.frame}>
      {/* Its one column is reversed: the browser itself then keeps the end in
          view, and what is read in place when older messages come in above. */}
      <div className={classes.scroller} ref={scroller} onScroll={onScroll} tabIndex={0} aria-label={`Conversation with ${title}`} role="region">
        <div className={classes.content} role="log" aria-label="Conversation">
          {!data && !error && <LoadingBubbles />}
          {!data && error && (
            <Stack align="center" ta="center" gap={6} m="auto" p="lg">
              <IconMessageOff size={40} stroke={1.3} aria-hidden />
              <Text fw={600}>The messages cannot be shown</Text>
              <Text size="sm" c="dimmed">
                {messageOf(error)}
              </Text>
              <Button variant="light" size="xs" onClick={() => void refetch()}>
                Try again
              </Button>
            </Stack>
          )}
          {data && messages.length === 0 && pending.length === 0 && (
            <Stack align="center" ta="center" gap={6} m="auto" p="lg">
              <IconMessageCircle size={40} stroke={1.3} color="var(--mantine-color-dimmed)" aria-hidden />
              <Text fw={600}>No messages yet</Text>
              <Text size="sm" c="dimmed">
                Write the first one.
              </Text>
            </Stack>
          )}
          {days.map((day) => (
            <section key={day.key} className={classes.day}>
              <DaySeparator iso={day.messages[0].sent_at} />
              {day.messages.map((message, i) => (
                <MessageBubble
                  key={message.client_id ?? message.id}
                  message={message}
                  // Bubbles of one sender in a row belong together.
                  first={i === 0 || day.messages[i - 1]?.sender_id !== message.sender_id}
                  showSender={isGroup}
                  onRetry={() => void outbox.add(chatID, message.text)}
                />
              ))}
            </section>
          ))}
          {pending.map((item) => (
            <OutboxBubble
              key={item.clientID}
              item={item}
              onRetry={() => void outbox.retry(item.clientID)}
              onDiscard={() => outbox.remove(item.clientID)}
            />
          ))}
        </div>
        {hasNextPage && (
          <div ref={sentinel} className={classes.older} role="status" aria-label="Loading older messages">
            <Loader size="sm" />
          </div>
        )}
      </div>
      {unseen && (
        <Button
          className={classes.newer ?? ''}
          size="xs"
          radius="xl"
          leftSection={<IconArrowDown size={15} aria-hidden />}
          onClick={toBottom}
        >
          New messages
        </Button>
      )}
    </div>
  );
}

/** Follows the end of the thread when the user is there or has just written. */
function useFollowBottom(lastID: string | undefined, lastSent: string | undefined) {
  const scroller = useRef<HTMLDivElement>(null);
  // The last message when the user scrolled up; null while the end is in view.
  const [leftAt, setLeftAt] = useState<{ lastID: string | undefined } | null>(null);
  const unseen = leftAt !== null && leftAt.lastID !== lastID;
  // In a reversed column the end is 0 and everything above it is negative.
  const away = () => Math.abs(scroller.current?.scrollTop ?? 0);
  const toBottom = () => scroller.current?.scrollTo({ top: 0 });

  useEffect(() => {
    if (lastSent !== undefined) toBottom();
  }, [lastSent]);
  useEffect(() => {
    if (leftAt === null) toBottom();
  }, [lastID, leftAt]);

  const onScroll = () => {
    if (away() < NEAR_BOTTOM_PX) setLeftAt(null);
    else setLeftAt((left) => left ?? { lastID });
  };
  return { scroller, unseen, toBottom, onScroll };
}

function LoadingBubbles() {
  return (
    <Stack gap="sm" p="md" mt="auto" role="status" aria-label="Loading messages">
      {[56, 38, 64, 30, 48].map((width, i) => (
        <Skeleton key={width} h={40} w={`${width}%`} radius="lg" ml={i % 2 === 0 ? 0 : 'auto'} />
      ))}
    </Stack>
  );
}
