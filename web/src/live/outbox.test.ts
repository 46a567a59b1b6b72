import { QueryClient } from '@tanstack/react-query';
import { beforeEach, expect, it, vi } from 'vitest';
import { ApiError } from '../api/http';
import { keys } from '../api/keys';
import type { Message } from '../api/types';
import { message } from '../testing/fixtures';
import { Outbox, type OutboxItem } from './outbox';

let client: QueryClient;
let outbox: Outbox;
const send = vi.fn<(chatID: string, text: string, clientID: string) => Promise<Message>>();
const onSent = vi.fn<(message: Message) => void>();
const onError = vi.fn<(error: unknown) => void>();

beforeEach(() => {
  send.mockReset();
  onSent.mockReset();
  onError.mockReset();
  client = new QueryClient();
  outbox = new Outbox(client, onSent, onError, send);
});

const items = () => client.getQueryData<OutboxItem[]>(keys.outbox) ?? [];
const first = () => {
  const [item] = items();
  if (!item) throw new Error('the outbox is empty');
  return item;
};

it('shows a message at once and lets go of it when the server has it', async () => {
  const sent = message({ direction: 'out' });
  send.mockResolvedValue(sent);
  const done = outbox.add('c', 'Hi');
  expect(items()).toMatchObject([{ chatID: 'c', text: 'Hi', state: 'sending' }]);
  await done;
  expect(items()).toEqual([]);
  expect(onSent).toHaveBeenCalledWith(sent);
});

it('keeps a failed message with the reason, and retries it under the same id', async () => {
  const error = new ApiError(503, 'WhatsApp is offline.');
  send.mockRejectedValueOnce(error).mockResolvedValueOnce(message());
  await outbox.add('c', 'Hi');
  expect(items()).toMatchObject([{ state: 'failed', error: 'WhatsApp is offline.' }]);
  expect(onError).toHaveBeenCalledWith(error);
  const { clientID } = first();
  await outbox.retry(clientID);
  expect(send.mock.calls.map((call) => call[2])).toEqual([clientID, clientID]);
  expect(items()).toEqual([]);
});

it('sends those of one chat in order, and other chats meanwhile', async () => {
  const order: string[] = [];
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  send.mockImplementation(async (_chat, text) => {
    order.push(text);
    if (text === 'first') await gate;
    return message();
  });
  const all = [outbox.add('a', 'first'), outbox.add('a', 'second'), outbox.add('b', 'other')];
  await all[2];
  expect(order).toEqual(['first', 'other']);
  release();
  await Promise.all(all);
  expect(order).toEqual(['first', 'other', 'second']);
});

it('goes on after a failure', async () => {
  send.mockRejectedValueOnce(new ApiError(503, 'no')).mockResolvedValueOnce(message());
  await Promise.all([outbox.add('a', 'first'), outbox.add('a', 'second')]);
  expect(items().map((i) => i.text)).toEqual(['first']);
});

it('does not bring back what was discarded, or confirmed by an event, when the request fails', async () => {
  let fail: (error: Error) => void = () => {};
  send.mockReturnValue(new Promise((_, reject) => (fail = reject)));
  const done = outbox.add('c', 'Hi');
  outbox.remove(first().clientID);
  await vi.waitFor(() => expect(send).toHaveBeenCalled());
  fail(new ApiError(504, 'too slow'));
  await done;
  expect(items()).toEqual([]);
});

it('retries only what failed', async () => {
  send.mockResolvedValue(message());
  await outbox.retry('unknown');
  expect(send).not.toHaveBeenCalled();
});
