import { describe, expect, it } from 'vitest';
import { dayKey, dayLabel, longAgo, roughly, shortAgo, timeOfDay } from './time';

// A Sunday, 00:30 in Berlin, still Saturday in New York.
const now = new Date('2026-11-21T23:30:00Z');
const clock = { now, locale: 'en-GB', timeZone: 'Europe/Berlin' };

describe('shortAgo', () => {
  it.each([
    ['2026-11-21T23:29:30Z', 'now'],
    ['2026-11-21T23:31:00Z', 'now'], // a clock that is ahead
    ['2026-11-21T23:10:00Z', '20 min'],
    ['2026-11-21T22:20:00Z', 'Yesterday'], // 23:20 in Berlin
    ['2026-11-18T12:00:00Z', 'Wed'],
    ['2026-11-02T12:00:00Z', '2 Nov'],
    ['2025-11-02T12:00:00Z', '2 Nov 2025'],
  ])('%s is %s', (iso, text) => expect(shortAgo(iso, clock)).toBe(text));

  it('is a time within the day', () => {
    expect(shortAgo('2026-11-21T20:05:00Z', { ...clock, timeZone: 'America/New_York' })).toBe('15:05');
  });
});

describe('days', () => {
  it('are those of the time zone', () => {
    expect(dayKey('2026-11-21T23:30:00Z', clock)).toBe('2026-11-22');
    expect(dayKey('2026-11-21T23:30:00Z', { timeZone: 'America/New_York' })).toBe('2026-11-21');
  });

  it.each([
    ['2026-11-21T23:10:00Z', 'Today'],
    ['2026-11-21T12:00:00Z', 'Yesterday'],
    ['2026-11-18T12:00:00Z', 'Wednesday'],
    ['2026-11-02T12:00:00Z', '2 November'],
    ['2025-11-02T12:00:00Z', '2 November 2025'],
  ])('%s is called %s', (iso, text) => expect(dayLabel(iso, clock)).toBe(text));

  it('are counted right over a change of clocks', () => {
    const monday = new Date('2026-10-26T00:30:00+01:00'); // the day after the clocks went back
    expect(dayLabel('2026-10-25T00:30:00+02:00', { ...clock, now: monday })).toBe('Yesterday');
  });
});

it('timeOfDay', () => expect(timeOfDay('2026-11-21T23:30:00Z', clock)).toBe('00:30'));

it.each([
  ['2026-11-21T23:29:50Z', '10 seconds ago'],
  ['2026-11-21T23:00:00Z', '30 minutes ago'],
  ['2026-11-21T20:30:00Z', '3 hours ago'],
  ['2026-11-18T20:30:00Z', '3 days ago'],
])('longAgo(%s) is %s', (iso, text) => expect(longAgo(iso, clock)).toBe(text));

it.each([
  [0, 'a few seconds'],
  [12, 'about 15 seconds'],
  [50, 'about 50 seconds'],
  [60, 'about a minute'],
  [200, 'about 3 minutes'],
])('roughly(%d) is %s', (seconds, text) => expect(roughly(seconds)).toBe(text));
