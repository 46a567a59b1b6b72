// What happens in WhatsApp, told to the Go side.

const onMessage = async (m) => {
  const message = plainMessage(m);
  const known = m.chat || attempt(() => WPP.chat.get(message.chat_id), null);
  const chat = known ? await plainChat(known) : { id: message.chat_id, name: message.from_me ? '' : message.sender_name };
  emit('message', { message, chat });
};

// A reaction's time is in milliseconds or in seconds, by the way it came.
const SECONDS_BELOW = 1e11;
const onReaction = (e) => {
  const at = num(e.timestamp);
  emit('reaction', {
    message_id: id(e.msgId), sender_id: id(e.sender), text: str(e.reactionText), t: at < SECONDS_BELOW ? at : at / 1000,
  });
};

// Of a group all who write at the moment are told: who wrote before and is not
// among them stopped.
const writes = (state) => state === 'composing' || state === 'recording';
const writers = new Map(); // of groups: those who were told to write
const onPresence = (e) => {
  const chatId = id(e.id);
  const tell = (senderId, typing) => emit('typing', { chat_id: chatId, sender_id: senderId, typing });
  if (!e.isGroup) { tell(chatId, writes(e.state)); return; }
  const now = new Set((e.participants || []).filter((p) => writes(p.state)).map((p) => id(p.id)));
  for (const senderId of writers.get(chatId) || []) if (!now.has(senderId)) tell(senderId, false);
  for (const senderId of now) tell(senderId, true);
  if (now.size) writers.set(chatId, now); else writers.delete(chatId);
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
  on('conn.link_code_change', (c) => { setLink(c); changed(); });
  on('conn.link_code_expired', () => { setLink('', 'expired'); changed(); });
  on('conn.link_code_error', (error) => { setLink('', linkError(error)); changed(); });
  passkey.changed = changed;
  on('conn.logout_reason', (reason) => { logout = String(reason || 'logout'); changed(); });
  on('conn.logout', () => { logout = logout || 'logout'; changed(); });
  for (const name of ['conn.authenticated', 'conn.require_auth', 'conn.main_init', 'conn.main_loaded', 'conn.main_ready',
    'conn.stream_mode_changed', 'conn.stream_info_changed', 'conn.online', 'conn.needs_update']) on(name, changed);
  on('chat.new_message', (m) => report(() => onMessage(m)));
  on('chat.msg_ack_change', (e) => report(() => emit('ack', { ids: (e.ids || []).map(id), ack: num(e.ack) })));
  on('chat.msg_edited', (e) => report(() => emit('edited', { message_id: id(e.id), text: plainText(e.msg) })));
  on('chat.msg_revoke', (e) => report(() => emit('revoked', { message_id: id(e.refId) })));
  on('chat.new_reaction', (e) => report(() => onReaction(e)));
  on('chat.presence_change', (e) => report(() => onPresence(e)));
  on('chat.unread_count_changed', (e) => { if (e.unreadCount === 0) report(() => emit('read', { chat_id: id(e.chat && e.chat.id) })); });
  changed();
};
