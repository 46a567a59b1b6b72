// Pure changes to a cached thread: pages from newest to oldest, messages inside
// a page from oldest to newest.
import type { InfiniteData } from '@tanstack/react-query';
import type { AckChange, Message, MessagePage } from '../api/types';
import { laterAck } from './ack';

export type MessagePages = InfiniteData<MessagePage, unknown>;

/** All loaded messages from oldest to newest, each once. */
export function allMessages(data: MessagePages): Message[] {
  const seen = new Set<string>();
  return data.pages
    .toReversed()
    .flatMap((page) => page.messages)
    .filter((message) => !seen.has(message.id) && seen.add(message.id));
}

/** Adds a message, or replaces the one with its id: events repeat. */
export function putMessage(data: MessagePages, message: Message): MessagePages {
  for (const page of data.pages) {
    const known = page.messages.find((m) => m.id === message.id);
    if (known) return replaceMessage(data, { ...message, ack: laterAck(known.ack, message.ack) });
  }
  const sent = Date.parse(message.sent_at);
  const index = data.pages.findIndex((page) => page.messages.some((m) => Date.parse(m.sent_at) <= sent));
  if (index >= 0) return editPage(data, index, (messages) => insertByTime(messages, message, sent));
  // Older than all that is loaded: a later page brings it, unless this is the beginning.
  const last = data.pages.length - 1;
  if (data.pages[last]?.next_cursor !== null) return data;
  return editPage(data, last, (messages) => [message, ...messages]);
}

export function ackMessage(data: MessagePages, change: AckChange): MessagePages {
  for (const page of data.pages) {
    const known = page.messages.find((m) => m.id === change.id);
    if (known) return replaceMessage(data, { ...known, ack: laterAck(known.ack, change.ack) });
  }
  return data;
}

function insertByTime(messages: Message[], message: Message, sent: number): Message[] {
  const before = messages.findLastIndex((m) => Date.parse(m.sent_at) <= sent);
  return messages.toSpliced(before + 1, 0, message);
}

function replaceMessage(data: MessagePages, message: Message): MessagePages {
  const index = data.pages.findIndex((page) => page.messages.some((m) => m.id === message.id));
  return editPage(data, index, (messages) => messages.map((m) => (m.id === message.id ? message : m)));
}

function editPage(data: MessagePages, index: number, edit: (messages: Message[]) => Message[]): MessagePages {
  const pages = data.pages.map((page, i) => (i === index ? { ...page, messages: edit(page.messages) } : page));
  return { ...data, pages };
}
