// window.WPP as @wppconnect/wa-js 4.6.0 defines it, as far as it is in use.
// Every name here exists there; a test holds it to that.

import { Database } from './database.js';
import { Emitter } from './emitter.js';
import { MsgKey, Wid, WPPError } from './models.js';
import { Session } from './session.js';
import { show } from './page.js';

const VERSION = '2.3000.1038792969';
const KEEP_ALIVE = 15_000; // ms

const events = new Emitter();
let session = null; // until the database is open
let ready = false;
let keepAliveTimer = null;

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function device() {
  if (!session) throw new WPPError('not_ready', 'The page is still loading');
  return session;
}

function assertChat(id) {
  const chat = chatFunctions.get(id);
  if (!chat) throw new WPPError('chat_not_found', `Chat not found for ${id}`, { id });
  return chat;
}

const conn = {
  getAuthCode: async () => device().authCode(),
  refreshQR: async () => device().refreshCode(),
  isAuthenticated: () => session?.registered ?? false,
  isRegistered: () => session?.registered ?? false,
  isIdle: () => session?.idle ?? false,
  isMainReady: () => session?.mainReady ?? false,
  isOnline: () => session?.online ?? navigator.onLine,
  needsUpdate: () => false,
  getStreamData: () => ({ ...(session?.stream ?? { mode: 'SYNCING', info: 'OPENING' }) }),
  getMyUserId: () => session?.me,
  getBuildConstants() {
    const [primary, secondary, tertiary] = VERSION.split('.');
    return {
      VERSION_STR: VERSION, VERSION_BASE: VERSION, VERSION_PRIMARY: primary, VERSION_SECONDARY: secondary,
      VERSION_TERTIARY: tertiary, WINDOWS_BUILD: null,
      PARSED: { PRIMARY: Number(primary), SECONDARY: Number(secondary), TERTIARY: Number(tertiary) },
    };
  },
  setKeepAlive(enable = true) {
    clearInterval(keepAliveTimer);
    keepAliveTimer = enable ? setInterval(() => document.dispatchEvent(new Event('scroll')), KEEP_ALIVE) : null;
    return enable;
  },
  getAutoDownloadSettings: () => ({ ...device().autoDownload }),
  setAutoDownloadSettings: async (settings) => device().setAutoDownload(settings),
  logout: async () => device().logout(),
};

const chatFunctions = {
  async list({ count = Infinity, id, direction = 'after', onlyUsers, onlyGroups, onlyWithUnreadMessage } = {}) {
    let chats = device().chatList();
    if (onlyUsers) chats = chats.filter((chat) => chat.isUser);
    if (onlyGroups) chats = chats.filter((chat) => chat.isGroup);
    if (onlyWithUnreadMessage) chats = chats.filter((chat) => chat.hasUnread);
    const from = id ? Math.max(chats.indexOf(chatFunctions.get(id)), 0) : 0;
    return direction === 'before' ? chats.slice(Math.max(from - count, 0), from) : chats.slice(from, from + count);
  },

  get: (id) => device().chats.get(Wid.assert(id)._serialized),

  async find(id) {
    const wid = Wid.assert(id);
    if (!wid.isUser()) throw new WPPError('chat_not_found', `Chat not found for ${id}`, { id });
    return device().openChat(wid);
  },

  // Oldest first. Without an id: the latest ones.
  async getMessages(chatId, { count = 20, direction = 'before', id, onlyUnread } = {}) {
    const chat = assertChat(chatId);
    let { messages } = chat;
    if (onlyUnread) {
      const unread = chat.unreadCount < 0 ? 2 : chat.unreadCount;
      messages = unread ? messages.filter((m) => !m.id.fromMe).slice(-unread) : [];
    }
    if (id) {
      const at = messages.findIndex((m) => m.id._serialized === String(id));
      if (at < 0) return [];
      messages = direction === 'after' ? messages.slice(at + 1) : messages.slice(0, at);
    }
    if (count < 0) return messages.slice();
    return id && direction === 'after' ? messages.slice(0, count) : messages.slice(-count);
  },

  async getMessageById(ids) {
    const found = [ids].flat().map((id) => {
      const key = MsgKey.fromString(id);
      const message = device().message(key._serialized);
      if (!message) {
        assertChat(key.remote);
        throw new WPPError('msg_not_found', `Message ${id} not found`, { id: String(id) });
      }
      return message;
    });
    return Array.isArray(ids) ? found : found[0];
  },

  async sendTextMessage(chatId, content, { markIsRead = true, waitForAck = true, delay = 0, messageId } = {}) {
    const chat = await chatFunctions.find(chatId);
    const key = messageId ? MsgKey.fromString(messageId) : device().newKey(chat.id);
    if (!key.fromMe || !key.remote.equals(chat.id)) {
      throw new WPPError('message_key_is_not_valid', `The message key ${key} is not one of this chat`);
    }
    if (delay) {
      await chatFunctions.markIsComposing(chat.id);
      await pause(delay);
      await chatFunctions.markIsPaused(chat.id);
    }
    if (markIsRead) device().setUnread(chat, 0);
    const { message, result } = device().send(key, String(content));
    const sendMsgResult = waitForAck ? await result : null;
    return { id: message.id.toString(), ack: message.ack, from: message.from.toString(), to: chat.id.toString(), sendMsgResult };
  },

  async markIsRead(chatId) {
    const chat = assertChat(chatId);
    const { unreadCount } = chat;
    device().setUnread(chat, 0);
    return { wid: chat.id, unreadCount };
  },

  async markIsUnread(chatId) {
    const chat = assertChat(chatId);
    if (!chat.hasUnread) device().setUnread(chat, -1);
    return { wid: chat.id };
  },

  async markIsComposing(chatId, duration) {
    const chat = assertChat(chatId);
    device().setPresence(chat, 'composing');
    if (!duration) return;
    await pause(duration);
    await chatFunctions.markIsPaused(chatId);
  },

  async markIsPaused(chatId) {
    device().setPresence(assertChat(chatId), 'paused');
  },
};

const contact = {
  async get(id) {
    const wid = Wid.assert(id);
    return device().contacts().find((c) => c.id.equals(wid));
  },
  list: async ({ onlyMyContacts } = {}) => device().contacts().filter((c) => !onlyMyContacts || c.isMyContact),
  // Nobody has a picture here.
  async getProfilePictureUrl(id) {
    Wid.assert(id);
    return undefined;
  },
  async queryWidExists(id) {
    const wid = Wid.assert(id);
    return (await device().exists(wid)) ? { wid, biz: false } : null;
  },
};

const profile = { getMyProfileName: () => device().name };

const util = {
  blobToBase64: (blob) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onloadend = () => resolve(reader.result);
    reader.onabort = reject;
    reader.onerror = reject;
    reader.readAsDataURL(blob);
  }),
};

const WPP = {
  version: '4.6.0',
  get isReady() { return ready; },
  get isFullReady() { return ready && conn.isMainReady(); },
  conn,
  chat: chatFunctions,
  contact,
  profile,
  util,
  on: (event, listener) => events.on(event, listener),
  once: (event, listener) => events.once(event, listener),
  off: (event, listener) => events.off(event, listener),
};
window.WPP = WPP;

show(WPP);
try {
  session = new Session(await Database.open(), events);
  await session.start();
  ready = true;
  events.emit('loader.ready');
} catch (error) {
  console.error('the stand-in could not start:', error);
  document.body.dataset.failed = 'true';
}
