import { Avatar, Badge, Text } from '@mantine/core';
import { IconUsers } from '@tabler/icons-react';
import { memo, useId } from 'react';
import { NavLink } from 'react-router';
import type { Chat } from '../../api/types';
import { chatTitle, preview } from '../../format/chat';
import { fullTime, shortAgo } from '../../format/time';
import { AckTicks } from './AckTicks';
import classes from './ChatList.module.css';

/** More is shown as "99+". */
const MAX_UNREAD_SHOWN = 99;

export const ChatRow = memo(function ChatRow({ chat, now }: { chat: Chat; now: Date }) {
  const details = useId();
  const title = chatTitle(chat);
  const last = chat.last_message;
  return (
    <li className={classes.item}>
      <NavLink
        to={`/chats/${encodeURIComponent(chat.id)}`}
        className={({ isActive }) => `${classes.row} ${isActive ? classes.selected : ''}`}
        aria-label={title}
        aria-describedby={details}
      >
        <ChatAvatar chat={chat} size={46} />
        <div className={classes.text} id={details}>
          <div className={classes.line}>
            <Text className={classes.name ?? ''} fw={chat.unread > 0 ? 700 : 600} truncate>
              {title}
            </Text>
            {chat.last_message_at && (
              <Text
                size="xs"
                c={chat.unread > 0 ? 'var(--app-accent-text)' : 'dimmed'}
                fw={chat.unread > 0 ? 600 : 400}
                title={fullTime(chat.last_message_at)}
                component="time"
              >
                {shortAgo(chat.last_message_at, { now })}
              </Text>
            )}
          </div>
          <div className={classes.line}>
            <Text size="sm" c="dimmed" truncate className={classes.preview ?? ''}>
              {last?.direction === 'out' && <AckTicks ack={last.ack} />}
              <span data-testid="preview">{preview(last, chat.is_group)}</span>
            </Text>
            {chat.unread > 0 && (
              <Badge size="md" circle={chat.unread < 10} aria-label={`${chat.unread} unread`} data-testid="unread">
                {chat.unread > MAX_UNREAD_SHOWN ? `${MAX_UNREAD_SHOWN}+` : chat.unread}
              </Badge>
            )}
          </div>
        </div>
      </NavLink>
    </li>
  );
});

export function ChatAvatar({ chat, size }: { chat: Pick<Chat, 'id' | 'name' | 'phone' | 'is_group'>; size: number }) {
  // Initials only where there is a name: those of a number say nothing.
  return (
    <Avatar size={size} radius="xl" color="initials" {...(chat.name && !chat.is_group ? { name: chat.name } : {})} aria-hidden>
      {chat.is_group ? <IconUsers size={size * 0.5} aria-hidden /> : undefined}
    </Avatar>
  );
}
