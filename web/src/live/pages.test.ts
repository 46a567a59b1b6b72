import { describe, expect, it } from 'vitest';
import type { Chat, Message } from '../api/types';
import { chat, message } from '../testing/fixtures';
import { laterAck } from './ack';
import { ackLastMessage, allChats, clearUnread, putChat, putLastMessage, type ChatPages } from './chatPages';
import { ackMessage, allMessages, putMessage, type MessagePages } from './messagePages';

const at = (minute: number) => new Date(Date.UTC(2026, 10, 22, 10, minute)).toISOString();

it('never takes an ack back', () => {
  expect(laterAck('sent', 'read')).toBe('read');
  expect(laterAck('read', 'delivered')).toBe('read');
  expect(laterAck('pending', 'failed')).toBe('failed');
  expect(laterAck('failed', 'sent')).toBe('sent');
  expect(laterAck('delivered', 'failed')).toBe('delivered');
});

describe('the list of chats', () => {
  const pages = (lists: Chat[][], next: string | null = null): ChatPages => ({
    pageParams: lists.map(() => null),
    pages: lists.map((chats, i) => ({ chats, next_cursor: i < lists.length - 1 ? `p${i}` : next })),
  });
  const a = chat({ id: 'a', last_message_at: at(30) });
  const b = chat({ id: 'b', last_message_at: at(20) });
  const c = chat({ id: 'c', last_message_at: at(10) });
  const ids = (data: ChatPages) => allChats(data).map((x) => x.id);

  it('moves a chat with news to the top, over pages', () => {
    const after = putChat(pages([[a, b], [c]]), { ...c, last_message_at: at(40), unread: 1 });
    expect(ids(after)).toEqual(['c', 'a', 'b']);
    expect(allChats(after)[0]?.unread).toBe(1);
  });

  it('takes in a new chat, also into an empty list', () => {
    expect(ids(putChat(pages([[a]]), b))).toEqual(['a', 'b']);
    expect(ids(putChat(pages([[]]), a))).toEqual(['a']);
  });

  it('leaves what is older than all loaded to a later page', () => {
    expect(ids(putChat(pages([[a]], 'more'), c))).toEqual(['a']);
    expect(ids(putChat(pages([[a, c]], 'more'), { ...c, unread: 3 }))).toEqual(['a', 'c']);
  });

  it('keeps chats without any message at the end', () => {
    const empty = chat({ id: 'e' });
    expect(ids(putChat(pages([[a, empty]]), b))).toEqual(['a', 'b', 'e']);
  });

  it('shows the last message, but not an older one', () => {
    const news = message({ id: 'm2', chat_id: 'b', sent_at: at(50) });
    const after = putLastMessage(pages([[a, b]]), news);
    expect(after && ids(after)).toEqual(['b', 'a']);
    expect(putLastMessage(pages([[a]]), message({ chat_id: 'a', sent_at: at(1) }))).toEqual(pages([[a]]));
    expect(putLastMessage(pages([[a]]), message({ chat_id: 'unknown' }))).toBeNull();
  });

  it('follows the ack of the last message only', () => {
    const sent = { ...a, last_message: message({ id: 'm9', chat_id: 'a', direction: 'out', ack: 'sent' }) };
    const after = ackLastMessage(pages([[sent]]), { id: 'm9', chat_id: 'a', ack: 'read' });
    expect(allChats(after)[0]?.last_message?.ack).toBe('read');
    const same = pages([[sent]]);
    expect(ackLastMessage(same, { id: 'other', chat_id: 'a', ack: 'read' })).toBe(same);
  });

  it('clears the unread count', () => {
    expect(allChats(clearUnread(pages([[{ ...a, unread: 4 }]]), 'a'))[0]?.unread).toBe(0);
  });

  it('lists a chat once that two pages have', () => {
    expect(ids(pages([[a, b], [b, c]]))).toEqual(['a', 'b', 'c']);
  });
});

describe('a thread', () => {
  // Pages run from newest to oldest.
  const pages = (lists: Message[][], next: string | null = null): MessagePages => ({
    pageParams: lists.map(() => null),
    pages: lists.map((messages, i) => ({ messages, next_cursor: i < lists.length - 1 ? `p${i}` : next })),
  });
  const m = (id: string, minute: number, change: Partial<Message> = {}) => message({ id, sent_at: at(minute), ...change });
  const ids = (data: MessagePages) => allMessages(data).map((x) => x.id);

  it('reads from oldest to newest over pages', () => {
    expect(ids(pages([[m('3', 3), m('4', 4)], [m('1', 1), m('2', 2)]]))).toEqual(['1', '2', '3', '4']);
  });

  it('puts a message at its time', () => {
    const data = pages([[m('3', 3), m('5', 5)], [m('1', 1)]]);
    expect(ids(putMessage(data, m('6', 6)))).toEqual(['1', '3', '5', '6']);
    expect(ids(putMessage(data, m('4', 4)))).toEqual(['1', '3', '4', '5']);
    expect(ids(putMessage(data, m('2', 2)))).toEqual(['1', '2', '3', '5']);
    expect(ids(putMessage(data, m('0', 0)))).toEqual(['0', '1', '3', '5']);
    expect(ids(putMessage(pages([[m('3', 3)]], 'more'), m('0', 0)))).toEqual(['3']);
    expect(ids(putMessage(pages([[]]), m('0', 0)))).toEqual(['0']);
  });

  it('keeps the order in which messages of one second came', () => {
    expect(ids(putMessage(putMessage(pages([[m('x', 1)]]), m('b', 1)), m('a', 1)))).toEqual(['x', 'b', 'a']);
  });

  it('replaces a message that comes twice, without taking its ack back', () => {
    const data = pages([[m('1', 1, { text: '', type: 'ciphertext', ack: 'read' })]]);
    expect(allMessages(putMessage(data, m('1', 1, { text: 'Hi', ack: 'sent' })))).toEqual([m('1', 1, { text: 'Hi', ack: 'read' })]);
  });

  it('follows acks', () => {
    const data = pages([[m('2', 2)], [m('1', 1, { ack: 'sent' })]]);
    expect(allMessages(ackMessage(data, { id: '1', chat_id: 'x', ack: 'read' }))[0]?.ack).toBe('read');
    expect(ackMessage(data, { id: 'unknown', chat_id: 'x', ack: 'read' })).toBe(data);
  });
});
