import { useDocumentVisibility } from '@mantine/hooks';
import { useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { markRead } from '../../api/crm';
import type { Chat } from '../../api/types';
import { useLive } from '../../live/live';

/** Marks an open chat read, now and whenever a message arrives that the user can see. */
export function useMarkRead(chat: Chat | undefined): void {
  const { cache } = useLive();
  const visible = useDocumentVisibility() === 'visible';
  const { mutate } = useMutation({ mutationFn: markRead });
  const unread = chat?.unread ?? 0;
  const id = chat?.id;
  useEffect(() => {
    if (id === undefined || unread === 0 || !visible) return;
    cache.chatRead(id);
    mutate(id);
  }, [id, unread, visible, cache, mutate]);
}
