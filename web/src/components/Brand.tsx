import { Group, Text } from '@mantine/core';
import { APP_NAME } from '../app/theme';

export function Brand({ size = 30, nameFrom }: { size?: number; nameFrom?: 'sm' | 'md' }) {
  return (
    <Group gap={10} wrap="nowrap">
      <img src="/favicon.svg" width={size} height={size} alt="" />
      <Text fw={700} fz={size * 0.57} lh={1} style={{ whiteSpace: 'nowrap' }} {...(nameFrom ? { visibleFrom: nameFrom } : {})}>
        {APP_NAME}
      </Text>
    </Group>
  );
}
