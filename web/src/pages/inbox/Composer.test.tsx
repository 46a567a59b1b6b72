import { cleanup, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';
import { message } from '../../testing/fixtures';
import { renderElement } from '../../testing/render';
import { Composer } from './Composer';
import { groupByDay } from './groupByDay';

function setup(disabled = false) {
  const onSend = vi.fn<(text: string) => void>();
  renderElement(<Composer chatID="c" disabled={disabled} onSend={onSend} />);
  return { onSend, input: screen.getByRole('textbox', { name: 'Message' }), send: screen.getByRole('button', { name: 'Send' }) };
}

it('sends with Enter, breaks the line with Shift+Enter', async () => {
  const { onSend, input } = setup();
  await userEvent.type(input, 'one{Shift>}{Enter}{/Shift}two{Enter}');
  expect(onSend.mock.calls).toEqual([['one\ntwo']]);
  expect((input as HTMLTextAreaElement).value).toBe('');
});

it('sends nothing that is empty', async () => {
  const { onSend, input, send } = setup();
  await userEvent.type(input, '  {Enter}');
  expect(send).toHaveProperty('disabled', true);
  expect(onSend).not.toHaveBeenCalled();
  await userEvent.clear(input);
});

it('keeps the text while WhatsApp is not linked, and when the chat is opened again', async () => {
  const { onSend, input } = setup(true);
  await userEvent.type(input, 'wait{Enter}');
  expect(onSend).not.toHaveBeenCalled();
  expect((input as HTMLTextAreaElement).value).toBe('wait');
  expect(screen.getByText('Link WhatsApp to send messages.')).toBeTruthy();
  cleanup();
  const again = setup();
  expect((again.input as HTMLTextAreaElement).value).toBe('wait');
});

it('groups messages by the days of the time zone', () => {
  const messages = ['2026-11-21T22:00:00Z', '2026-11-21T23:30:00Z', '2026-11-22T09:00:00Z'].map((sent_at, i) => message({ id: String(i), sent_at }));
  const days = groupByDay(messages, { timeZone: 'Europe/Berlin' });
  expect(days.map((day) => [day.key, day.messages.map((m) => m.id)])).toEqual([
    ['2026-11-21', ['0']],
    ['2026-11-22', ['1', '2']],
  ]);
});
