// What the gateway and the slice send, field for field.

export type Role = 'user' | 'admin';

export interface User {
  id: string;
  email: string;
  role: Role;
  created_at: string;
}

export interface SliceStatus {
  state: 'queued' | 'assigned' | 'held' | 'suspended' | 'none';
  /** 1 is next; null unless queued. */
  position: number | null;
  estimate_seconds: number | null;
}

export interface Me {
  user: User;
  slice: SliceStatus;
  /** When the account is deleted, as the user asked; null otherwise. */
  deletion_at: string | null;
}

export type WhatsAppState =
  | 'starting'
  | 'qr'
  | 'pairing_code'
  | 'passkey_required'
  | 'syncing'
  | 'ready'
  | 'offline'
  | 'conflict'
  | 'logged_out'
  | 'failed';

export interface QRCode {
  text: string;
  /** A data: URL. */
  image: string;
  expires_at: string;
}

export interface WhatsAppAccount {
  id: string;
  phone: string;
  name: string;
}

export interface WhatsAppStatus {
  state: WhatsAppState;
  /** null unless state is qr. */
  qr: QRCode | null;
  /** null unless linked. */
  account: WhatsAppAccount | null;
  /** Why, for failed, offline and conflict. */
  reason: string;
  since: string;
}

export type Ack = 'failed' | 'pending' | 'sent' | 'delivered' | 'read' | 'played';

export interface Message {
  id: string;
  chat_id: string;
  direction: 'in' | 'out';
  sender_id: string;
  sender_name: string;
  type: string;
  text: string;
  ack: Ack;
  /** Why it was not sent; '' otherwise. */
  failure?: string;
  media?: { mime_type: string; name: string } | null;
  quoted?: { id: string; sender_name: string; text: string; type: string } | null;
  reactions?: { sender_id: string; emoji: string }[];
  client_id: string | null;
  sent_at: string;
  edited_at?: string | null;
  /** Deleted for everyone; there is no content any more. */
  deleted_at?: string | null;
}

export interface Chat {
  id: string;
  name: string;
  /** null for groups and for contacts whose number WhatsApp does not tell. */
  phone: string | null;
  is_group: boolean;
  unread: number;
  last_message: Message | null;
  last_message_at: string | null;
}

export interface ChatPage {
  chats: Chat[];
  next_cursor: string | null;
}

/** Messages from oldest to newest; next_cursor leads to older ones. */
export interface MessagePage {
  messages: Message[];
  next_cursor: string | null;
}

export interface AckChange {
  id: string;
  chat_id: string;
  ack: Ack;
}

export type SliceState =
  | 'requested'
  | 'provisioning'
  | 'warm'
  | 'assigned'
  | 'suspended'
  | 'held'
  | 'failed'
  | 'retiring'
  | 'gone';

export interface Pool {
  target: number;
  queued: number;
  slices: Partial<Record<SliceState, number>>;
}

export interface SliceRow {
  number: number;
  state: SliceState;
  generation: number;
  user_email: string | null;
  requested_at: string;
  state_changed_at: string;
  failure: string | null;
}

export interface SlicePage {
  slices: SliceRow[];
  next_cursor: string | null;
}

export interface FieldError {
  field: string;
  detail: string;
}

/** RFC 9457 problem details: the body of every error answer. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: FieldError[];
  request_id?: string;
}
