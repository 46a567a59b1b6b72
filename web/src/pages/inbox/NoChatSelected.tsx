import { Center, Stack, Text } from '@mantine/core';
import { IconMessageCircle } from '@tabler/icons-react';

export function NoChatSelected() {
  return (
    <Center h="100%">
      <Stack align="center" gap={6} ta="center" p="lg">
        <IconMessageCircle size={54} stroke={1.2} color="var(--mantine-color-dimmed)" aria-hidden />
        <Text fw={600} fz="lg">
          Choose a chat
        </Text>
        <Text size="sm" c="dimmed">
          The conversation opens here.
        </Text>
      </Stack>
    </Center>
  );
}
