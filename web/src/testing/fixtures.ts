import type { Chat, Me, Message } from '../api/types';

export function message(change: Partial<Message> = {}): Message {
  return {
    id: 'm1',
    chat_id: '4917012345@c.us',
    direction: 'in',
    sender_id: '4917012345@c.us',
    sender_name: 'Carl',
    type: 'text',
    text: 'Hello',
    ack: 'delivered',
    client_id: null,
    sent_at: '2026-11-22T10:00:00Z',
    ...change,
  };
}

export function chat(change: Partial<Chat> = {}): Chat {
  return {
    id: '4917012345@c.us',
    name: 'Carl',
    phone: '+4917012345',
    is_group: false,
    unread: 0,
    last_message: null,
    last_message_at: null,
    ...change,
  };
}

export function me(change: Partial<Me> = {}): Me {
  return {
    user: { id: 'u1', email: 'ana@example.com', role: 'user', created_at: '2026-11-22T10:00:00Z' },
    slice: { state: 'assigned', position: null, estimate_seconds: null },
    deletion_at: null,
    ...change,
  };
}

/** An answer as the server writes its errors. */
export function problem(status: number, detail: string, errors?: { field: string; detail: string }[], headers: HeadersInit = {}) {
  const body = JSON.stringify({ type: '/problems/test', title: 'Test', status, detail, errors, request_id: 'r1' });
  return new Response(body, { status, headers: { 'Content-Type': 'application/problem+json', ...headers } });
}
