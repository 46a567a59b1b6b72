import { Button, Center, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { Brand } from './Brand';

interface Props {
  title: string;
  detail: ReactNode;
  action?: { label: string; onClick: () => void; loading?: boolean } | { label: string; to: string };
}

/** A page that has only one thing to say. */
export function FullPageMessage({ title, detail, action }: Props) {
  return (
    <Center mih="100dvh" p="lg" bg="var(--app-canvas)" component="main">
      <Stack align="center" gap="md" maw={440} ta="center">
        <Brand />
        <Title order={1} fz={26} mt="lg">
          {title}
        </Title>
        <Text c="dimmed">{detail}</Text>
        {action && 'to' in action && (
          <Button component={Link} to={action.to} mt="sm">
            {action.label}
          </Button>
        )}
        {action && 'onClick' in action && (
          <Button onClick={action.onClick} loading={action.loading ?? false} mt="sm">
            {action.label}
          </Button>
        )}
      </Stack>
    </Center>
  );
}
