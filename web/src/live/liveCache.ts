import type { QueryClient, QueryKey } from '@tanstack/react-query';
import { keys } from '../api/keys';
import type { Ack, AckChange, Chat, Message, WhatsAppStatus } from '../api/types';
import { laterAck } from './ack';
import { ackLastMessage, clearUnread, putChat, putLastMessage, type ChatPages } from './chatPages';
import { ackMessage, putMessage, type MessagePages } from './messagePages';

/** Acks kept for messages that are not known yet; more than are ever on their way. */
const MAX_EARLY_ACKS = 200;

/**
 * Writes live events into the query cache. An event that arrives while a fetch
 * of the same data is under way is written again when that fetch ends, since
 * its answer may have been made before the event. All changes are idempotent.
 */
export class LiveCache {
  readonly #queryClient: QueryClient;
  readonly #duringFetch = new Map<string, (() => void)[]>();
  readonly #earlyAcks = new Map<string, Ack>();

  constructor(queryClient: QueryClient) {
    this.#queryClient = queryClient;
  }

  /** Begins to watch fetches; the returned function ends it. */
  start(): () => void {
    const stop = this.#queryClient.getQueryCache().subscribe((event) => {
      if (event.type !== 'updated') return;
      const ended = event.action.type === 'error' || (event.action.type === 'success' && !event.action.manual);
      if (ended) this.#replay(event.query.queryHash);
    });
    return () => {
      stop();
      this.#duringFetch.clear();
      this.#earlyAcks.clear();
    };
  }

  whatsappState(status: WhatsAppStatus): void {
    this.#write(keys.whatsapp, () => this.#queryClient.setQueryData(keys.whatsapp, status));
  }

  messageNew(message: Message): void {
    const early = this.#earlyAcks.get(message.id);
    if (early !== undefined) {
      this.#earlyAcks.delete(message.id);
      message = { ...message, ack: laterAck(message.ack, early) };
    }
    this.#editMessages(message.chat_id, (data) => putMessage(data, message));
    this.#write(keys.chats, () => {
      const data = this.#queryClient.getQueryData<ChatPages>(keys.chats);
      if (data === undefined) return;
      const changed = putLastMessage(data, message);
      if (changed) this.#queryClient.setQueryData<ChatPages>(keys.chats, changed);
    });
  }

  messageAck(change: AckChange): void {
    const known = this.#queryClient
      .getQueryData<MessagePages>(keys.messages(change.chat_id))
      ?.pages.some((page) => page.messages.some((m) => m.id === change.id));
    if (!known) this.#keepEarly(change);
    this.#editMessages(change.chat_id, (data) => ackMessage(data, change));
    this.#editChats((data) => ackLastMessage(data, change));
  }

  chatUpdated(chat: Chat): void {
    this.#editChats((data) => putChat(data, chat));
  }

  chatRead(chatID: string): void {
    this.#editChats((data) => clearUnread(data, chatID));
  }

  /** After a time without events nothing in the cache is certain. */
  refetchAll(): void {
    for (const queryKey of [keys.whatsapp, keys.chats, keys.allMessages]) {
      void this.#queryClient.invalidateQueries({ queryKey });
    }
  }

  #editMessages(chatID: string, change: (data: MessagePages) => MessagePages): void {
    const key = keys.messages(chatID);
    this.#write(key, () =>
      this.#queryClient.setQueryData<MessagePages>(key, (data) => (data ? change(data) : undefined)),
    );
  }

  #editChats(change: (data: ChatPages) => ChatPages): void {
    this.#write(keys.chats, () =>
      this.#queryClient.setQueryData<ChatPages>(keys.chats, (data) => (data ? change(data) : undefined)),
    );
  }

  #write(queryKey: QueryKey, write: () => void): void {
    write();
    const query = this.#queryClient.getQueryCache().find({ queryKey });
    if (query?.state.fetchStatus !== 'fetching') return;
    const waiting = this.#duringFetch.get(query.queryHash) ?? [];
    this.#duringFetch.set(query.queryHash, [...waiting, write]);
  }

  #replay(queryHash: string): void {
    const writes = this.#duringFetch.get(queryHash);
    this.#duringFetch.delete(queryHash);
    writes?.forEach((write) => write());
  }

  #keepEarly({ id, ack }: AckChange): void {
    this.#earlyAcks.set(id, laterAck(this.#earlyAcks.get(id) ?? 'pending', ack));
    if (this.#earlyAcks.size <= MAX_EARLY_ACKS) return;
    const [oldest] = this.#earlyAcks.keys();
    if (oldest !== undefined) this.#earlyAcks.delete(oldest);
  }
}
