// Times as people read them. now, locale and time zone are parameters only for
// the tests; the browser's own are the defaults.

export interface Clock {
  now?: Date;
  locale?: string;
  timeZone?: string;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** "14:05" */
export function timeOfDay(iso: string, { locale, timeZone }: Clock = {}): string {
  return new Date(iso).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', timeZone });
}

/** The calendar day on which two messages are together: "2026-11-22". */
export function dayKey(iso: string, { timeZone }: Clock = {}): string {
  return new Date(iso).toLocaleDateString('sv-SE', { timeZone }); // the locale whose dates are ISO dates
}

/** "Today", "Yesterday", "Friday", "2 November", "2 November 2025" */
export function dayLabel(iso: string, clock: Clock = {}): string {
  const { now = new Date(), locale, timeZone } = clock;
  const days = daysBetween(iso, now, timeZone);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  const date = new Date(iso);
  if (days > 1 && days < 7) return date.toLocaleDateString(locale, { weekday: 'long', timeZone });
  return date.toLocaleDateString(locale, { day: 'numeric', month: 'long', timeZone, ...yearUnlessThis(iso, now, timeZone) });
}

/** For a list: "now", "5 min", "14:05", "Yesterday", "Fri", "2 Nov", "2 Nov 2025" */
export function shortAgo(iso: string, clock: Clock = {}): string {
  const { now = new Date(), locale, timeZone } = clock;
  const age = now.getTime() - Date.parse(iso);
  const days = daysBetween(iso, now, timeZone);
  if (age < MINUTE_MS) return 'now';
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min`;
  if (days === 0) return timeOfDay(iso, clock);
  if (days === 1) return 'Yesterday';
  const date = new Date(iso);
  if (days < 7) return date.toLocaleDateString(locale, { weekday: 'short', timeZone });
  return date.toLocaleDateString(locale, { day: 'numeric', month: 'short', timeZone, ...yearUnlessThis(iso, now, timeZone) });
}

/** "3 minutes ago", for tables */
export function longAgo(iso: string, { now = new Date(), locale }: Clock = {}): string {
  const age = Math.max(0, now.getTime() - Date.parse(iso));
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  if (age < MINUTE_MS) return format.format(-Math.floor(age / 1000), 'second');
  if (age < HOUR_MS) return format.format(-Math.floor(age / MINUTE_MS), 'minute');
  if (age < DAY_MS) return format.format(-Math.floor(age / HOUR_MS), 'hour');
  return format.format(-Math.floor(age / DAY_MS), 'day');
}

/** Date and time in full, for titles. */
export function fullTime(iso: string, { locale, timeZone }: Clock = {}): string {
  return new Date(iso).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'medium', timeZone });
}

/** A wait: "a few seconds", "about 20 seconds", "about 3 minutes" */
export function roughly(seconds: number): string {
  if (seconds < 5) return 'a few seconds';
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} seconds`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  return minutes === 1 ? 'about a minute' : `about ${minutes} minutes`;
}

// Whole days of the calendar, which a change of clocks does not disturb.
function daysBetween(iso: string, now: Date, timeZone: string | undefined): number {
  const zone = timeZone === undefined ? {} : { timeZone };
  const from = Date.parse(dayKey(iso, zone));
  const to = Date.parse(dayKey(now.toISOString(), zone));
  return Math.round((to - from) / DAY_MS);
}

function yearUnlessThis(iso: string, now: Date, timeZone: string | undefined): { year?: 'numeric' } {
  const zone = timeZone === undefined ? {} : { timeZone };
  const same = dayKey(iso, zone).slice(0, 4) === dayKey(now.toISOString(), zone).slice(0, 4);
  return same ? {} : { year: 'numeric' };
}
