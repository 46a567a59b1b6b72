// Pure changes to the cached list of chats: newest activity first, in pages.
import type { InfiniteData } from '@tanstack/react-query';
import type { AckChange, Chat, ChatPage, Message } from '../api/types';
import { laterAck } from './ack';

export type ChatPages = InfiniteData<ChatPage, unknown>;

/** All loaded chats in order; one that moved between two fetches is listed once. */
export function allChats(data: ChatPages): Chat[] {
  const seen = new Set<string>();
  return data.pages
    .flatMap((page) => page.chats)
    .filter((chat) => !seen.has(chat.id) && seen.add(chat.id));
}

export function findChat(data: ChatPages | undefined, id: string): Chat | undefined {
  for (const page of data?.pages ?? []) {
    const chat = page.chats.find((c) => c.id === id);
    if (chat) return chat;
  }
  return undefined;
}

/** Puts a chat where its last activity belongs, whether it was loaded or not. */
export function putChat(data: ChatPages, chat: Chat): ChatPages {
  const known = findChat(data, chat.id) !== undefined;
  const pages = data.pages.map((page) => ({ ...page, chats: page.chats.filter((c) => c.id !== chat.id) }));
  for (const page of pages) {
    const index = page.chats.findIndex((c) => activity(c) <= activity(chat));
    if (index >= 0) {
      page.chats.splice(index, 0, chat);
      return { ...data, pages };
    }
  }
  // Older than all that is loaded: a later page brings it, unless this is the end.
  const last = pages.at(-1);
  if (last && (known || last.next_cursor === null)) last.chats.push(chat);
  return { ...data, pages };
}

/** Shows a new message as its chat's last one. Returns null when the chat is not loaded. */
export function putLastMessage(data: ChatPages, message: Message): ChatPages | null {
  const chat = findChat(data, message.chat_id);
  if (!chat) return null;
  if (chat.last_message?.id === message.id) {
    const ack = laterAck(chat.last_message.ack, message.ack);
    return replaceChat(data, { ...chat, last_message: { ...message, ack } });
  }
  if (chat.last_message_at !== null && Date.parse(message.sent_at) < Date.parse(chat.last_message_at)) return data;
  return putChat(data, { ...chat, last_message: message, last_message_at: message.sent_at });
}

export function ackLastMessage(data: ChatPages, change: AckChange): ChatPages {
  const chat = findChat(data, change.chat_id);
  if (chat?.last_message?.id !== change.id) return data;
  const ack = laterAck(chat.last_message.ack, change.ack);
  return replaceChat(data, { ...chat, last_message: { ...chat.last_message, ack } });
}

export function clearUnread(data: ChatPages, chatID: string): ChatPages {
  const chat = findChat(data, chatID);
  return chat && chat.unread > 0 ? replaceChat(data, { ...chat, unread: 0 }) : data;
}

function replaceChat(data: ChatPages, chat: Chat): ChatPages {
  const pages = data.pages.map((page) => ({
    ...page,
    chats: page.chats.map((c) => (c.id === chat.id ? chat : c)),
  }));
  return { ...data, pages };
}

function activity(chat: Chat): number {
  return chat.last_message_at === null ? -Infinity : Date.parse(chat.last_message_at);
}
