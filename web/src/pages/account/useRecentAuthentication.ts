import { useCallback, useState } from 'react';
import { asksForPassword } from '../../api/auth';

export interface DialogProps {
  opened: boolean;
  /** true: the user proved who they are; false: they gave up. */
  onDone: (proved: boolean) => void;
}

/**
 * Runs what may be refused until the user has given the password again: then it
 * asks, and tries once more. Resolves with null when the user gives up.
 */
export function useRecentAuthentication() {
  const [asking, setAsking] = useState<{ answer: (proved: boolean) => void } | null>(null);

  const run = useCallback(async <T>(action: () => Promise<T>): Promise<T | null> => {
    try {
      return await action();
    } catch (error) {
      if (!asksForPassword(error)) throw error;
    }
    const proved = await new Promise<boolean>((answer) => setAsking({ answer }));
    setAsking(null);
    return proved ? action() : null;
  }, []);

  const dialog: DialogProps = { opened: asking !== null, onDone: (proved) => asking?.answer(proved) };
  return { run, dialog };
}
