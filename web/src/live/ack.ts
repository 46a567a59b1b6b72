import type { Ack } from '../api/types';

// failed is below pending: a retry by WhatsApp itself can still succeed, and a
// message that reached the phone did not fail.
const ORDER: Record<Ack, number> = { failed: -1, pending: 0, sent: 1, delivered: 2, read: 3, played: 4 };

/** Of what is known and what is reported, what holds: acks arrive in any order but never go back. */
export function laterAck(known: Ack, reported: Ack): Ack {
  if (known === 'pending' && reported === 'failed') return reported;
  return ORDER[reported] > ORDER[known] ? reported : known;
}
