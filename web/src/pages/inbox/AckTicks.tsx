import { IconAlertCircle, IconCheck, IconChecks, IconClock } from '@tabler/icons-react';
import type { Ack } from '../../api/types';
import classes from './AckTicks.module.css';

const TICKS = {
  failed: { icon: IconAlertCircle, label: 'Not sent' },
  pending: { icon: IconClock, label: 'On its way' },
  sent: { icon: IconCheck, label: 'Sent' },
  delivered: { icon: IconChecks, label: 'Delivered' },
  read: { icon: IconChecks, label: 'Read' },
  played: { icon: IconChecks, label: 'Played' },
} satisfies Record<Ack, unknown>;

/** How far an outgoing message has come. */
export function AckTicks({ ack }: { ack: Ack }) {
  const { icon: Icon, label } = TICKS[ack];
  return (
    <span className={classes.ticks} role="img" aria-label={label} title={label} data-ack={ack}>
      <Icon size={16} stroke={2} aria-hidden />
    </span>
  );
}
