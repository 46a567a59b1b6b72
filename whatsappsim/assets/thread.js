// One message of the phone page's thread. Every text goes in as text, never as
// markup.

const TICKS = { '-1': '⚠', 0: '🕓', 1: '✓', 2: '✓✓', 3: '✓✓', 4: '✓✓' };
const ACKS = { '-1': 'not sent', 0: 'pending', 1: 'sent', 2: 'delivered', 3: 'read', 4: 'played' };
const KINDS = { image: 'Picture', video: 'Video', audio: 'Audio', ptt: 'Voice message', document: 'Document', sticker: 'Sticker' };
const EMOJIS = ['👍', '❤️', '😂', '🙏'];

export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

// What a message is in one line.
export function preview({ type, text, media }) {
  if (type === 'revoked') return 'deleted';
  if (!media) return text;
  const kind = type === 'document' && media.filename || KINDS[type];
  return text ? `${kind}: ${text}` : kind;
}

const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
const size = (n) => (n < 1024 ** 2 ? `${Math.ceil(n / 1024)} KB` : `${(n / 1024 ** 2).toFixed(1)} MB`);

function drawFile(m, address) {
  const { media, type } = m;
  if (type === 'image' || type === 'sticker') {
    const picture = make('img', 'picture');
    picture.src = address(m);
    picture.alt = media.filename ?? KINDS[type];
    picture.loading = 'lazy';
    return picture;
  }
  if (type === 'document') {
    const link = make('a', 'document', `${media.filename ?? KINDS.document} · ${size(media.size)}`);
    link.href = address(m);
    link.download = media.filename ?? '';
    return link;
  }
  const player = make(type === 'video' ? 'video' : 'audio', 'player');
  player.src = address(m);
  player.controls = true;
  player.preload = 'none';
  return player;
}

function drawActions(m, actions) {
  const button = (text, label, act) => {
    const node = make('button', '', text);
    node.type = 'button';
    node.title = label;
    node.setAttribute('aria-label', label);
    node.addEventListener('click', act);
    return node;
  };
  const list = [button('↩', 'Reply', () => actions.reply(m))];
  if (!m.from_me && !m.media) list.push(button('✎', 'Edit', () => actions.edit(m)));
  if (!m.from_me) list.push(button('✕', 'Delete for everyone', () => actions.remove(m)));
  if (m.from_me && ['audio', 'ptt', 'video'].includes(m.type) && m.ack < 4) list.push(button('▶', 'Mark as played', () => actions.play(m)));
  for (const emoji of EMOJIS) list.push(button(emoji, `React with ${emoji}`, () => actions.react(m, emoji)));
  return make('span', 'actions', ...list);
}

export function drawMessage(m, { account, messages, actions, title, nameOf, address }) {
  const ticks = make('span', 'ticks', TICKS[m.ack] ?? '');
  ticks.dataset.ack = m.ack;
  ticks.title = m.ack >= 3 ? `${ACKS[m.ack]} by ${m.from_me ? title : account.name}` : ACKS[m.ack] ?? '';
  ticks.setAttribute('role', 'img');
  ticks.setAttribute('aria-label', ticks.title);
  const item = make('li', m.from_me ? 'mine' : '');
  item.dataset.id = m.id;
  if (m.type === 'revoked') {
    item.classList.add('gone');
    item.append('deleted', make('span', 'meta', clock(m.t)));
    return item;
  }
  if (m.author && !m.from_me) item.append(make('span', 'author', m.author_name ?? nameOf(m.author)));
  if (m.quoted) {
    const quoted = messages.get(m.quoted);
    item.append(make('span', 'quoted', quoted ? preview(quoted) : 'a message that is not here'));
  }
  if (m.media) item.append(drawFile(m, address));
  item.append(m.text, make('span', 'meta', m.edit_key ? 'edited ' : '', clock(m.t), ticks));
  const shown = (m.reactions ?? []).filter((r) => r.text);
  if (shown.length) {
    const reactions = make('span', 'reactions', shown.map((r) => r.text).join(' '));
    reactions.title = shown.map((r) => `${r.text} ${r.from_me ? account.name : nameOf(r.sender)}`).join(', ');
    item.append(reactions);
  }
  item.append(drawActions(m, actions));
  return item;
}
