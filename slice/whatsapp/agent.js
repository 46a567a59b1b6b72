// The slice's part inside the page: it turns WPP's events and models into plain
// JSON for the Go side. Evaluated after each page load; evaluating it again
// changes nothing.
(() => {
  'use strict';
  if (window.__slice) return true;
  const WPP = window.WPP;
  if (!WPP) throw new Error('the page has no WPP');

  const BINDING = '__sliceEvent';
  const POLL_MS = 50; // until WPP is ready
  const CODE_WAIT_MS = 3000; // getAuthCode may wait for a connection

  const emit = (type, data) => {
    try { window[BINDING](JSON.stringify({ type, ...data })); } catch { /* the browser is going down */ }
  };
  const attempt = (f, fallback) => {
    try { const v = f(); return v === undefined || v === null ? fallback : v; } catch { return fallback; }
  };
  const within = (promise, ms) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms, null))]);
  const str = (v) => (typeof v === 'string' ? v : '');
  const num = (v) => (typeof v === 'number' && Number.isFinite(v) ? v : 0);
  // Ids are models with _serialized, or strings already.
  const id = (v) => (!v ? '' : typeof v === 'string' ? v : str(v._serialized) || String(v));

  let code = '';
  let codeAt = 0;
  let idle = false;
  let logout = '';
  const setCode = (c) => {
    const text = str(c && c.fullCode);
    if (text && text !== code) { code = text; codeAt = Date.now(); idle = false; }
    if (!text) { code = ''; codeAt = 0; }
  };

  const snapshot = async () => {
    const at = performance.timeOrigin + performance.now();
    if (WPP.isReady !== true) return { at, ready: false };
    const stream = attempt(() => WPP.conn.getStreamData(), {});
    const s = {
      at,
      ready: true,
      authenticated: attempt(() => WPP.conn.isAuthenticated(), false) === true,
      main_ready: attempt(() => WPP.conn.isMainReady(), false) === true,
      online: attempt(() => WPP.conn.isOnline(), true) !== false,
      needs_update: attempt(() => WPP.conn.needsUpdate(), false) === true,
      mode: str(stream.mode),
      info: str(stream.info),
      logout,
    };
    if (s.authenticated) {
      code = ''; codeAt = 0; idle = false; logout = s.logout = '';
      s.account_id = id(attempt(() => WPP.conn.getMyUserId(), ''));
      s.account_name = str(attempt(() => WPP.profile.getMyProfileName(), ''));
    } else {
      if (!code) setCode(await within(Promise.resolve(attempt(() => WPP.conn.getAuthCode(), null)).catch(() => null), CODE_WAIT_MS));
      s.qr = code;
      s.qr_at = codeAt;
      s.qr_idle = idle;
    }
    return s;
  };

  // Many conn events come in bursts; the latest state is what matters.
  let running = false;
  let again = false;
  const changed = async () => {
    if (running) { again = true; return; }
    running = true;
    do {
      again = false;
      emit('snapshot', { snapshot: await snapshot() });
    } while (again);
    running = false;
  };

  const plainChat = async (chat) => {
    const chatId = id(chat.id);
    const isGroup = chatId.endsWith('@g.us');
    const contact = chat.contact || {};
    const name = str(chat.name) || str(chat.formattedTitle) || str(contact.name) || str(contact.pushname) || str(contact.verifiedName);
    let phone = '';
    if (chatId.endsWith('@lid')) {
      const entry = await within(Promise.resolve(attempt(() => WPP.contact.getPnLidEntry(chatId), null)).catch(() => null), CODE_WAIT_MS);
      phone = id(entry && entry.phoneNumber);
    }
    return { id: chatId, name, phone, is_group: isGroup, unread: Math.max(0, num(chat.unreadCount)) };
  };

  const plainMessage = (m) => {
    const key = m.id || {};
    const fromMe = typeof key === 'object' ? key.fromMe === true : String(key).startsWith('true_');
    const remote = id(key.remote) || id(fromMe ? m.to : m.from);
    const author = id(m.author) || id(key.participant) || id(m.from);
    return {
      id: id(key),
      chat_id: remote,
      from_me: fromMe,
      sender_id: author,
      sender_name: str(m.notifyName) || str(m.senderObj && (m.senderObj.name || m.senderObj.pushname)),
      type: str(m.type),
      text: m.type === 'chat' ? str(m.body) : str(m.caption),
      ack: num(m.ack),
      t: num(m.t),
    };
  };

  const onMessage = async (m) => {
    const message = plainMessage(m);
    const known = m.chat || attempt(() => WPP.chat.get(message.chat_id), null);
    const chat = known ? await plainChat(known) : { id: message.chat_id, name: message.from_me ? '' : message.sender_name };
    emit('message', { message, chat });
  };

  // Messages are reported one after the other: looking up a chat may take
  // longer for one than for the next, and their order is what people read.
  let reports = Promise.resolve();
  const report = (f) => { reports = reports.then(f).catch(() => emit('lost', {})); };

  const register = () => {
    WPP.conn.setKeepAlive(true);
    const on = (name, f) => { attempt(() => WPP.on(name, f)); };
    on('conn.auth_code_change', (c) => { setCode(c); changed(); });
    on('conn.qrcode_idle', () => { idle = true; changed(); });
    on('conn.logout_reason', (reason) => { logout = String(reason || 'logout'); changed(); });
    on('conn.logout', () => { logout = logout || 'logout'; changed(); });
    for (const name of ['conn.authenticated', 'conn.require_auth', 'conn.main_init', 'conn.main_loaded', 'conn.main_ready',
      'conn.stream_mode_changed', 'conn.stream_info_changed', 'conn.online', 'conn.needs_update']) on(name, changed);
    on('chat.new_message', (m) => report(() => onMessage(m)));
    on('chat.msg_ack_change', (e) => report(() => emit('ack', { ids: (e.ids || []).map(id), ack: num(e.ack) })));
    on('chat.unread_count_changed', (e) => { if (e.unreadCount === 0) report(() => emit('read', { chat_id: id(e.chat && e.chat.id) })); });
    changed();
  };

  const api = {
    snapshot,
    async refreshQR() { setCode(await WPP.conn.refreshQR()); return snapshot(); },
    async send(chatId, text) {
      const r = await WPP.chat.sendTextMessage(chatId, text, { linkPreview: false, markIsRead: false, createChat: true });
      const result = str(r.sendMsgResult && r.sendMsgResult.messageSendResult);
      if (result && result !== 'OK') throw new Error('sending ended with ' + result);
      return { id: id(r.id), ack: num(r.ack) };
    },
    async chats(count) {
      const list = await WPP.chat.list({ count });
      return Promise.all(list.map(plainChat));
    },
    async messages(chatId, count, before) {
      const options = before ? { count, direction: 'before', id: before } : { count };
      return (await WPP.chat.getMessages(chatId, options)).map(plainMessage);
    },
    async logout() { return WPP.conn.logout(); },
  };
  Object.defineProperty(window, '__slice', { value: Object.freeze(api) });

  const start = () => { if (WPP.isReady === true) register(); else setTimeout(start, POLL_MS); };
  start();
  return true;
})()
