import { ActionIcon, Text } from '@mantine/core';
import { IconArrowLeft } from '@tabler/icons-react';
import { Link, Navigate, useParams } from 'react-router';
import { isUnlinked } from '../../components/whatsappStates';
import { chatTitle, titleOfID } from '../../format/chat';
import { useLive } from '../../live/live';
import { useWhatsApp } from '../../live/queries';
import { ChatAvatar } from './ChatRow';
import { Composer } from './Composer';
import { Thread } from './Thread';
import classes from './ThreadPage.module.css';
import { useChat } from './useChat';
import { useMarkRead } from './useMarkRead';

export function ThreadPage() {
  const { chatID } = useParams();
  if (chatID === undefined) return <Navigate to="/chats" replace />;
  return <OpenChat key={chatID} chatID={chatID} />;
}

function OpenChat({ chatID }: { chatID: string }) {
  const chat = useChat(chatID);
  const { outbox } = useLive();
  const { data: status } = useWhatsApp();
  useMarkRead(chat);
  const shown = chat ?? { id: chatID, name: '', phone: null, is_group: chatID.endsWith('@g.us') };
  const title = chatTitle(shown);
  const subtitle = shown.is_group ? 'Group' : (shown.phone ?? titleOfID(chatID));

  return (
    <>
      <header className={classes.header}>
        <ActionIcon
          component={Link}
          to="/chats"
          variant="subtle"
          color="gray"
          size="lg"
          aria-label="Back to the chats"
          className={classes.back ?? ''}
        >
          <IconArrowLeft size={21} aria-hidden />
        </ActionIcon>
        <ChatAvatar chat={shown} size={40} />
        <div className={classes.title}>
          <Text component="h1" fw={650} truncate lh={1.3}>
            {title}
          </Text>
          {subtitle !== title && (
            <Text size="xs" c="dimmed" truncate>
              {subtitle}
            </Text>
          )}
        </div>
      </header>
      <Thread chatID={chatID} title={title} isGroup={shown.is_group} />
      <Composer
        chatID={chatID}
        disabled={status ? isUnlinked(status.state) : false}
        onSend={(text) => void outbox.add(chatID, text)}
      />
    </>
  );
}
