import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { SliceStatus } from '../api/types';
import { parseSlice, watchSlice } from './sliceEvents';

class FakeSocket {
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  close = vi.fn();
}

let sockets: FakeSocket[];
const open = () => {
  const socket = new FakeSocket();
  sockets.push(socket);
  return socket as unknown as WebSocket;
};
const onSlice = vi.fn<(slice: SliceStatus) => void>();
const onConnected = vi.fn<(connected: boolean) => void>();

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  onSlice.mockReset();
  onConnected.mockReset();
});
afterEach(() => vi.useRealTimers());

const queued = { state: 'queued', position: 2, estimate_seconds: 10 };

it('hands on every status and stops after "assigned"', () => {
  watchSlice({ onSlice, onConnected }, open);
  const [socket] = sockets;
  socket?.onopen?.();
  expect(onConnected).toHaveBeenLastCalledWith(true);
  socket?.onmessage?.({ data: JSON.stringify(queued) });
  socket?.onmessage?.({ data: '{"state":"assigned","position":null,"estimate_seconds":null}' });
  expect(onSlice.mock.calls.map(([slice]) => slice.state)).toEqual(['queued', 'assigned']);
  socket?.onclose?.();
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
});

it('connects again after a loss, later each time', () => {
  watchSlice({ onSlice, onConnected }, open);
  sockets[0]?.onclose?.();
  expect(onConnected).toHaveBeenLastCalledWith(false);
  vi.advanceTimersByTime(999);
  expect(sockets).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(sockets).toHaveLength(2);
  sockets[1]?.onclose?.();
  vi.advanceTimersByTime(1_999);
  expect(sockets).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(sockets).toHaveLength(3);
  // Once it was open again, the next loss counts as the first.
  sockets[2]?.onopen?.();
  sockets[2]?.onclose?.();
  vi.advanceTimersByTime(1_000);
  expect(sockets).toHaveLength(4);
});

it('ends when it is closed', () => {
  const events = watchSlice({ onSlice, onConnected }, open);
  events.close();
  expect(sockets[0]?.close).toHaveBeenCalled();
  sockets[0]?.onclose?.();
  sockets[0]?.onmessage?.({ data: JSON.stringify(queued) });
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
  expect(onSlice).not.toHaveBeenCalled();
});

it.each(['', 'null', '[]', '{"state":1}', new Blob()])('ignores a frame that is no status', (data) => {
  expect(parseSlice(data)).toBeNull();
});
