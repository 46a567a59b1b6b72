import type { Message } from '../../api/types';
import { dayKey, type Clock } from '../../format/time';

export interface Day {
  key: string;
  messages: [Message, ...Message[]];
}

/** Splits messages, oldest first, into calendar days. */
export function groupByDay(messages: Message[], clock: Clock = {}): Day[] {
  const days: Day[] = [];
  for (const message of messages) {
    const key = dayKey(message.sent_at, clock);
    const last = days.at(-1);
    if (last?.key === key) last.messages.push(message);
    else days.push({ key, messages: [message] });
  }
  return days;
}
