import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { keys } from '../api/keys';
import type { Me } from '../api/types';
import { POLL_MS, useMe } from './session';
import { watchSlice } from './sliceEvents';

/**
 * Keeps the slice's status live while the user has none that runs: by the
 * gateway's WebSocket, and by polling for as long as that is not connected.
 */
export function useSliceEvents(): { live: boolean } {
  const queryClient = useQueryClient();
  const [live, setLive] = useState(false);
  useMe(live ? false : POLL_MS);

  useEffect(() => {
    const events = watchSlice({
      onConnected: setLive,
      onSlice: (slice) => {
        queryClient.setQueryData<Me | null>(keys.me, (me) => (me ? { ...me, slice } : me));
      },
    });
    return () => events.close();
  }, [queryClient]);

  return { live };
}
