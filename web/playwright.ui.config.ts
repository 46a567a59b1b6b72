import { defineConfig } from '@playwright/test';
import { browser } from './e2e/browser';

// Details of the UI that a real stack does not show on demand, against the mock.
const PORT = 8791;

export default defineConfig({
  testDir: 'e2e',
  testMatch: 'ui.spec.ts',
  outputDir: 'test-results/artifacts',
  workers: 1,
  forbidOnly: true,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: 'list',
  webServer: {
    command: 'node e2e/dev-mock/server.mjs',
    env: { MOCK_PORT: String(PORT), MOCK_QUEUE: 'hold', MOCK_QR_MS: '8000' },
    url: `http://127.0.0.1:${PORT}/config.json`,
    reuseExistingServer: false,
  },
  use: { ...browser, baseURL: `http://127.0.0.1:${PORT}` },
});
