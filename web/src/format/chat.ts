import type { Chat, Message, WhatsAppAccount } from '../api/types';

/** What a chat is called: its name, else its number, else its WhatsApp id. */
export function chatTitle(chat: Pick<Chat, 'id' | 'name' | 'phone'>): string {
  return chat.name || chat.phone || titleOfID(chat.id);
}

/** "4917012345@c.us" → "+4917012345"; ids that hold no number stay as they are. */
export function titleOfID(id: string): string {
  const number = /^(\d+)@(?:c\.us|s\.whatsapp\.net)$/.exec(id)?.[1];
  return number ? `+${number}` : id;
}

/** What a linked account is called; WhatsApp does not always tell name or number. */
export function accountTitle(account: WhatsAppAccount): string {
  return account.name || account.phone || titleOfID(account.id);
}

/** The line under a chat's name. */
export function preview(message: Message | null, isGroup: boolean): string {
  if (message === null) return 'No messages yet';
  const text = messageText(message).replace(/\s+/g, ' ').trim();
  if (message.direction === 'out') return `You: ${text}`;
  return isGroup && message.sender_name ? `${message.sender_name}: ${text}` : text;
}

/** The text of a message, or what it is when it has none. */
export function messageText(message: Pick<Message, 'type' | 'text' | 'deleted_at'>): string {
  if (message.deleted_at) return 'This message was deleted.';
  return message.text || (message.type === 'text' ? '' : (KINDS[message.type] ?? `[${message.type}]`));
}

// What cannot be shown here yet; the phone shows it.
const KINDS: Record<string, string> = {
  image: 'Photo',
  video: 'Video',
  audio: 'Audio',
  voice: 'Voice message',
  document: 'Document',
  sticker: 'Sticker',
  location: 'Location',
  contact: 'Contact',
  poll: 'Poll',
  order: 'Order',
  product: 'Product',
  invite: 'Group invitation',
  event: 'Event',
  ciphertext: 'Waiting for this message…',
};

/** True when every word of the search is in the chat's name or number. */
export function matches(chat: Chat, search: string): boolean {
  const haystack = fold(`${chat.name} ${chat.phone ?? ''} ${titleOfID(chat.id)}`);
  return fold(search).split(/\s+/).every((word) => haystack.includes(word));
}

// Without case and accents: "jose" finds "José".
function fold(s: string): string {
  return s.normalize('NFD').replace(/\p{Diacritic}/gu, '').toLowerCase().trim();
}

export interface TextPart {
  text: string;
  /** Set where the text is an address to link to. */
  href?: string;
}

/** Splits a text into plain parts and http(s) links. */
export function linkify(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/gi)) {
    // Punctuation that ends a sentence is seldom part of the address.
    const url = match[0].replace(/[.,;:!?'")\]}]+$/, '');
    if (!URL.canParse(url)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: url, href: url });
    end = match.index + url.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}
