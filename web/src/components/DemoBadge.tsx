import { Badge, Tooltip } from '@mantine/core';
import { IconFlask } from '@tabler/icons-react';
import { useConfig } from '../app/useConfig';

/** Says in demo mode that nothing here reaches the real WhatsApp. */
export function DemoBadge() {
  const { demo } = useConfig();
  if (!demo) return null;
  return (
    <Tooltip label="Nothing you do here reaches the real WhatsApp.">
      <Badge
        bg="var(--app-demo)"
        c="var(--app-demo-text)"
        size="lg"
        tt="none"
        fw={600}
        leftSection={<IconFlask size={14} aria-hidden />}
        styles={{ label: { overflow: 'visible' }, root: { flexShrink: 0 } }}
      >
        Demo mode: WhatsApp is a stand-in
      </Badge>
    </Tooltip>
  );
}
