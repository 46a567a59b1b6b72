// Serves the built app with the headers of production.
import { readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';

const DIST = join(import.meta.dirname, '../../dist');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const CSP = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self' wss: ws://127.0.0.1:*";

export function serveDist(res, path) {
  const file = read(normalize(path)) ?? read('/index.html');
  if (!file) {
    res.writeHead(404, { 'Content-Type': 'text/plain' });
    return res.end('Run `npm run build` first, or use the dev server.');
  }
  res.writeHead(200, { 'Content-Type': TYPES[extname(file.name)] ?? 'application/octet-stream', 'Content-Security-Policy': CSP });
  res.end(file.body);
}

function read(path) {
  try {
    const name = join(DIST, path);
    return { name, body: readFileSync(name) };
  } catch {
    return null;
  }
}
