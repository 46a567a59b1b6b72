import { defineConfig } from '@playwright/test';
import { browser } from './e2e/browser';

// The main job in a real browser, against a running stack: `npm run e2e` with
// APP_URL (the app) and SIM_URL (the WhatsApp stand-in) set.
export default defineConfig({
  testDir: 'e2e',
  testMatch: 'main-job.spec.ts',
  outputDir: 'test-results/artifacts',
  workers: 1,
  forbidOnly: true,
  retries: 2, // only after the machine's network changed; see e2e/test.ts
  timeout: 180_000,
  expect: { timeout: 20_000 },
  reporter: 'list',
  use: { ...browser, baseURL: process.env.APP_URL, ignoreHTTPSErrors: true },
});
