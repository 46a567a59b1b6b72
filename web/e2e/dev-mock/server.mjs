// A MOCK of the gateway, a slice and the WhatsApp stand-in, for work on the UI
// only: everything is in memory and made up. It has the HTTP and Socket.IO
// interfaces that the SPA sees, the part of the stand-in's control API that the
// browser test uses, and /mock/* to put the UI into any state. It also serves
// web/dist under the same Content-Security-Policy as production.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';
import { controlRoutes } from './control.mjs';
import { serveDist } from './dist.mjs';
import { fail, invalid, readJSON, reply } from './http.mjs';
import { Workspace } from './workspace.mjs';

const PORT = Number(process.env.MOCK_PORT ?? 8787);
const QUEUE_MS = Number(process.env.MOCK_QUEUE_MS ?? 0); // how long a sign-up waits for its slice
const QUEUE_HOLD = process.env.MOCK_QUEUE === 'hold'; // sign-ups wait until /mock/state says otherwise
const QR_MS = Number(process.env.MOCK_QR_MS ?? 20_000);

const users = new Map(); // by e-mail
const sessions = new Map(); // token → user
const watchers = new Map(); // user → Set of WebSockets

addUser('admin@example.com', 'admin-password', 'admin');

function addUser(email, password, role) {
  const user = {
    id: crypto.randomUUID(), email, password, role, created_at: new Date().toISOString(),
    slice: { state: role === 'admin' ? 'none' : 'assigned', position: null, estimate_seconds: null },
    workspace: null, deletion_at: null,
  };
  if (role === 'user') user.workspace = new Workspace(QR_MS, (event, value) => io.to(user.id).emit(event, value));
  users.set(email, user);
  return user;
}

const me = (user) => ({
  user: { id: user.id, email: user.email, role: user.role, created_at: user.created_at },
  slice: user.slice,
  deletion_at: user.deletion_at,
});

function setSlice(user, slice) {
  user.slice = { position: null, estimate_seconds: null, ...slice };
  for (const socket of watchers.get(user) ?? []) {
    socket.send(JSON.stringify(user.slice));
    if (user.slice.state === 'assigned') socket.close(1000);
  }
}

function enqueue(user) {
  let position = 3;
  const step = () => {
    if (position === 0) return setSlice(user, { state: 'assigned' });
    setSlice(user, { state: 'queued', position, estimate_seconds: Math.ceil((position * QUEUE_MS) / 3000) });
    position -= 1;
    setTimeout(step, QUEUE_MS / 3);
  };
  step();
}

function userOf(req) {
  return sessions.get(/mock-session=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]);
}

function openSession(res, user, status) {
  const token = crypto.randomUUID();
  sessions.set(token, user);
  res.setHeader('Set-Cookie', `mock-session=${token}; Path=/; HttpOnly; SameSite=Lax`);
  reply(res, status, me(user));
}

const routes = {
  'GET /auth/signup': (_req, res) => reply(res, 200, { by_mail: false }),
  'POST /auth/signup': async (req, res) => {
    const { email = '', password = '' } = await readJSON(req);
    const errors = [];
    if (!/^[^\s@]+@[^\s@[\]]+\.[^\s@[\]]+$/.test(email)) errors.push({ field: 'email', detail: 'must be an e-mail address such as ana@example.com' });
    if (password.length < 10) errors.push({ field: 'password', detail: 'must have at least 10 characters' });
    if (errors.length) return invalid(res, errors);
    if (users.has(email)) return fail(res, 409, 'There is already an account with this e-mail address.');
    const user = addUser(email, password, 'user');
    if (QUEUE_HOLD) setSlice(user, { state: 'queued', position: 3, estimate_seconds: 12 });
    else if (QUEUE_MS > 0) enqueue(user);
    openSession(res, user, 201);
  },
  'POST /auth/login': async (req, res) => {
    const { email, password } = await readJSON(req);
    const user = users.get(email);
    if (user?.password !== password) return fail(res, 401, 'The e-mail address or the password is wrong.');
    openSession(res, user, 200);
  },
  'POST /auth/logout': (req, res) => {
    sessions.delete(/mock-session=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]);
    reply(res, 204);
  },
  'GET /auth/me': (req, res) => {
    const user = userOf(req);
    if (!user) return fail(res, 401, 'Please log in.');
    reply(res, 200, me(user));
  },
  'GET /auth/passkeys': (req, res) => {
    if (!userOf(req)) return fail(res, 401, 'Please log in.');
    reply(res, 200, { passkeys: [], next_cursor: null });
  },
  'GET /auth/export': (req, res) => {
    const user = userOf(req);
    if (!user) return fail(res, 401, 'Please log in.');
    reply(res, 200, { account: me(user).user, audit: [] });
  },
  'POST /auth/account/deletion': async (req, res) => {
    const user = userOf(req);
    if (!user) return fail(res, 401, 'Please log in.');
    const { email = '' } = await readJSON(req);
    if (email.trim().toLowerCase() !== user.email) return invalid(res, [{ field: 'email', detail: 'is not the e-mail address of your account' }]);
    user.deletion_at = new Date(Date.now() + 14 * 864e5).toISOString();
    reply(res, 200, { deletion_at: user.deletion_at });
  },
  'DELETE /auth/account/deletion': (req, res) => {
    const user = userOf(req);
    if (!user) return fail(res, 401, 'Please log in.');
    user.deletion_at = null;
    reply(res, 204);
  },
  'GET /admin/pool': (req, res) => {
    if (userOf(req)?.role !== 'admin') return fail(res, 403, 'Only admins may see this.');
    reply(res, 200, { target: 2, queued: 1, slices: { warm: 2, assigned: 4, provisioning: 1, failed: 1, held: 1, gone: 12 } });
  },
  'GET /admin/slices': (req, res, url) => {
    if (userOf(req)?.role !== 'admin') return fail(res, 403, 'Only admins may see this.');
    const states = ['warm', 'assigned', 'assigned', 'provisioning', 'failed', 'held', 'assigned', 'warm', 'assigned', 'gone'];
    const slices = states.map((state, i) => ({
      number: 48 - i, state, generation: 3,
      user_email: ['assigned', 'held'].includes(state) ? `user${i}@example.com` : null,
      requested_at: new Date(Date.now() - (i + 1) * 4e6).toISOString(),
      state_changed_at: new Date(Date.now() - (i + 1) * 9e5).toISOString(),
      failure: state === 'failed' ? 'The health check did not pass within 60 s.' : null,
    }));
    const wanted = url.searchParams.get('state');
    reply(res, 200, { slices: slices.filter((s) => !wanted || s.state === wanted), next_cursor: null });
  },
  // {"email", "slice": {...}} or {"email", "whatsapp": {...}} or {"email", "session": "end"}
  'POST /mock/state': async (req, res) => {
    const { email, slice, whatsapp, session, fail_sends: failSends, seed } = await readJSON(req);
    const user = users.get(email);
    if (!user) return fail(res, 404, 'No such user.');
    if (slice) setSlice(user, slice);
    if (whatsapp) user.workspace.setState(whatsapp);
    if (failSends !== undefined) user.workspace.failSends = failSends;
    if (seed) user.workspace.seed();
    if (session === 'end') {
      for (const [token, u] of sessions) if (u === user) sessions.delete(token);
      io.in(user.id).disconnectSockets(true);
    }
    reply(res, 204);
  },
};

async function handle(req, res) {
  const url = new URL(req.url, 'http://mock');
  const route = routes[`${req.method} ${url.pathname}`];
  if (route) return route(req, res, url);
  if (url.pathname.startsWith('/control/')) {
    return controlRoutes(req, res, url, [...users.values()].flatMap((u) => u.workspace ?? []));
  }
  if (url.pathname.startsWith('/api/')) {
    const user = userOf(req);
    if (!user) return fail(res, 401, 'Please log in.');
    if (user.slice.state !== 'assigned') return fail(res, 503, 'Your workspace is not running yet.');
    return user.workspace.api(req, res, url);
  }
  if (url.pathname === '/config.json') return reply(res, 200, { demo: true, phone_url: `http://127.0.0.1:${PORT}/phone` });
  serveDist(res, url.pathname);
}

const server = createServer((req, res) => {
  Promise.resolve(handle(req, res)).catch((error) => {
    console.error(error);
    if (!res.headersSent) fail(res, 500, 'Something went wrong on our side.');
  });
});

const io = new Server(server, {
  allowRequest: (req, done) => done(null, userOf(req)?.slice.state === 'assigned'),
});
io.on('connection', (socket) => {
  const user = userOf(socket.request);
  if (!user) return socket.disconnect(true); // the session ended during the handshake
  void socket.join(user.id);
  socket.emit('whatsapp:state', user.workspace.status());
});

const events = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
  if (!req.url.startsWith('/auth/slice/events')) return; // Socket.IO's
  const user = userOf(req);
  if (!user) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
  events.handleUpgrade(req, socket, head, (ws) => {
    const set = watchers.get(user) ?? new Set();
    watchers.set(user, set.add(ws));
    ws.on('close', () => set.delete(ws));
    ws.send(JSON.stringify(user.slice));
    if (user.slice.state === 'assigned') ws.close(1000);
  });
});

server.listen(PORT, '127.0.0.1', () => console.log(`MOCK (nothing here is real) on http://127.0.0.1:${PORT}`));
