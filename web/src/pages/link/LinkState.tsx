import { Alert, Button, Loader, Stack, Text, ThemeIcon, Title } from '@mantine/core';
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCloudOff,
  IconDevicesX,
  IconFingerprint,
  IconLinkOff,
  IconPassword,
  type Icon,
} from '@tabler/icons-react';
import { Link } from 'react-router';
import type { WhatsAppState, WhatsAppStatus } from '../../api/types';
import { accountTitle } from '../../format/chat';
import { shortAgo } from '../../format/time';

interface View {
  /** null: something is going on, so a spinner turns. */
  icon: Icon | null;
  color: string;
  title: string;
  text: string;
}

// "qr" is here for the moment in which the state has come but no code yet.
const VIEWS: Record<WhatsAppState, View> = {
  starting: { icon: null, color: 'lagoon', title: 'Starting WhatsApp', text: 'Your own WhatsApp Web is being opened. This takes a few seconds.' },
  qr: { icon: null, color: 'lagoon', title: 'Getting a code', text: 'The code that your phone scans will be here in a moment.' },
  syncing: { icon: null, color: 'lagoon', title: 'Your phone is linked', text: 'Chats and messages are being loaded. Keep WhatsApp on your phone open until this is done.' },
  pairing_code: { icon: IconPassword, color: 'lagoon', title: 'Waiting for your phone', text: 'A linking code was asked for. Enter it on your phone under Linked devices.' },
  passkey_required: { icon: IconFingerprint, color: 'yellow', title: 'WhatsApp asks for your passkey', text: 'Your account is protected by a passkey. Confirm the new device on your phone to go on.' },
  ready: { icon: IconCircleCheck, color: 'green', title: 'WhatsApp is linked', text: 'Messages arrive here, also while your browser is closed.' },
  offline: { icon: IconCloudOff, color: 'orange', title: 'WhatsApp is offline', text: 'The connection to WhatsApp was lost. It is tried again all the time; nothing is lost meanwhile.' },
  conflict: { icon: IconDevicesX, color: 'orange', title: 'WhatsApp is open elsewhere', text: 'This session was opened in another place. Close it there, and it comes back here.' },
  logged_out: { icon: IconLinkOff, color: 'gray', title: 'WhatsApp was unlinked', text: 'This device was logged out. A new code to link it again is on its way.' },
  failed: { icon: IconAlertTriangle, color: 'red', title: 'WhatsApp does not work right now', text: 'It is started again automatically. If this stays, tell us and include the reason below.' },
};

/** Every state but a code to scan: what it is, why, and what can be done. */
export function LinkState({ status }: { status: WhatsAppStatus }) {
  const { icon: StateIcon, color, title, text } = VIEWS[status.state];
  const { account } = status;
  return (
    <Stack align="center" ta="center" gap="md" py="lg" role="status" data-state={status.state}>
      <ThemeIcon size={84} radius={26} variant="light" color={color}>
        {StateIcon ? <StateIcon size={42} stroke={1.5} aria-hidden /> : <Loader size={34} color={color} aria-hidden />}
      </ThemeIcon>
      <Title order={1} fz={25}>
        {title}
      </Title>
      <Text c="dimmed" maw={420}>
        {text}
      </Text>
      {account && (
        <Text fw={600}>
          {account.name && account.phone ? `${account.name} · ${account.phone}` : accountTitle(account)}
        </Text>
      )}
      {status.reason !== '' && (
        <Alert color={color} variant="light" ta="start" maw={460} title="Reason">
          {status.reason}
        </Alert>
      )}
      {(status.state === 'ready' || account) && (
        <Button component={Link} to="/chats" mt="xs">
          Go to your chats
        </Button>
      )}
      {status.state !== 'ready' && (
        <Text size="xs" c="dimmed">
          {sinceText(status.since)}
        </Text>
      )}
    </Stack>
  );
}

function sinceText(since: string): string {
  const ago = shortAgo(since);
  return ago === 'now' ? 'Since just now' : ago.endsWith('min') ? `For ${ago}` : `Since ${ago}`;
}
