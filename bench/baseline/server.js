// What a slice of the single-machine prototype was: a Node server with
// whatsapp-web.js's parts loaded, and a full Chromium started with its default
// options. It opens the page and answers what the benchmark asks.
'use strict';
const express = require('express');
const http = require('node:http');
const pg = require('pg');
const puppeteer = require('puppeteer-core');
const { Server } = require('socket.io');
const { Client } = require('whatsapp-web.js');

async function main() {
  const { options } = new Client(); // its defaults; its own start needs the real WhatsApp Web
  const database = new URL(process.env.DATABASE_URL);
  database.searchParams.delete('sslmode'); // pg takes 'prefer' for 'require'
  const db = new pg.Pool({ connectionString: database.href });
  await db.query('SELECT 1');

  const browser = await puppeteer.launch({
    ...options.puppeteer,
    executablePath: '/usr/bin/chromium',
    userDataDir: '/profile/chromium',
    args: [`--user-agent=${options.userAgent}`],
  });
  const [page] = await browser.pages();
  await page.setUserAgent(options.userAgent);
  await page.goto(process.env.WHATSAPP_URL, { waitUntil: 'load' });

  const app = express();
  const answer = (f) => (_req, res) => page.evaluate(f).then((value) => res.json(value), (error) => res.status(503).send(error.message));
  app.get('/qr', answer(() => window.WPP.conn.getAuthCode()));
  app.get('/state', answer(async () => ({
    mode: window.WPP.conn.getStreamData().mode,
    chats: window.WPP.conn.isAuthenticated() ? (await window.WPP.chat.list()).length : 0,
  })));
  const server = http.createServer(app);
  new Server(server);
  server.listen(8080);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
