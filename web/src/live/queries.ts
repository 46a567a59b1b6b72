import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { fetchChats, fetchMessages, fetchWhatsApp } from '../api/crm';
import { keys } from '../api/keys';
import type { OutboxItem } from './outbox';
import { useLive } from './live';

/** How often pages ask while live events do not arrive. */
const POLL_MS = 5_000;
/** How often they ask nevertheless: an event can be lost. */
const RESYNC_MS = 60_000;

export function useWhatsApp() {
  const { connected } = useLive();
  return useQuery({
    queryKey: keys.whatsapp,
    queryFn: ({ signal }) => fetchWhatsApp(signal),
    refetchInterval: connected ? RESYNC_MS : POLL_MS,
  });
}

export function useChats() {
  const { connected } = useLive();
  return useInfiniteQuery({
    queryKey: keys.chats,
    queryFn: ({ pageParam, signal }) => fetchChats(pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: connected ? false : POLL_MS,
  });
}

export function useMessages(chatID: string) {
  const { connected } = useLive();
  return useInfiniteQuery({
    queryKey: keys.messages(chatID),
    queryFn: ({ pageParam, signal }) => fetchMessages(chatID, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: connected ? false : POLL_MS,
    // Events keep only the cached thread of a chat up to date; one that is opened again is asked for anew.
    refetchOnMount: 'always',
  });
}

const NOTHING: OutboxItem[] = [];

/** What is on its way to one chat. */
export function useOutbox(chatID: string): OutboxItem[] {
  const { data } = useQuery<OutboxItem[]>({
    queryKey: keys.outbox,
    queryFn: () => NOTHING, // never runs: only the Outbox writes here
    enabled: false,
    gcTime: Infinity,
    select: (items) => items.filter((item) => item.chatID === chatID),
  });
  return data ?? NOTHING;
}
