// The linked device: its login, its chats, its connection, its stream.

import { Socket } from './socket.js';
import { ackEvent, editEvent, presenceEvent, reactionEvent, revokeEvent } from './events.js';
import * as files from './files.js';
import { LinkCode } from './linkcode.js';
import { ChatModel, ContactModel, MsgKey, MsgModel, Wid, WPPError } from './models.js';
import * as passkey from './passkey.js';

const NOT_SENT_YET = Number.MAX_SAFE_INTEGER; // its place is after all others
const HANG = 600_000; // ms

const DEPTH = 1_000_000;

// A page cannot end its renderer; this exhausts the stack of the one that lays
// it out, within a moment and with little memory.
function crash() {
  let node = document.body;
  for (let i = 0; i < DEPTH; i++) node = node.appendChild(document.createElement('div'));
  return document.body.offsetHeight;
}

const randomKey = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
const unixTime = () => Math.floor(Date.now() / 1000);

export class Session {
  stream = { mode: 'SYNCING', info: 'OPENING' };
  online = navigator.onLine;
  mainReady = false;
  idle = false;
  needsUpdate = false;
  passkey = null; // the challenge that is to be answered
  ref = null;
  chats = new Map();
  linkCode;
  #contacts = new Map();
  #messages = new Map();
  #state = {};
  #database;
  #events;
  #socket;
  #requiredAuth = false;
  #asking; // ends the question for the passkey
  #loaded = Date.now();
  #files = new Map(); // those on their way, by message
  #revoked = new Set(); // by this device
  #loggingOut = false; // it was this device that asked for it
  #stored = Promise.resolve(); // the last write under way

  constructor(database, events) {
    this.#database = database;
    this.#events = events;
    this.linkCode = new LinkCode(this, events);
    this.#socket = new Socket({
      hello: () => this.#hello(),
      frame: (frame) => this.#frame(frame),
      closed: () => this.#closed(),
    });
  }

  get registered() { return Boolean(this.#state.credential); }
  get me() { return this.#state.me && Wid.create(this.#state.me); }
  get lid() { return this.#state.lid && Wid.create(this.#state.lid); }
  get syncProgress() { return this.#state.synced ? 100 : Math.min(99, Math.floor(100 * this.#messages.size / (this.#messages.size + 1000))); }
  get name() { return this.#state.name ?? ''; }
  get autoDownload() { return this.#state.autoDownload ?? { photos: true, audio: true, videos: true, documents: true }; }

  async start() {
    const { state, contacts, chats, messages } = await this.#database.load();
    this.#state = state;
    if (!state.keys) await this.#newKeys();
    for (const record of contacts) this.#contact(record);
    for (const record of chats) this.#chat(record);
    messages.sort((a, b) => a.order - b.order || a.t - b.t);
    for (const record of messages) this.#message(record);
    this.#socket.start();
    if (this.registered) {
      this.#events.emit('conn.main_loaded');
      for (const { record } of this.#messages.values()) if (record.from_me && record.ack === 0) this.#resume(record);
    } else {
      this.#requireAuth();
    }
  }

  async #newKeys() {
    this.#state.keys = [randomKey(), randomKey(), randomKey()];
    await this.#database.put({ state: this.#state });
  }

  // ---- connection

  #hello() {
    this.#setStream({ info: this.registered ? 'RESUMING' : 'PAIRING' });
    if (!this.registered) return { type: 'hello', keys: this.#state.keys };
    return { type: 'hello', credential: this.#state.credential, cursor: this.#state.cursor ?? 0 };
  }

  #closed() {
    this.#setOnline(false);
    if (!this.registered) {
      this.#setRef(null);
      this.#setPasskey(null);
      this.linkCode.closed();
    }
    this.#setStream({ info: 'OFFLINE' });
  }

  #frame(frame) {
    if (frame.type !== 'logged_out') this.#setOnline(true);
    switch (frame.type) {
      case 'ref':
        this.idle = false;
        this.#setStream({ mode: 'QR', info: 'PAIRING' });
        this.#setRef(frame.ref);
        break;
      case 'idle':
        this.idle = true;
        this.#setRef(null);
        this.#events.emit('conn.qrcode_idle');
        break;
      case 'link_code':
      case 'link_code_error':
        this.linkCode.frame(frame);
        break;
      case 'passkey':
        this.#setRef(null);
        this.#setPasskey(frame.challenge);
        this.answerPasskey();
        break;
      case 'passkey_failed':
        this.#setPasskey(null);
        break;
      case 'linked':
        this.#linked(frame);
        break;
      case 'welcome':
        if (frame.lid !== this.#state.lid) this.#save({ state: { lid: this.#state.lid = frame.lid } });
        this.#setStream({ info: 'SYNCING' });
        break;
      case 'update':
        this.#apply(frame.update);
        break;
      case 'synced':
        this.#apply(frame.update);
        if (!this.#state.synced) this.#save({ state: { synced: this.#state.synced = true } });
        this.#ready();
        break;
      case 'logged_out':
        this.#loggedOut();
        break;
      case 'ack':
        if (this.#messages.has(frame.message.id)) this.#events.emit(...ackEvent(this.#messages.get(frame.message.id)));
        break;
      case 'presence':
        this.#showPresence(frame);
        break;
      case 'fault':
        this.#playFault(frame.fault);
        break;
    }
  }

  // Ready says that the login outlives this process: not before it is stored.
  async #ready() {
    const { stream } = this;
    await this.#stored;
    if (stream === this.stream) this.#setStream({ mode: 'MAIN', info: 'NORMAL' });
  }

  #setStream(change) {
    const { mode, info } = { ...this.stream, ...change };
    const before = this.stream;
    this.stream = { mode, info };
    if (mode !== before.mode) {
      this.#events.emit('conn.stream_mode_changed', mode);
      if (!this.mainReady && (mode === 'MAIN' || mode === 'QR')) {
        this.mainReady = true; // once per page load, as in WhatsApp Web
        this.#events.emit('conn.main_ready');
      }
    }
    if (info !== before.info) this.#events.emit('conn.stream_info_changed', info);
  }

  #setOnline(online) {
    if (online === this.online) return;
    this.online = online;
    this.#events.emit('conn.online', online);
  }

  #playFault(fault) {
    if (fault === 'conflict') {
      this.#socket.stop();
      this.#setStream({ mode: 'CONFLICT' });
    } else if (fault === 'renderer_hang') {
      for (const end = Date.now() + HANG; Date.now() < end;);
    } else if (fault === 'renderer_crash') {
      crash();
    } else if (fault === 'needs_update') {
      this.needsUpdate = true;
      this.#events.emit('conn.needs_update');
    }
  }

  // ---- login

  authCode() {
    if (!this.ref || this.registered) return null;
    const [staticKeyPair, identityKeyPair, secretKey] = this.#state.keys;
    const fullCode = [this.ref, staticKeyPair, identityKeyPair, secretKey].join(',');
    return { type: 'multidevice', ref: this.ref, staticKeyPair, identityKeyPair, secretKey, fullCode };
  }

  refreshCode() {
    if (this.registered) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#events.once('conn.auth_code_change', resolve);
      this.#socket.send({ type: 'refresh' });
    });
  }

  #setRef(ref) {
    if (ref === this.ref) return;
    this.ref = ref;
    this.#events.emit('conn.auth_code_change', this.authCode());
  }

  #requireAuth() {
    if (this.#requiredAuth) return;
    this.#requiredAuth = true;
    this.#events.emit('conn.require_auth');
  }

  sendPairing(frame) {
    if (!this.registered) this.#socket.send(frame);
  }

  #setPasskey(challenge) {
    this.#asking?.abort();
    this.#asking = new AbortController();
    this.passkey = challenge;
    document.dispatchEvent(new Event('passkey')); // for the page alone: wa-js has no such event
  }

  // Asks for the passkey; where there is none it stays asked for.
  async answerPasskey() {
    try {
      const data = await passkey.ask(this.passkey, this.#asking.signal);
      this.#socket.send({ type: 'passkey_response', client_data: data });
    } catch (error) {
      console.warn('no passkey:', error);
    }
  }

  #linked({ credential, me, lid }) {
    this.#setPasskey(null);
    Object.assign(this.#state, { credential, me: `${me.phone}@c.us`, lid, name: me.name, cursor: 0, synced: false });
    this.#save({ state: this.#state });
    this.#requiredAuth = false;
    this.#setRef(null);
    this.#setStream({ mode: 'SYNCING', info: 'SYNCING' });
    this.#events.emit('conn.main_loaded');
    this.#events.emit('conn.authenticated');
  }

  async logout() {
    if (!this.registered) throw new WPPError('not_authenticated', 'The device is not linked');
    const done = new Promise((resolve) => { this.#events.once('conn.logout', resolve); });
    this.#loggingOut = true;
    // The answer may not come: the server ends the login and says so.
    this.#socket.request({ type: 'logout' }).catch(() => {});
    await done;
    return true;
  }

  async #loggedOut() {
    const reason = this.#loggingOut ? 'user_initiated' : 'unknown_companion';
    this.#loggingOut = false;
    this.#socket.stop();
    this.chats.clear();
    this.#contacts.clear();
    this.#messages.clear();
    this.#state = {};
    try {
      await this.#database.clear();
      await this.#newKeys();
    } catch (error) {
      console.error('the login could not be removed:', error);
    }
    this.#events.emit('conn.logout_reason', reason);
    this.#events.emit('conn.logout');
    this.#setStream({ mode: 'QR', info: 'PAIRING' });
    this.#requireAuth();
    this.#socket.start();
  }

  async setAutoDownload(settings) {
    const { photos, audio, videos, documents } = settings;
    const autoDownload = { ...this.autoDownload };
    for (const [key, value] of Object.entries({ photos, audio, videos, documents })) {
      if (value !== undefined) autoDownload[key] = value;
    }
    this.#state.autoDownload = autoDownload;
    await this.#database.put({ state: { autoDownload } });
    location.reload(); // so does the real one
  }

  // ---- chats and messages

  #save(records, durability) {
    // Writes end in the order in which they began: the last stands for all.
    this.#stored = this.#database.put(records, durability).catch((error) => console.error('the change could not be stored:', error));
  }

  #chat(record) {
    let chat = this.chats.get(record.id);
    if (chat) chat.set(record);
    else this.chats.set(record.id, chat = new ChatModel(record, this));
    return chat;
  }

  #contact(record) {
    const known = this.#contacts.get(record.id);
    if (known) known.set(record);
    else this.#contacts.set(record.id, new ContactModel(record));
    const chat = this.chats.get(record.id);
    if (chat) chat.set(chat.record);
  }

  // Returns what is known of somebody; name is only for those of whom nothing is.
  contact(wid, name) {
    if (wid?.equals(this.me) || wid?.equals(this.lid)) return new ContactModel({ id: wid.toString(), name: this.name }, true);
    let known = this.#contacts.get(wid.toString());
    if (!known) this.#contacts.set(wid.toString(), known = new ContactModel({ id: wid.toString(), name }));
    return known;
  }

  // Returns the chat; makes a local one where there is none.
  openChat(wid) {
    const known = this.chats.get(wid._serialized);
    if (known) return known;
    const chat = this.#chat({ id: wid._serialized, name: '', unread: 0, t: 0 });
    this.#save({ chats: [chat.record] });
    queueMicrotask(() => this.#events.emit('chat.new_chat', chat));
    return chat;
  }

  #message(record) {
    const known = this.#messages.get(record.id);
    if (known) {
      const moved = known.record.order !== record.order;
      known.set(record);
      if (moved) known.chat.messages.sort(byOrder);
      return known;
    }
    const { messages } = this.openChat(Wid.assert(record.chat));
    const message = new MsgModel(record, this);
    this.#messages.set(record.id, message);
    messages.push(message);
    if (messages.length > 1 && byOrder(messages.at(-2), message) > 0) messages.sort(byOrder);
    return message;
  }

  message(id) { return this.#messages.get(id); }

  chatList() {
    return [...this.chats.values()].sort((a, b) => (b.t ?? 0) - (a.t ?? 0) || byOrder(b.messages.at(-1), a.messages.at(-1)));
  }

  contacts() {
    const groups = [...this.chats.values()].filter((chat) => chat.isGroup).map((chat) => chat.contact);
    return [...this.#contacts.values(), ...groups, ...(this.me ? [this.contact(this.me)] : [])];
  }

  // Takes over what the server says, stores it, then tells the listeners.
  #apply({ cursor, contacts, chats, messages }) {
    contacts ??= [];
    chats ??= [];
    messages ??= [];
    const added = [];
    const changed = [];
    const silent = new Set(messages.filter((m) => m.fault === 'silent_message' && !this.#messages.has(m.id)).map((m) => m.chat));
    for (const record of contacts) this.#contact(record);
    for (const record of chats) {
      const before = this.chats.get(record.id);
      const previousUnreadCount = before?.unreadCount ?? 0;
      const chat = this.#chat(record);
      if (silent.has(record.id) || record.history && !before) continue;
      if (!before) added.push(chat);
      if (chat.unreadCount !== previousUnreadCount) {
        changed.push(['chat.unread_count_changed', { chat, unreadCount: chat.unreadCount, previousUnreadCount }]);
      }
    }
    const fresh = [];
    for (const record of messages) {
      const before = this.#messages.get(record.id)?.record;
      const message = this.#message(record);
      if (!before && !record.history) fresh.push(message);
      changed.push(...this.#changes(message, before));
    }
    if (cursor > (this.#state.cursor ?? 0)) this.#state.cursor = cursor;
    this.#save({ state: { cursor: this.#state.cursor }, contacts, chats, messages }, this.#state.synced ? 'strict' : 'relaxed');
    if (!this.#state.synced) return; // history, from before the device was linked
    for (const chat of added) this.#events.emit('chat.new_chat', chat);
    for (const message of fresh) if (message.record.fault !== 'silent_message') this.#announce(message);
    for (const event of changed) this.#events.emit(...event);
  }

  // The events of what is new in a message that was known as before.
  #changes(message, before) {
    const { record } = message;
    const events = [];
    if (before && record.from_me && record.ack > before.ack) events.push(ackEvent(message));
    if (before && record.edit_key && record.edit_key !== before.edit_key) events.push(editEvent(message));
    if (before && record.type === 'revoked' && before.type !== 'revoked' && !this.#revoked.has(record.id)) events.push(revokeEvent(message));
    const known = new Set(before?.reactions?.map(({ key }) => key));
    for (const reaction of record.reactions ?? []) {
      // Those from before the page was loaded have no event, as in wa-js.
      if (!known.has(reaction.key) && reaction.t >= this.#loaded) events.push(reactionEvent(message, reaction));
    }
    return events;
  }

  #announce(message) {
    message.isNewMsg = true;
    if (message.record.fault === 'double_new_message') {
      Object.assign(message, { type: 'ciphertext', body: undefined });
      this.#events.emit('chat.new_message', message);
      message.set(message.record);
    }
    this.#events.emit('chat.new_message', message);
  }

  #showPresence({ chat: id, sender, state }) {
    const chat = this.chats.get(id);
    if (chat) this.#events.emit(...presenceEvent(chat, this.contact(Wid.create(sender)), state));
  }

  // Resolves once the server has it; a lost connection only delays that.
  send(key, { text = '', type = 'chat', media, quoted, file }) {
    const record = {
      id: key._serialized, chat: key.remote._serialized, from_me: true,
      text, type, media, quoted, ack: 0, t: unixTime(), order: NOT_SENT_YET,
    };
    const known = this.#messages.get(record.id);
    if (known) return { message: known, result: this.#transmit(known.record) };
    if (file) this.#files.set(record.id, file);
    const message = this.#message(record);
    this.#save({ messages: [record] });
    this.#announce(message);
    return { message, result: this.#transmit(record) };
  }

  // A file that was not sent before the page was loaded anew is lost.
  #resume(record) {
    if (record.media && !record.media.hash) this.#failed(record);
    else this.#transmit(record);
  }

  #failed(record) {
    const failed = { ...record, ack: -1, order: Date.now() }; // orders follow the clock
    const message = this.#message(failed);
    this.#save({ messages: [failed] });
    this.#events.emit(...ackEvent(message));
  }

  async #transmit(record) {
    const message = this.#messages.get(record.id);
    try {
      const file = this.#files.get(record.id);
      if (file) {
        const { hash, width, height } = await files.upload(file, this.#state.credential, () => this.registered);
        record = { ...record, media: { width, height, ...record.media, hash } };
        this.#files.delete(record.id);
      }
    } catch (error) {
      this.#files.delete(record.id);
      this.#failed(record);
      return { messageSendResult: 'ERROR_UPLOAD' };
    }
    try {
      const { chat, text, type: kind, media, quoted } = record;
      const { message: sent } = await this.#socket.request({ type: 'send', chat, key: message.id.id, text, kind, media, quoted });
      // An update may have said so already, and more.
      if (sent.ack > message.ack) {
        this.#message(sent);
        this.#save({ messages: [sent] });
        this.#events.emit(...ackEvent(message));
      }
      return { messageSendResult: 'OK', t: sent.t, count: null };
    } catch (error) {
      if (error.message === 'disconnected') return { messageSendResult: 'ERROR_NETWORK' };
      this.#failed(record);
      return { messageSendResult: 'ERROR_UNKNOWN' };
    }
  }

  download(message) {
    return files.download(message.record.media, this.#state.credential);
  }

  // Edits, reactions and revocations: the record comes back changed.
  async change(message, frame) {
    if (frame.type === 'revoke') this.#revoked.add(message.id._serialized);
    const { message: record } = await this.#socket.request({ ...frame, id: message.id._serialized });
    const before = message.record;
    if (record.seq <= before.seq) return; // an update was faster
    this.#message(record);
    this.#save({ messages: [record] });
    for (const event of this.#changes(message, before)) this.#events.emit(...event);
  }

  // Only here, not for others.
  async removeMessage(message) {
    const { messages } = message.chat;
    messages.splice(messages.indexOf(message), 1);
    this.#messages.delete(message.id._serialized);
    await this.#database.removeMessage(message.id._serialized);
  }

  setUnread(chat, unread) {
    const previousUnreadCount = chat.unreadCount;
    if (unread === previousUnreadCount) return;
    chat.set({ ...chat.record, unread });
    this.#save({ chats: [chat.record] });
    this.#request({ type: unread ? 'unread' : 'read', chat: chat.id._serialized });
    this.#events.emit('chat.unread_count_changed', { chat, unreadCount: unread, previousUnreadCount });
  }

  setPresence(chat, state) {
    this.#request({ type: 'presence', chat: chat.id._serialized, state });
  }

  async exists(wid) {
    return this.#socket.request({ type: 'exists', chat: wid._serialized });
  }

  // For what needs no answer: when it fails, the next sync tells what holds.
  #request(frame) {
    this.#socket.request(frame).catch(() => {});
  }

  newKey(wid) {
    return new MsgKey({ fromMe: true, remote: wid, id: MsgKey.newId(), participant: wid.isGroup() ? this.lid : undefined });
  }
}

const byOrder = (a, b) => (a?.record.order ?? 0) - (b?.record.order ?? 0) || (a?.t ?? 0) - (b?.t ?? 0);
