// The part of the stand-in's control API that the browser test uses.
import { fail, readJSON, reply } from './http.mjs';

const accounts = new Map(); // by phone
const ACK_NUMBERS = { failed: -1, pending: 0, sent: 1, delivered: 2, read: 3, played: 4 };

export async function controlRoutes(req, res, url, workspaces) {
  const [, , , phone, action] = url.pathname.split('/');
  if (!phone) {
    const account = await readJSON(req);
    const known = accounts.has(account.phone);
    accounts.set(account.phone, account);
    return reply(res, known ? 200 : 201, { ...account, linked: false });
  }
  const account = accounts.get(phone);
  if (!account) return fail(res, 404, 'There is no such account.');
  const linked = workspaces.find((w) => w.account && w.phone === phone);
  const chat = url.searchParams.get('chat');
  switch (`${req.method} ${action}`) {
    case 'POST scan': {
      const { qr } = await readJSON(req);
      const target = workspaces.find((w) => w.state === 'qr' && w.qr.text === qr);
      if (!target) return fail(res, 404, 'The code is unknown or has expired.');
      target.link(account);
      return reply(res, 204);
    }
    case 'POST messages': {
      const { from, from_name: name, text } = await readJSON(req);
      const message = linked.add(`${from}@c.us`, name, { direction: 'in', text });
      return reply(res, 201, { id: message.id });
    }
    case 'GET messages':
      return reply(res, 200, {
        messages: (linked.messages.get(chat) ?? []).map((m) => ({
          id: m.id, chat_id: chat, from_me: m.direction === 'out', text: m.text, ack: ACK_NUMBERS[m.ack], timestamp: Math.floor(Date.parse(m.sent_at) / 1000),
        })),
      });
    case 'POST read': {
      const { chat: chatID } = await readJSON(req);
      for (const m of linked.messages.get(chatID) ?? []) if (m.direction === 'out') linked.ack(chatID, m.id, 'read');
      return reply(res, 204);
    }
    case 'POST logout':
      linked.unlink();
      return reply(res, 204);
  }
  fail(res, 404, 'There is nothing at this path.');
}
