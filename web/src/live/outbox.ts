import type { QueryClient } from '@tanstack/react-query';
import { sendMessage } from '../api/crm';
import { messageOf } from '../api/http';
import { keys } from '../api/keys';
import type { Message } from '../api/types';

/** A message that the server has not confirmed yet. */
export interface OutboxItem {
  clientID: string;
  chatID: string;
  text: string;
  createdAt: string;
  state: 'sending' | 'failed';
  /** Why it failed. */
  error: string | null;
}

type Send = (chatID: string, text: string, clientID: string) => Promise<Message>;

/**
 * Messages on their way to the server. They are kept in the query cache, so that
 * they outlive the page of their chat and vanish with the session. Those of one
 * chat go out one after the other: their order is the order they were written in.
 */
export class Outbox {
  readonly #queryClient: QueryClient;
  readonly #onSent: (message: Message) => void;
  readonly #onError: (error: unknown) => void;
  readonly #send: Send;
  readonly #tails = new Map<string, Promise<void>>();

  constructor(
    queryClient: QueryClient,
    onSent: (message: Message) => void,
    onError: (error: unknown) => void,
    send: Send = sendMessage,
  ) {
    this.#queryClient = queryClient;
    this.#onSent = onSent;
    this.#onError = onError;
    this.#send = send;
  }

  /** Resolves when the message was confirmed or has failed; never rejects. */
  add(chatID: string, text: string): Promise<void> {
    const item: OutboxItem = {
      clientID: newClientID(),
      chatID,
      text,
      createdAt: new Date().toISOString(),
      state: 'sending',
      error: null,
    };
    this.#edit((items) => [...items, item]);
    return this.#enqueue(item);
  }

  /** Tries again under the same client id: had the first try arrived, nothing is sent twice. */
  retry(clientID: string): Promise<void> {
    const item = this.#items().find((i) => i.clientID === clientID && i.state === 'failed');
    if (!item) return Promise.resolve();
    this.#edit((items) => items.map((i) => (i === item ? { ...i, state: 'sending', error: null } : i)));
    return this.#enqueue(item);
  }

  /** Forgets a message: it failed and is not wanted, or the server has it. */
  remove(clientID: string): void {
    if (this.#items().some((i) => i.clientID === clientID)) {
      this.#edit((items) => items.filter((i) => i.clientID !== clientID));
    }
  }

  #enqueue(item: OutboxItem): Promise<void> {
    const before = this.#tails.get(item.chatID) ?? Promise.resolve();
    const tail = before.then(() => this.#deliver(item));
    this.#tails.set(item.chatID, tail);
    return tail;
  }

  async #deliver({ chatID, text, clientID }: OutboxItem): Promise<void> {
    try {
      this.#onSent(await this.#send(chatID, text, clientID));
      this.remove(clientID);
    } catch (error) {
      const failed = { state: 'failed' as const, error: messageOf(error) };
      this.#edit((items) => items.map((i) => (i.clientID === clientID ? { ...i, ...failed } : i)));
      this.#onError(error);
    }
  }

  #items(): OutboxItem[] {
    return this.#queryClient.getQueryData<OutboxItem[]>(keys.outbox) ?? [];
  }

  #edit(change: (items: OutboxItem[]) => OutboxItem[]): void {
    this.#queryClient.setQueryData<OutboxItem[]>(keys.outbox, change(this.#items()));
  }
}

// crypto.randomUUID exists only on secure origins; this one exists everywhere.
function newClientID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
