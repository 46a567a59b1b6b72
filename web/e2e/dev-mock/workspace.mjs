// One made-up slice: its WhatsApp state, chats and messages.
import { fail, invalid, readJSON, reply } from './http.mjs';
import { picture } from './picture.mjs';

const ACKS = ['pending', 'sent', 'delivered', 'read', 'played'];
const NAMES = ['Carla Méndez', 'Bakery Rosenthal', 'Jonas Weber', 'Priya Nair', 'Tomás Silva', 'Ingrid Olsen', 'Mehmet Kaya',
  'Sofia Rossi', 'Liam O’Connor', 'Anna Kowalska', 'Football parents', 'Yuki Tanaka'];
const TEXTS = ['Hi! Do you still have the sourdough?', 'Yes, two loaves left. Shall I put one aside?', 'That would be lovely, thank you 🙏',
  'Until when are you open on Saturday?', 'Until 14:00.', 'Great. I will come by around noon with my sister, she would also like to see what else you have this week.',
  'Here is the list: https://example.com/menu?week=47.', 'Perfect!'];

export class Workspace {
  constructor(qrMs, emit) {
    this.qrMs = qrMs;
    this.emit = emit;
    this.chats = new Map();
    this.messages = new Map(); // by chat id
    this.failSends = false;
    this.account = null;
    this.reason = '';
    this.state = 'starting';
    this.since = new Date().toISOString();
    setTimeout(() => this.state === 'starting' && this.newQR(), 600);
    setInterval(() => this.state === 'qr' && this.newQR(), qrMs).unref();
  }

  status() {
    const { state, account, reason, since } = this;
    return { state, qr: state === 'qr' ? this.qr : null, account, reason, since };
  }

  setState(change) {
    Object.assign(this, { reason: '', since: new Date().toISOString() }, change);
    this.emit('whatsapp:state', this.status());
  }

  newQR() {
    const text = `2@mock${crypto.randomUUID()}`;
    this.qr = { text, image: picture(text), expires_at: new Date(Date.now() + this.qrMs).toISOString() };
    this.setState({ state: 'qr', account: null });
  }

  link(account) {
    this.phone = account.phone;
    this.setState({ state: 'syncing', account: { id: `${account.phone}@c.us`, phone: `+${account.phone}`, name: account.name } });
    setTimeout(() => this.setState({ state: 'ready' }), 800);
  }

  unlink() {
    this.setState({ state: 'logged_out', account: null });
    setTimeout(() => this.newQR(), 1200);
  }

  add(chatID, name, message) {
    const chat = this.chats.get(chatID) ?? {
      id: chatID, name, phone: chatID.endsWith('@c.us') ? `+${chatID.split('@')[0]}` : null,
      is_group: chatID.endsWith('@g.us'), unread: 0, last_message: null, last_message_at: null,
    };
    const full = {
      id: `mock-${crypto.randomUUID()}`, chat_id: chatID, sender_id: chatID, sender_name: name, type: 'text',
      ack: 'delivered', client_id: null, sent_at: new Date().toISOString(), ...message,
    };
    this.chats.set(chatID, { ...chat, last_message: full, last_message_at: full.sent_at, unread: full.direction === 'in' ? chat.unread + 1 : chat.unread });
    this.messages.set(chatID, [...(this.messages.get(chatID) ?? []), full]);
    this.emit('message:new', full);
    this.emit('chat:updated', this.chats.get(chatID));
    return full;
  }

  ack(chatID, id, ack) {
    const message = this.messages.get(chatID)?.find((m) => m.id === id);
    if (!message || ACKS.indexOf(ack) <= ACKS.indexOf(message.ack)) return;
    message.ack = ack;
    this.emit('message:ack', { id, chat_id: chatID, ack });
  }

  seed() {
    NAMES.forEach((name, i) => {
      const group = name.startsWith('Football');
      const id = group ? '1203630@g.us' : `49170${1000000 + i}@c.us`;
      const count = i === 1 ? 140 : 4 + (i % 5);
      for (let n = 0; n < count; n++) {
        const out = n % 3 === 1;
        const age = i * 7.3e6 + (count - n) * (i === 1 ? 1.7e6 : 2.1e5);
        this.add(id, name, {
          direction: out ? 'out' : 'in', sender_name: out ? '' : group ? ['Paul', 'Mia'][n % 2] : name,
          sender_id: out ? 'me' : group ? `m${n % 2}` : id,
          text: TEXTS[(n + i) % TEXTS.length], ack: n < count - 3 ? 'read' : 'delivered', sent_at: new Date(Date.now() - age).toISOString(),
        });
      }
      if (i % 4 !== 2) this.chats.get(id).unread = 0;
      this.emit('chat:updated', this.chats.get(id));
    });
  }

  async api(req, res, url) {
    const [, , resource, rawID, action] = url.pathname.split('/');
    const id = rawID && decodeURIComponent(rawID);
    if (resource === 'whatsapp' && id === 'logout') return this.unlink(), reply(res, 204);
    if (resource === 'whatsapp') return reply(res, 200, this.status());
    if (resource !== 'chats') return fail(res, 404, 'There is nothing at this path.');
    if (!id) return this.listChats(res, url);
    if (!this.chats.has(id)) return fail(res, 404, 'There is no such chat.');
    if (action === 'read') {
      const chat = { ...this.chats.get(id), unread: 0 };
      this.chats.set(id, chat);
      this.emit('chat:updated', chat);
      return reply(res, 204);
    }
    if (req.method === 'GET') return this.listMessages(res, url, id);
    return this.send(req, res, id);
  }

  listChats(res, url) {
    const all = [...this.chats.values()].sort((a, b) => b.last_message_at.localeCompare(a.last_message_at));
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const end = start + Number(url.searchParams.get('limit') ?? 50);
    reply(res, 200, { chats: all.slice(start, end), next_cursor: end < all.length ? String(end) : null });
  }

  listMessages(res, url, id) {
    const all = this.messages.get(id);
    const end = Number(url.searchParams.get('before') ?? all.length);
    const start = Math.max(0, end - Number(url.searchParams.get('limit') ?? 50));
    reply(res, 200, { messages: all.slice(start, end), next_cursor: start > 0 ? String(start) : null });
  }

  async send(req, res, chatID) {
    const { text = '', client_id: clientID = null } = await readJSON(req);
    if (this.failSends) return fail(res, 503, 'WhatsApp is not connected right now.');
    if (text.trim() === '') return invalid(res, [{ field: 'text', detail: 'is required' }]);
    const known = this.messages.get(chatID).find((m) => clientID && m.client_id === clientID);
    if (known) return reply(res, 201, known);
    const message = this.add(chatID, '', { direction: 'out', sender_id: this.account?.id ?? 'me', text, ack: 'pending', client_id: clientID });
    setTimeout(() => this.ack(chatID, message.id, 'sent'), 150);
    setTimeout(() => this.ack(chatID, message.id, 'delivered'), 500);
    reply(res, 201, message);
  }
}
