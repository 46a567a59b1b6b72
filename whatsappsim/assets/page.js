// What a person sees of the stand-in for WhatsApp Web.

const element = (id) => document.getElementById(id);

function view(WPP) {
  if (document.body.dataset.failed) return 'failed';
  if (WPP.conn.getStreamData().mode === 'CONFLICT') return 'conflict';
  if (WPP.conn.isAuthenticated()) return 'linked';
  if (WPP.conn.isIdle()) return 'idle';
  return WPP.isReady ? 'qr' : 'loading';
}

function status({ mode, info }) {
  if (mode === 'MAIN' && info === 'NORMAL') return ['Linked and online', 'ok'];
  if (info === 'OFFLINE') return ['Offline, reconnecting …', 'bad'];
  return ['Syncing …', 'busy'];
}

async function draw(WPP) {
  const shown = view(WPP);
  document.body.dataset.view = shown;
  if (shown === 'qr' || shown === 'idle') {
    const code = (await WPP.conn.getAuthCode())?.fullCode;
    element('qr').hidden = !code;
    element('refresh').hidden = shown !== 'idle';
    if (!code) return;
    element('qr').src = `/qr.png?text=${encodeURIComponent(code)}`;
    element('phone-link').href = `/phone?code=${encodeURIComponent(code)}`;
  } else if (shown === 'linked') {
    const [text, kind] = status(WPP.conn.getStreamData());
    const chats = await WPP.chat.list();
    const me = WPP.conn.getMyUserId();
    if (!me) return; // logged out meanwhile
    const name = WPP.profile.getMyProfileName();
    element('avatar').textContent = [...name][0]?.toUpperCase() ?? '';
    element('name').textContent = name;
    element('number').textContent = `+${me.user}`;
    element('status').textContent = text;
    element('dot').dataset.kind = kind;
    element('chats').textContent = chats.length;
    element('unread').textContent = chats.reduce((sum, chat) => sum + Math.max(chat.unreadCount, 0), 0);
    element('account-link').href = `/phone?account=${me.user}`;
  }
}

export function show(WPP) {
  const redraw = () => queueMicrotask(() => draw(WPP));
  const events = ['loader.ready', 'conn.auth_code_change', 'conn.qrcode_idle', 'conn.authenticated', 'conn.logout',
    'conn.stream_mode_changed', 'conn.stream_info_changed', 'chat.new_message', 'chat.new_chat', 'chat.unread_count_changed'];
  for (const event of events) WPP.on(event, redraw);
  element('refresh').addEventListener('click', () => WPP.conn.refreshQR());
  element('use-here').addEventListener('click', () => location.reload());
}
