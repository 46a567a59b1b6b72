import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keys } from '../api/keys';
import type { Message, MessagePage } from '../api/types';
import { chat, message } from '../testing/fixtures';
import { allChats, type ChatPages } from './chatPages';
import { LiveCache } from './liveCache';
import { allMessages, type MessagePages } from './messagePages';

const CHAT = message().chat_id;
let client: QueryClient;
let cache: LiveCache;
let stop: () => void;

beforeEach(() => {
  client = new QueryClient({ defaultOptions: { queries: { retry: false, gcTime: Infinity } } });
  cache = new LiveCache(client);
  stop = cache.start();
});
afterEach(() => {
  stop();
  client.clear();
});

const page = (messages: Message[]): MessagePages => ({ pageParams: [null], pages: [{ messages, next_cursor: null }] });
const thread = () => allMessages(client.getQueryData<MessagePages>(keys.messages(CHAT)) ?? page([]));
const list = () => allChats(client.getQueryData<ChatPages>(keys.chats) ?? { pages: [], pageParams: [] });

function fetchThread() {
  let answer: (page: MessagePage) => void = () => {};
  const done = client.fetchInfiniteQuery({
    queryKey: keys.messages(CHAT),
    queryFn: () => new Promise<MessagePage>((resolve) => (answer = resolve)),
    initialPageParam: null,
  });
  return { done, answer: (messages: Message[]) => answer({ messages, next_cursor: null }) };
}

it('writes an event into the thread and the list', () => {
  client.setQueryData(keys.messages(CHAT), page([]));
  client.setQueryData<ChatPages>(keys.chats, { pageParams: [null], pages: [{ chats: [chat()], next_cursor: null }] });
  cache.messageNew(message());
  expect(thread()).toEqual([message()]);
  expect(list()[0]?.last_message).toEqual(message());
  cache.messageAck({ id: 'm1', chat_id: CHAT, ack: 'read' });
  expect(thread()[0]?.ack).toBe('read');
  expect(list()[0]?.last_message?.ack).toBe('read');
});

it('makes nothing up for a thread that was never loaded', () => {
  cache.messageNew(message());
  cache.chatUpdated(chat());
  expect(client.getQueryData(keys.messages(CHAT))).toBeUndefined();
  expect(client.getQueryData(keys.chats)).toBeUndefined();
});

it('does not lose an event to a first fetch whose answer is older', async () => {
  const fetch = fetchThread();
  cache.messageNew(message({ id: 'm2', sent_at: '2026-11-22T10:05:00Z' }));
  fetch.answer([message()]);
  await fetch.done;
  await vi.waitFor(() => expect(thread().map((m) => m.id)).toEqual(['m1', 'm2']));
});

it('does not lose an event to a later fetch either', async () => {
  client.setQueryData(keys.messages(CHAT), page([message()]));
  const fetch = fetchThread();
  cache.messageNew(message({ id: 'm2', sent_at: '2026-11-22T10:05:00Z' }));
  expect(thread()).toHaveLength(2);
  cache.messageAck({ id: 'm1', chat_id: CHAT, ack: 'read' });
  fetch.answer([message()]);
  await fetch.done;
  await vi.waitFor(() => expect(thread().map((m) => [m.id, m.ack])).toEqual([['m1', 'read'], ['m2', 'delivered']]));
});

it('keeps an ack that comes before its message', () => {
  client.setQueryData(keys.messages(CHAT), page([]));
  cache.messageAck({ id: 'm1', chat_id: CHAT, ack: 'delivered' });
  cache.messageNew(message({ direction: 'out', ack: 'pending' }));
  expect(thread()[0]?.ack).toBe('delivered');
});

it('clears the unread count of a chat that was read', () => {
  client.setQueryData<ChatPages>(keys.chats, { pageParams: [null], pages: [{ chats: [chat({ unread: 2 })], next_cursor: null }] });
  cache.chatRead(CHAT);
  expect(list()[0]?.unread).toBe(0);
});

it('replaces the state of WhatsApp', () => {
  const status = { state: 'ready' as const, qr: null, account: null, reason: '', since: '2026-11-22T10:00:00Z' };
  cache.whatsappState(status);
  expect(client.getQueryData(keys.whatsapp)).toEqual(status);
});
