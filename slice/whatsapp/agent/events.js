// What happens in WhatsApp, told to the Go side.

/** @param {Message} m */
const onMessage = async (m) => {
  const message = plainMessage(m);
  const known = m.chat || attempt(() => WPP.chat.get(message.chat_id), null);
  const chat = known ? await plainChat(known) : { id: message.chat_id, name: message.from_me ? '' : message.sender_name };
  emit('message', { message, chat });
};

// A reaction's time is in milliseconds or in seconds, by the way it came.
const SECONDS_BELOW = 1e11;
/** @param {Events['chat.new_reaction']} e */
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
/** @param {Events['chat.presence_change']} e */
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
  listening = true;
  WPP.conn.setKeepAlive(true);
  WPP.on('conn.auth_code_change', (c) => {
    setCode(c);
    if (code && passkey.request) passkey.request.refuse(); // the attempt that asked is over
    changed();
  });
  WPP.on('conn.qrcode_idle', () => { idle = true; changed(); });
  WPP.on('conn.link_code_change', (c) => { setLink(c); changed(); });
  WPP.on('conn.link_code_expired', () => { setLink('', 'expired'); changed(); });
  WPP.on('conn.link_code_error', (error) => { setLink('', linkError(error)); changed(); });
  passkey.changed = changed;
  WPP.on('conn.logout_reason', (reason) => { logout = String(reason || 'logout'); changed(); });
  WPP.on('conn.logout', () => { logout = logout || 'logout'; changed(); });
  WPP.on('conn.authenticated', changed);
  WPP.on('conn.require_auth', changed);
  WPP.on('conn.main_init', changed);
  WPP.on('conn.main_loaded', changed);
  WPP.on('conn.main_ready', changed);
  WPP.on('conn.stream_mode_changed', changed);
  WPP.on('conn.stream_info_changed', changed);
  WPP.on('conn.online', changed);
  WPP.on('conn.needs_update', changed);
  WPP.on('chat.new_message', (m) => report(() => onMessage(m)));
  WPP.on('chat.msg_ack_change', (e) => report(() => emit('ack', { ids: (e.ids || []).map(id), ack: num(e.ack) })));
  WPP.on('chat.msg_edited', (e) => report(() => emit('edited', { message_id: id(e.id), text: plainText(e.msg) })));
  WPP.on('chat.msg_revoke', (e) => report(() => emit('revoked', { message_id: id(e.refId) })));
  WPP.on('chat.new_reaction', (e) => report(() => onReaction(e)));
  WPP.on('chat.presence_change', (e) => report(() => onPresence(e)));
  WPP.on('chat.unread_count_changed', (e) => { if (e.unreadCount === 0) report(() => emit('read', { chat_id: id(e.chat && e.chat.id) })); });
  changed();
};
