// Chromium drops all its connections when an address of the machine changes,
// which every container that starts does, and here a sign-up starts one. A test
// that this happened to is run again; a test that failed without it has failed.
import { test as base } from '@playwright/test';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DROPPED = 'ERR_NETWORK_CHANGED';
const NOTES = 'test-results/network-changed';

export const test = base.extend<{ droppedConnections: void }>({
  droppedConnections: [
    async ({ page }, use, info) => {
      const note = (retry: number) => join(NOTES, `${info.testId}-${retry}`);
      if (info.retry > 0 && !existsSync(note(info.retry - 1))) {
        throw new Error('The run before failed, and not because the machine’s network changed.');
      }
      let dropped = false;
      page.on('requestfailed', (request) => {
        dropped ||= request.failure()?.errorText.includes(DROPPED) ?? false;
      });
      await use();
      if (dropped || info.error?.message?.includes(DROPPED)) {
        mkdirSync(NOTES, { recursive: true });
        writeFileSync(note(info.retry), '');
      }
    },
    { auto: true },
  ],
});

export { expect, type Page } from '@playwright/test';
