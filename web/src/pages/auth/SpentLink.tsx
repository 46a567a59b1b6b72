import { Alert, Anchor } from '@mantine/core';
import { IconLinkOff } from '@tabler/icons-react';
import { Link } from 'react-router';

interface Props {
  /** Where there is a new one. */
  again?: string;
}

export function SpentLink({ again }: Props) {
  return (
    <Alert color="yellow" variant="light" icon={<IconLinkOff aria-hidden />} role="alert">
      This link was used already, or is too old.
      {again && (
        <>
          {' '}
          <Anchor component={Link} to={again} c="var(--app-accent-text)">
            Ask for a new one
          </Anchor>
        </>
      )}
    </Alert>
  );
}
