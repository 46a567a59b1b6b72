import { Avatar, Button, Group, Menu, Modal, Stack, Text, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { IconChevronDown, IconLinkOff, IconMessages, IconQrcode } from '@tabler/icons-react';
import { Link, useNavigate } from 'react-router';
import { unlinkWhatsApp } from '../api/crm';
import { messageOf } from '../api/http';
import { keys } from '../api/keys';
import { accountTitle } from '../format/chat';
import { useWhatsApp } from '../live/queries';
import { useLive } from '../live/live';
import { useUser } from '../session/session';
import classes from './WhatsAppMenu.module.css';
import { STATES } from './whatsappStates';

/** The linked account and its connection, with what can be done about them. */
export function WhatsAppMenu() {
  const { data: status } = useWhatsApp();
  const { connected } = useLive();
  const { user } = useUser();
  const [confirming, confirm] = useDisclosure(false);
  const { label, color } =
    status && connected
      ? STATES[status.state]
      : { label: status ? 'Reconnecting…' : 'Connecting…', color: status ? 'orange' : 'gray' };
  const account = status?.account ?? null;

  return (
    <>
      <Menu position="bottom-end" width={260} shadow="md">
        <Menu.Target>
          <UnstyledButton className={classes.target} aria-label={`WhatsApp account: ${account ? accountTitle(account) : 'none linked'}, ${label}`}>
            <Avatar size={34} radius="xl" color="lagoon" {...(account?.name ? { name: account.name } : {})} />
            <div className={classes.text}>
              <Text size="sm" fw={600} truncate lh={1.25}>
                {account ? accountTitle(account) : 'WhatsApp'}
              </Text>
              <Group gap={6} wrap="nowrap">
                <span className={classes.dot} style={{ background: `var(--mantine-color-${color}-6)` }} />
                <Text size="xs" c="dimmed" truncate lh={1.25} role="status" data-testid="whatsapp-state">
                  {label}
                </Text>
              </Group>
            </div>
            <IconChevronDown size={15} aria-hidden />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>
            <Text size="xs" truncate title={user.email}>
              {user.email}
            </Text>
            {account?.phone && (
              <Text size="xs" truncate>
                {account.phone}
              </Text>
            )}
          </Menu.Label>
          <Menu.Item component={Link} to="/chats" leftSection={<IconMessages size={16} aria-hidden />}>
            Chats
          </Menu.Item>
          <Menu.Item component={Link} to="/link" leftSection={<IconQrcode size={16} aria-hidden />}>
            WhatsApp connection
          </Menu.Item>
          {account && (
            <>
              <Menu.Divider />
              <Menu.Item color="red" leftSection={<IconLinkOff size={16} aria-hidden />} onClick={confirm.open}>
                Unlink WhatsApp
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
      <UnlinkDialog opened={confirming} onClose={confirm.close} name={account ? accountTitle(account) : 'this account'} />
    </>
  );
}

function UnlinkDialog({ opened, onClose, name }: { opened: boolean; onClose: () => void; name: string }) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const unlink = useMutation({
    mutationFn: unlinkWhatsApp,
    onSuccess: async () => {
      onClose();
      await queryClient.invalidateQueries({ queryKey: keys.whatsapp });
      await navigate('/link');
    },
    onError: (error) => notifications.show({ color: 'red', title: 'WhatsApp was not unlinked', message: messageOf(error) }),
  });
  return (
    <Modal opened={opened} onClose={onClose} title={`Unlink ${name}?`}>
      <Stack>
        <Text size="sm">
          No messages are received or sent until a phone is linked again. The chats that are here stay.
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Keep it linked
          </Button>
          <Button color="red" onClick={() => unlink.mutate()} loading={unlink.isPending}>
            Unlink
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
