import { ActionIcon, Tooltip } from '@mantine/core';
import { IconUserCircle } from '@tabler/icons-react';
import { Link } from 'react-router';

const LABEL = 'Your account';

export function AccountLink() {
  return (
    <Tooltip label={LABEL}>
      <ActionIcon component={Link} to="/account" variant="subtle" color="gray" size="lg" aria-label={LABEL}>
        <IconUserCircle size={20} stroke={1.7} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}
