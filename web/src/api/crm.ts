import { request } from './http';
import type { ChatPage, Message, MessagePage, WhatsAppStatus } from './types';

const CHATS_PER_PAGE = 50;
const MESSAGES_PER_PAGE = 50;

export const fetchWhatsApp = (signal?: AbortSignal) => request<WhatsAppStatus>('/api/whatsapp', { signal });

export const unlinkWhatsApp = () => request<void>('/api/whatsapp/logout', { method: 'POST' });

export function fetchChats(cursor: string | null, signal?: AbortSignal) {
  return request<ChatPage>(`/api/chats?${query(CHATS_PER_PAGE, 'cursor', cursor)}`, { signal });
}

export function fetchMessages(chatID: string, before: string | null, signal?: AbortSignal) {
  return request<MessagePage>(
    `/api/chats/${encodeURIComponent(chatID)}/messages?${query(MESSAGES_PER_PAGE, 'before', before)}`,
    { signal },
  );
}

/** client_id makes a repeated request send once. */
export function sendMessage(chatID: string, text: string, clientID: string) {
  return request<Message>(`/api/chats/${encodeURIComponent(chatID)}/messages`, {
    method: 'POST',
    body: { text, client_id: clientID },
  });
}

export const markRead = (chatID: string) =>
  request<void>(`/api/chats/${encodeURIComponent(chatID)}/read`, { method: 'POST' });

function query(limit: number, cursorName: string, cursor: string | null): URLSearchParams {
  const params = new URLSearchParams({ limit: String(limit) });
  if (cursor !== null) params.set(cursorName, cursor);
  return params;
}
