import { useEffect, useState } from 'react';

/** Relative times are off by no more than this. */
const TICK_MS = 30_000;

/** The time, moving on while the page is shown. */
export function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
