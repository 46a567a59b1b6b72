import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMediaQuery } from '@mantine/hooks';
import { IconLogout } from '@tabler/icons-react';
import { messageOf } from '../api/http';
import { useLogOut } from '../session/session';

const LABEL = 'Log out';

export function LogOutButton() {
  const logOut = useLogOut();
  const narrow = useMediaQuery('(max-width: 62em)');
  const onClick = () =>
    logOut.mutate(undefined, {
      onError: (error) => notifications.show({ color: 'red', title: 'You are still logged in', message: messageOf(error) }),
    });
  if (narrow) {
    return (
      <Tooltip label={LABEL}>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={LABEL} onClick={onClick} loading={logOut.isPending}>
          <IconLogout size={19} aria-hidden />
        </ActionIcon>
      </Tooltip>
    );
  }
  return (
    <Button
      variant="subtle"
      color="gray"
      size="sm"
      px="xs"
      leftSection={<IconLogout size={17} aria-hidden />}
      onClick={onClick}
      loading={logOut.isPending}
    >
      {LABEL}
    </Button>
  );
}
