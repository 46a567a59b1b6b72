import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// Where `npm run dev` finds the gateway (or the mock: `npm run mock`).
const apiURL = process.env.API_URL ?? 'http://127.0.0.1:8787';

// In production nginx serves /config.json; here only the dev server does, so
// that none is ever shipped in dist.
function devConfig(): Plugin {
  return {
    name: 'dev-config',
    configureServer(server) {
      server.middlewares.use('/config.json', (_req, res) => {
        const phoneURL = process.env.PHONE_URL;
        res.setHeader('Content-Type', 'application/json');
        res.end(JSON.stringify(phoneURL ? { demo: true, phone_url: phoneURL } : { demo: false }));
      });
    },
  };
}

export default defineConfig({
  plugins: [react(), devConfig()],
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(
      ['/auth', '/api', '/admin', '/socket.io'].map((path) => [
        path,
        { target: apiURL, secure: false, ws: true },
      ]),
    ),
  },
  build: {
    // The CSP allows no data: scripts or styles; files keep it simple.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        // Libraries change less often than our code: chunks that stay cached.
        codeSplitting: {
          groups: [
            { name: 'ui', test: /node_modules[\\/](@mantine|@floating-ui|@tabler|react-(number-format|remove-scroll|textarea-autosize|transition-group))/, priority: 1 },
            { name: 'vendor', test: /node_modules/ },
          ],
        },
      },
    },
  },
  test: {
    include: ['src/**/*.test.{ts,tsx}'],
    environment: 'jsdom',
    setupFiles: ['src/testing/setup.ts'],
    restoreMocks: true,
  },
});
