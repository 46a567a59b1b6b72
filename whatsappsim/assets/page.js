// What a person sees of the stand-in for WhatsApp Web.

const element = (id) => document.getElementById(id);

function view(WPP, session) {
  if (document.body.dataset.failed) return 'failed';
  if (WPP.conn.getStreamData().mode === 'CONFLICT') return 'conflict';
  if (WPP.conn.isAuthenticated()) return 'linked';
  if (WPP.conn.isIdle()) return 'idle';
  if (session?.passkey) return 'passkey';
  return WPP.isReady ? 'qr' : 'loading';
}

function status({ mode, info }) {
  if (mode === 'MAIN' && info === 'NORMAL') return ['Linked and online', 'ok'];
  if (info === 'OFFLINE') return ['Offline, reconnecting …', 'bad'];
  return ['Syncing …', 'busy'];
}

async function draw(WPP, session) {
  const shown = view(WPP, session);
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

// session returns what the page's own functions do not say; null at first.
export function show(WPP, session) {
  let asked = false;
  // Once per frame, however much happens.
  const redraw = () => {
    if (asked) return;
    asked = true;
    setTimeout(() => {
      asked = false;
      draw(WPP, session());
    });
  };
  const events = ['loader.ready', 'conn.auth_code_change', 'conn.link_code_change', 'conn.link_code_error', 'conn.link_code_expired', 'conn.qrcode_idle', 'conn.authenticated', 'conn.logout',
    'conn.stream_mode_changed', 'conn.stream_info_changed', 'chat.new_message', 'chat.new_chat', 'chat.unread_count_changed'];
  for (const event of events) WPP.on(event, redraw);
  document.addEventListener('passkey', redraw);
  element('refresh').addEventListener('click', () => WPP.conn.refreshQR());
  const showCode = (code) => {
    element('link-code').textContent = code ? `${code.slice(0, 4)}-${code.slice(4)}` : '';
    element('link-code-line').hidden = !code;
  };
  WPP.on('conn.link_code_change', showCode);
  for (const event of ['conn.link_code_expired', 'conn.link_code_error', 'conn.authenticated']) WPP.on(event, () => showCode(''));
  element('passkey-again').addEventListener('click', () => session().answerPasskey());
  element('use-here').addEventListener('click', () => location.reload());
}
