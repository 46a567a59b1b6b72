import { Alert, Anchor } from '@mantine/core';
import { Link, Navigate, Outlet, useParams } from 'react-router';
import type { WhatsAppStatus } from '../../api/types';
import { STATES, isUnlinked } from '../../components/whatsappStates';
import { allChats } from '../../live/chatPages';
import { useChats, useWhatsApp } from '../../live/queries';
import { ChatList } from './ChatList';
import classes from './ChatsPage.module.css';

/** The list of chats beside the thread of one; on a narrow screen one of the two. */
export function ChatsPage() {
  const chats = useChats();
  const { data: status } = useWhatsApp();
  const { chatID } = useParams();

  // Nobody's phone was linked yet: that comes first.
  const neverLinked =
    chats.data && allChats(chats.data).length === 0 && status && !status.account &&
    (isUnlinked(status.state) || status.state === 'starting' || status.state === 'failed');
  if (neverLinked) return <Navigate to="/link" replace />;

  return (
    <div className={classes.page}>
      {status && <ConnectionBanner status={status} />}
      <div className={classes.inbox} data-open={chatID !== undefined}>
        <ChatList chats={chats} status={status} />
        <section className={classes.thread}>
          <Outlet />
        </section>
      </div>
    </div>
  );
}

function ConnectionBanner({ status }: { status: WhatsAppStatus }) {
  if (status.state === 'ready' || status.state === 'syncing') return null;
  const unlinked = isUnlinked(status.state);
  return (
    <Alert
      className={classes.banner ?? ''}
      color={unlinked ? 'yellow' : STATES[status.state].color}
      variant="light"
      radius={0}
      role="status"
    >
      {BANNERS[status.state] ?? 'WhatsApp is not linked: messages are neither received nor sent.'}{' '}
      <Anchor component={Link} to="/link" size="sm" c="inherit" fw={650} underline="always">
        {unlinked ? 'Link it' : 'Details'}
      </Anchor>
    </Alert>
  );
}

const BANNERS: Partial<Record<WhatsAppStatus['state'], string>> = {
  starting: 'WhatsApp is starting. Messages arrive in a moment.',
  offline: 'WhatsApp is offline. It is tried again all the time.',
  conflict: 'WhatsApp is open in another place.',
  failed: 'WhatsApp does not work right now.',
};
