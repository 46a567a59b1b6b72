import { describe, expect, it } from 'vitest';
import { chat, message } from '../testing/fixtures';
import { chatTitle, linkify, matches, preview } from './chat';

it('titles a chat by name, number or id', () => {
  expect(chatTitle(chat())).toBe('Carl');
  expect(chatTitle(chat({ name: '' }))).toBe('+4917012345');
  expect(chatTitle(chat({ name: '', phone: null }))).toBe('+4917012345');
  expect(chatTitle(chat({ id: '98765@lid', name: '', phone: null }))).toBe('98765@lid');
});

it('previews the last message on one line', () => {
  expect(preview(null, false)).toBe('No messages yet');
  expect(preview(message({ text: 'a\n\n b' }), false)).toBe('a b');
  expect(preview(message({ direction: 'out', text: 'ok' }), false)).toBe('You: ok');
  expect(preview(message(), true)).toBe('Carl: Hello');
  expect(preview(message({ type: 'image', text: '' }), false)).toBe('Photo');
  expect(preview(message({ type: 'hologram', text: '' }), false)).toBe('[hologram]');
});

it('finds chats by words of the name and by number', () => {
  const jose = chat({ name: 'José García' });
  expect(matches(jose, 'garcia jose')).toBe(true);
  expect(matches(jose, '17012')).toBe(true);
  expect(matches(jose, 'maria')).toBe(false);
});

describe('linkify', () => {
  it('leaves the end of a sentence out of the address', () => {
    expect(linkify('See https://example.com/a?b=1, (http://x.org).')).toEqual([
      { text: 'See ' },
      { text: 'https://example.com/a?b=1', href: 'https://example.com/a?b=1' },
      { text: ', (' },
      { text: 'http://x.org', href: 'http://x.org' },
      { text: ').' },
    ]);
  });

  it.each(['javascript:alert(1)', 'data:text/html,x', 'plain', '', '<script>'])('makes no link of %j', (text) => {
    expect(linkify(text).every((part) => part.href === undefined)).toBe(true);
    expect(linkify(text).map((part) => part.text).join('')).toBe(text);
  });
});
