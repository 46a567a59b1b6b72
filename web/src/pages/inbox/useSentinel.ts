import { useEffect, useRef, type RefObject } from 'react';

/** How long before it is seen the next page is asked for. */
const MARGIN = '400px';

/** Calls onSeen when the element comes near the visible part of what scrolls around it. */
export function useSentinel<E extends HTMLElement>(onSeen: () => void, enabled: boolean): RefObject<E | null> {
  const element = useRef<E>(null);
  const latest = useRef(onSeen);
  useEffect(() => {
    latest.current = onSeen;
  });
  useEffect(() => {
    if (!enabled || !element.current) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) latest.current();
      },
      { root: element.current.parentElement, rootMargin: MARGIN },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [enabled]);
  return element;
}
