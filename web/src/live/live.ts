import { createContext, use } from 'react';
import type { LiveCache } from './liveCache';
import type { Outbox } from './outbox';

export interface Live {
  /** Events arrive; while they do not, pages poll. */
  connected: boolean;
  cache: LiveCache;
  outbox: Outbox;
}

export const LiveContext = createContext<Live | null>(null);

export function useLive(): Live {
  const live = use(LiveContext);
  if (!live) throw new Error('useLive is used outside LiveProvider');
  return live;
}
