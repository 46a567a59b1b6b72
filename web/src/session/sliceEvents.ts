import type { SliceStatus } from '../api/types';

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 15_000;

export interface SliceEvents {
  /** Ends the subscription. */
  close(): void;
}

interface Handlers {
  onSlice(slice: SliceStatus): void;
  /** Told when the connection opens or is lost; meanwhile the caller polls. */
  onConnected(connected: boolean): void;
}

/**
 * Follows the user's slice through the gateway's WebSocket until it is assigned.
 * A lost connection is opened again, later and later.
 */
export function watchSlice(handlers: Handlers, open: () => WebSocket = openSocket): SliceEvents {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retryMs = FIRST_RETRY_MS;
  let done = false;

  function connect() {
    const current = open();
    socket = current;
    current.onopen = () => {
      retryMs = FIRST_RETRY_MS;
      handlers.onConnected(true);
    };
    current.onmessage = (event: MessageEvent<unknown>) => {
      const slice = parseSlice(event.data);
      if (slice === null || done) return;
      if (slice.state === 'assigned') done = true;
      handlers.onSlice(slice);
    };
    current.onclose = () => {
      if (done) return;
      handlers.onConnected(false);
      timer = setTimeout(connect, retryMs);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    };
  }

  connect();
  return {
    close() {
      done = true;
      clearTimeout(timer);
      socket?.close();
    },
  };
}

function openSocket(): WebSocket {
  const url = new URL('/auth/slice/events', window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

export function parseSlice(data: unknown): SliceStatus | null {
  if (typeof data !== 'string') return null;
  try {
    const value: unknown = JSON.parse(data);
    const isSlice = typeof value === 'object' && value !== null && 'state' in value && typeof value.state === 'string';
    return isSlice ? (value as SliceStatus) : null;
  } catch {
    return null;
  }
}
