// What happens in WhatsApp, told to the Go side.

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
