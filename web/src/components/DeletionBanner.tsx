import { Alert, Anchor } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useContext } from 'react';
import { Link } from 'react-router';
import { fullTime } from '../format/time';
import { UserContext } from '../session/session';

/** Reminds of a deletion that is scheduled, on every page. */
export function DeletionBanner() {
  const at = useContext(UserContext)?.deletion_at;
  if (!at) return null;
  return (
    <Alert color="red" variant="light" radius={0} py="xs" flex="none" icon={<IconAlertTriangle aria-hidden />} role="status">
      Your account is going to be deleted on {fullTime(at)}.{' '}
      <Anchor component={Link} to="/account" size="sm" c="inherit" underline="always">
        Change your mind
      </Anchor>
    </Alert>
  );
}
