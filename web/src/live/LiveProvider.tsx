import { useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useState, type ReactNode } from 'react';
import { io } from 'socket.io-client';
import { recheckSession } from '../app/queryClient';
import { ApiError } from '../api/http';
import type { AckChange, Chat, Message, WhatsAppStatus } from '../api/types';
import { LiveCache } from './liveCache';
import { LiveContext } from './live';
import { Outbox } from './outbox';

const RECONNECT_MS = 1_000;
const RECONNECT_MAX_MS = 10_000;

interface ServerEvents {
  'whatsapp:state': (status: WhatsAppStatus) => void;
  'message:new': (message: Message) => void;
  'message:updated': (message: Message) => void;
  'message:reaction': (message: Message) => void;
  'message:ack': (change: AckChange) => void;
  'chat:updated': (chat: Chat) => void;
}

function createLive(queryClient: QueryClient) {
  const cache = new LiveCache(queryClient);
  const outbox = new Outbox(
    queryClient,
    (message) => cache.messageNew(message),
    (error) => recheckSession(queryClient, error),
  );
  return { cache, outbox };
}

/** Holds the connection for live events; everything under it sees them in the query cache. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const queryClient = useQueryClient();
  const [{ cache, outbox }] = useState(() => createLive(queryClient));
  const [connected, setConnected] = useState(false);

  useEffect(() => {
    const stopCache = cache.start();
    const socket = io({
      path: '/socket.io',
      // WebSocket first; polling where something on the way forbids it.
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: RECONNECT_MS,
      reconnectionDelayMax: RECONNECT_MAX_MS,
      autoConnect: false,
    });
    let reopen: ReturnType<typeof setTimeout> | undefined;
    const listen = <E extends keyof ServerEvents>(event: E, handler: ServerEvents[E]) => {
      socket.on<string>(event, handler);
    };
    socket.on('connect', () => {
      setConnected(true);
      cache.refetchAll(); // whatever happened before is not sent again
    });
    socket.on('disconnect', (reason) => {
      setConnected(false);
      // The client does not come back by itself when the server ended it.
      if (reason === 'io server disconnect') reopen = setTimeout(() => socket.connect(), RECONNECT_MS);
    });
    socket.on('connect_error', () => {
      setConnected(false);
      // The reason is not told; the session or the slice may be gone.
      recheckSession(queryClient, new ApiError(503, 'live events are not available'));
    });
    listen('whatsapp:state', (status) => cache.whatsappState(status));
    listen('message:new', (message) => {
      cache.messageNew(message);
      if (message.client_id !== null) outbox.remove(message.client_id);
    });
    listen('message:updated', (message) => cache.messageNew(message));
    listen('message:reaction', (message) => cache.messageNew(message));
    listen('message:ack', (change) => cache.messageAck(change));
    listen('chat:updated', (chat) => cache.chatUpdated(chat));
    socket.connect();

    return () => {
      clearTimeout(reopen);
      socket.removeAllListeners();
      socket.disconnect();
      stopCache();
    };
  }, [queryClient, cache, outbox]);

  const value = useMemo(() => ({ connected, cache, outbox }), [connected, cache, outbox]);
  return <LiveContext value={value}>{children}</LiveContext>;
}
