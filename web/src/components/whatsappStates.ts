import type { WhatsAppState } from '../api/types';

/** One or two words for each state, and the colour of its dot. */
export const STATES: Record<WhatsAppState, { label: string; color: string }> = {
  starting: { label: 'Starting', color: 'yellow' },
  qr: { label: 'Not linked', color: 'gray' },
  pairing_code: { label: 'Not linked', color: 'gray' },
  passkey_required: { label: 'Passkey needed', color: 'yellow' },
  syncing: { label: 'Syncing', color: 'blue' },
  ready: { label: 'Connected', color: 'green' },
  offline: { label: 'Offline', color: 'orange' },
  conflict: { label: 'In use elsewhere', color: 'orange' },
  logged_out: { label: 'Not linked', color: 'gray' },
  failed: { label: 'Failed', color: 'red' },
};

const UNLINKED: readonly WhatsAppState[] = ['qr', 'pairing_code', 'passkey_required', 'logged_out'];

/** True when the user has to link WhatsApp before anything can be sent. */
export const isUnlinked = (state: WhatsAppState) => UNLINKED.includes(state);
