import type { SliceState } from '../../api/types';

/** How often the page asks for news. */
export const REFRESH_MS = 5_000;

/** In the order of a slice's life. */
export const SLICE_STATES = [
  'requested',
  'provisioning',
  'warm',
  'assigned',
  'suspended',
  'held',
  'failed',
  'retiring',
  'gone',
] as const satisfies readonly SliceState[];

export const STATE_COLORS: Record<SliceState, string> = {
  requested: 'gray',
  provisioning: 'blue',
  warm: 'yellow',
  assigned: 'green',
  suspended: 'grape',
  held: 'orange',
  failed: 'red',
  retiring: 'gray',
  gone: 'gray',
};
