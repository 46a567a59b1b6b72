import type { PlaywrightTestOptions, PlaywrightWorkerOptions } from '@playwright/test';

/** The machine's own Chromium: Playwright downloads none. */
export const browser: Partial<PlaywrightTestOptions & PlaywrightWorkerOptions> & { trace: 'retain-on-failure'; screenshot: 'only-on-failure' } = {
  browserName: 'chromium',
  launchOptions: {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'], // tests run as root, where Chromium's sandbox does not start
  },
  locale: 'en-GB',
  viewport: { width: 1280, height: 800 },
  trace: 'retain-on-failure',
  screenshot: 'only-on-failure',
};

/** Where the tests leave what the pages looked like. */
export const shot = (name: string) => `test-results/${name}.png`;
