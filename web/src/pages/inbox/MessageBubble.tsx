import { Anchor, Text, UnstyledButton } from '@mantine/core';
import { memo } from 'react';
import type { Message } from '../../api/types';
import { linkify, messageText } from '../../format/chat';
import { dayLabel, fullTime, timeOfDay } from '../../format/time';
import type { OutboxItem } from '../../live/outbox';
import { AckTicks } from './AckTicks';
import classes from './MessageBubble.module.css';

interface Props {
  message: Message;
  /** The first of several by one sender. */
  first: boolean;
  showSender: boolean;
  onRetry: () => void;
}

export const MessageBubble = memo(
  function MessageBubble({ message, first, showSender, onRetry }: Props) {
    const { direction, ack, sent_at } = message;
    const failed = direction === 'out' && ack === 'failed';
    return (
      <article className={classes.row} data-direction={direction} data-first={first} data-message-id={message.id}>
        <div className={classes.bubble} data-failed={failed}>
          {showSender && first && direction === 'in' && message.sender_name && (
            <Text size="xs" fw={700} c="var(--app-accent-text)">
              {message.sender_name}
            </Text>
          )}
          {message.quoted && (
            <div className={classes.quoted}>
              <Text size="xs" fw={700}>
                {message.quoted.sender_name}
              </Text>
              {messageText(message.quoted)}
            </div>
          )}
          {message.media && !message.deleted_at && <MediaOf message={message} />}
          {!isFileName(message) && <MessageText text={messageText(message)} muted={message.text === ''} />}
          <span className={classes.meta}>
            {message.edited_at && <span>edited</span>}
            <time dateTime={sent_at} title={fullTime(sent_at)}>
              {timeOfDay(sent_at)}
            </time>
            {direction === 'out' && <AckTicks ack={ack} />}
          </span>
        </div>
        {message.reactions && message.reactions.length > 0 && (
          <div className={classes.reactions}>{message.reactions.map((r) => r.emoji).join(' ')}</div>
        )}
        {failed && <Failure text={message.failure || 'WhatsApp did not send this message.'} onRetry={onRetry} />}
      </article>
    );
  },
  // onRetry is made anew each time but does the same.
  (a, b) => a.message === b.message && a.first === b.first && a.showSender === b.showSender,
);

/** WhatsApp gives a document without a caption its file's name as text; the link to the file says that already. */
const isFileName = (message: Message) => message.type === 'document' && !message.deleted_at && message.media?.name === message.text;

export function OutboxBubble({ item, onRetry, onDiscard }: { item: OutboxItem; onRetry: () => void; onDiscard: () => void }) {
  const failed = item.state === 'failed';
  return (
    <article className={classes.row} data-direction="out" data-first={true}>
      <div className={classes.bubble} data-failed={failed} data-sending={!failed}>
        <MessageText text={item.text} />
        <span className={classes.meta}>
          <time dateTime={item.createdAt}>{timeOfDay(item.createdAt)}</time>
          <AckTicks ack={failed ? 'failed' : 'pending'} />
        </span>
      </div>
      {failed && <Failure text={item.error ?? 'The message was not sent.'} onRetry={onRetry} onDiscard={onDiscard} />}
    </article>
  );
}

export function DaySeparator({ iso }: { iso: string }) {
  return (
    <h2 className={classes.separator}>
      <span>{dayLabel(iso)}</span>
    </h2>
  );
}

/** A picture, or a link to any other file; the slice fetches it from WhatsApp. */
function MediaOf({ message }: { message: Message }) {
  const href = `/api/messages/${encodeURIComponent(message.id)}/media`;
  const { mime_type = '', name = '' } = message.media ?? {};
  if (mime_type.startsWith('image/')) {
    return <img className={classes.picture} src={href} alt={name || 'Photo'} loading="lazy" />;
  }
  return (
    <Anchor className={classes.file} href={href} target="_blank" rel="noopener noreferrer" c="inherit" underline="always" inherit>
      {name || 'Open the file'}
    </Anchor>
  );
}

function MessageText({ text, muted = false }: { text: string; muted?: boolean }) {
  return (
    <span className={classes.text} data-muted={muted} dir="auto">
      {linkify(text).map((part, i) =>
        part.href ? (
          <Anchor key={i} href={part.href} target="_blank" rel="noopener noreferrer" c="inherit" underline="always" inherit>
            {part.text}
          </Anchor>
        ) : (
          part.text
        ),
      )}
    </span>
  );
}

function Failure({ text, onRetry, onDiscard }: { text: string; onRetry: () => void; onDiscard?: () => void }) {
  return (
    <div className={classes.failure} role="alert">
      <Text size="xs" span>
        {text}
      </Text>
      <UnstyledButton className={classes.action} onClick={onRetry}>
        Try again
      </UnstyledButton>
      {onDiscard && (
        <UnstyledButton className={classes.action} onClick={onDiscard}>
          Discard
        </UnstyledButton>
      )}
    </div>
  );
}
