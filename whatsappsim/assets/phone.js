// The phone page: a phone account, its customers, what they write and read.

import * as control from './control.js';
import { drawMessage, make, preview } from './thread.js';

const element = (id) => document.getElementById(id);
const TOAST_TIME = 4000; // ms
const REMEMBERED = 'phone-account';
const CUSTOMERS = ['Carl', 'Zoé', 'Ivan', 'Mei', 'Fatima', 'Lena', 'Tom', 'Aylin'];

let accounts = [];
let account = null; // the one that is shown
let chat = ''; // the id of the one that is shown
let chats = new Map();
let messages = new Map();
let contacts = new Map();
let threads = new Map(); // message ids by chat, in order
let context = null; // {kind: 'quote' or 'edit', message}
let unfollow = () => {};
let toastTimer;

// ---- drawing; every text goes in as text, never as markup

const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? '?';
function number(id) {
  const c = chats.get(id);
  if (c?.group) return `Group · ${c.group.members.map((m) => nameOf(m.id)).join(', ')}`;
  const phone = contacts.get(id)?.phone || (id.endsWith('@c.us') ? id.split('@')[0] : '');
  if (!phone) return 'no phone number';
  return id.endsWith('@lid') ? `+${phone}, hidden behind a LID` : `+${phone}`;
}
const nameOf = (id) => contacts.get(id)?.name || id.split('@')[0];
const title = (c) => c.name || number(c.id);
const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
const SHOWN = 300; // messages of a thread; older ones are not drawn
const ordered = (id) => threads.get(id) ?? [];

// The thread stays in order; a message mostly comes last.
function keep(m) {
  const known = messages.get(m.id);
  messages.set(m.id, m);
  let thread = threads.get(m.chat);
  if (!thread) threads.set(m.chat, thread = []);
  if (known) thread[thread.indexOf(known)] = m;
  else thread.push(m);
  if (thread.length > 1 && thread.at(-2).order > thread.at(-1).order) thread.sort((a, b) => a.order - b.order);
}

function toast(text) {
  element('toast').textContent = text;
  element('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element('toast').hidden = true; }, TOAST_TIME);
}

function drawAccounts() {
  const options = accounts.map((a) => {
    const option = new Option(`${a.name} · +${a.phone}`, a.phone);
    option.selected = a.phone === account?.phone;
    return option;
  });
  if (!account) options.unshift(new Option(accounts.length ? 'Choose …' : 'None yet', '', true, true));
  element('accounts').replaceChildren(...options);
  element('accounts').disabled = accounts.length === 0;
  for (const id of ['account-actions', 'chats-section', 'faults']) element(id).hidden = !account;
  if (!account) return;
  element('linked').textContent = account.linked ? 'A device is linked' : 'No device is linked';
  element('linked-dot').dataset.kind = account.linked ? 'ok' : '';
  element('logout').disabled = !account.linked;
}

function drawChats() {
  const sorted = [...chats.values()].sort((a, b) => b.t - a.t || b.seq - a.seq);
  element('chats').replaceChildren(...sorted.map((c) => {
    const last = ordered(c.id).at(-1);
    const text = c.composing ? `${account.name} is typing …` : `${last?.from_me ? `${account.name}: ` : ''}${last ? preview(last) : ''}`;
    const button = make('button', '',
      make('span', 'avatar', initial(title(c))),
      make('span', 'summary', make('strong', '', title(c)), make('span', 'quiet', text)),
      make('span', 'when', last ? clock(last.t) : ''));
    button.type = 'button';
    button.setAttribute('aria-current', String(c.id === chat));
    button.addEventListener('click', () => openChat(c.id));
    return make('li', '', button);
  }));
  element('no-chats').hidden = sorted.length > 0;
}

function drawThread() {
  const c = chats.get(chat);
  element('thread').hidden = !c;
  element('placeholder').hidden = Boolean(c);
  document.body.dataset.pane = c ? 'thread' : 'list';
  if (!c) {
    element('hint').textContent = account
      ? 'Choose a customer to see the conversation, or add a new one.'
      : 'Create a phone account to begin.';
    return;
  }
  element('thread-avatar').textContent = initial(title(c));
  element('thread-name').textContent = title(c);
  element('thread-number').textContent = c.composing ? `${account.name} is typing …` : number(c.id);
  element('text').placeholder = `Write as ${title(c)}`;
  // Who hides their number cannot be written as: the control API takes numbers.
  element('composer').hidden = !c.group && !contacts.get(c.id)?.phone;
  element('attach').disabled = context?.kind === 'edit';
  element('member').hidden = !c.group;
  if (c.group && element('member').dataset.chat !== c.id) {
    element('member').dataset.chat = c.id;
    element('member').replaceChildren(...c.group.members.map((m) => new Option(nameOf(m.id), m.id)));
  }
  element('context').hidden = !context;
  if (context) element('context-text').textContent = `${context.kind === 'edit' ? 'Edit' : 'Reply to'}: ${preview(context.message)}`;
  const list = element('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const scope = { account, messages, actions, title: title(c), nameOf, address: (m) => control.fileAddress(account.phone, m.id) };
  list.replaceChildren(...ordered(chat).slice(-SHOWN).map((m) => drawMessage(m, scope)));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// Once per frame, however much happens.
let asked = false;
function drawSoon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  drawAccounts();
  drawChats();
  drawThread();
}

// ---- what is shown

function choose(phone) {
  unfollow();
  unfollow = () => {};
  account = accounts.find((a) => a.phone === phone) ?? null;
  chat = '';
  chats = new Map();
  messages = new Map();
  contacts = new Map();
  threads = new Map();
  context = null;
  draw();
  if (!account) return;
  localStorage.setItem(REMEMBERED, phone);
  unfollow = control.follow(phone, (change) => {
    if (change.account.linked && !account.linked) toast('A device is linked now.');
    account = change.account;
    accounts = accounts.map((a) => (a.phone === account.phone ? account : a));
    for (const c of change.chats ?? []) chats.set(c.id, c);
    for (const c of change.contacts ?? []) contacts.set(c.id, c);
    for (const m of change.messages ?? []) keep(m);
    drawSoon();
  });
}

function openChat(id) {
  chat = id;
  context = null;
  draw();
  element('messages').scrollTop = element('messages').scrollHeight;
  if (id && !element('composer').hidden) element('text').focus();
}

// ---- what a customer does

const phoneOf = (id) => contacts.get(id)?.phone ?? id.split('@')[0];

// Who writes in the thread that is shown: its customer, or a member of it.
function writer() {
  const c = chats.get(chat);
  const id = c.group ? element('member').value : c.id;
  const who = { from: phoneOf(id), from_name: nameOf(id) };
  if (c.group) who.group = c.id;
  if (id.endsWith('@lid')) who.lid = true;
  return who;
}

function setContext(kind, message) {
  context = { kind, message };
  element('text').value = kind === 'edit' ? message.text : '';
  draw();
  element('text').focus();
}

const actions = {
  reply: (m) => setContext('quote', m),
  edit: (m) => setContext('edit', m),
  remove: (m) => attempt(() => control.remove(account.phone, m.id)),
  play: (m) => attempt(() => control.play(account.phone, m.id)),
  react(m, emoji) {
    const { from } = writer();
    const mine = m.reactions?.some((r) => r.text === emoji && phoneOf(r.sender) === from);
    attempt(() => control.react(account.phone, from, m.id, mine ? '' : emoji));
  },
};

let typingSince = 0;
const TYPING = 5000; // ms between two signs of it
function showTyping(on) {
  if (on && Date.now() - typingSince < TYPING) return;
  typingSince = on ? Date.now() : 0;
  control.typing(account.phone, writer().from, chat, on).catch(() => {}); // it is only a sign
}

// A form's own line says what went wrong; elsewhere it is the toast.
async function attempt(action, form) {
  const error = form?.querySelector('.error');
  if (error) error.hidden = true;
  const button = form?.querySelector('button.primary');
  if (button) button.disabled = true;
  try {
    await action();
    return true;
  } catch ({ message }) {
    if (!error) toast(message);
    else {
      error.textContent = message;
      error.hidden = false;
    }
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}

// People write numbers with +, blanks and dashes; WhatsApp's ids have none.
const digits = (text) => text.replace(/[\s()+./-]/g, '').replace(/^00/, '');

function dialog(id, submit) {
  const box = element(id);
  const form = box.querySelector('form');
  box.querySelector('[data-close]').addEventListener('click', () => box.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    if (!await attempt(() => submit(values), form)) return;
    form.reset();
    box.close();
  });
  return {
    form,
    // Suggestions save typing: a code holds for 20 seconds only.
    open(suggestions = {}) {
      for (const [name, value] of Object.entries(suggestions)) form.elements[name].value ||= value;
      form.querySelector('.error').hidden = true;
      box.showModal();
    },
  };
}

const scanDialog = dialog('scan-dialog', async ({ qr }) => {
  await control.scan(account.phone, qr.trim());
  const url = new URL(location.href);
  url.searchParams.delete('code');
  history.replaceState(null, '', url);
});

const accountDialog = dialog('account-dialog', async ({ phone, name }) => {
  const created = await control.createAccount(digits(phone), name);
  accounts = await control.accounts();
  choose(created.phone);
  offerCode();
});

const customerDialog = dialog('customer-dialog', async ({ phone, name, text, lid }) => {
  const { id } = await control.write(account.phone, { from: digits(phone), from_name: name, text, lid: lid === 'on' });
  openChat(id.split('_')[1]);
});

const codeDialog = dialog('code-dialog', ({ code }) => control.typeCode(account.phone, code));

const groupDialog = dialog('group-dialog', async ({ name, members }) => {
  const people = members.split('\n').filter((line) => line.trim()).map((line) => {
    const [, who, phone] = line.match(/^(.*?)\s*(\+?[\d\s()./-]*)$/);
    return { name: who, phone: digits(phone) };
  });
  const { id } = await control.createGroup(account.phone, name, people);
  openChat(id);
});

const randomDigits = (n) => Array.from({ length: n }, () => Math.floor(Math.random() * 10)).join('');

const newAccount = () => accountDialog.open({
  name: accounts.length ? '' : "Ana's Bakery",
  phone: `+49 151 ${randomDigits(8)}`,
});

const newCustomer = () => customerDialog.open({
  name: CUSTOMERS[chats.size % CUSTOMERS.length],
  phone: `+49 170 ${randomDigits(7)}`,
  text: 'Hello, are you open today?',
});

// A code in the address came from the page that shows it.
function offerCode() {
  const code = new URLSearchParams(location.search).get('code');
  if (!code || !account) return;
  scanDialog.form.elements.qr.value = code;
  scanDialog.open();
  element('link').focus();
}

element('accounts').addEventListener('change', ({ target }) => {
  choose(target.value);
  offerCode();
});
element('new-account').addEventListener('click', newAccount);
element('new-customer').addEventListener('click', newCustomer);
element('new-group').addEventListener('click', () => groupDialog.open({
  members: [...contacts.values()].filter((c) => c.id.endsWith('@c.us')).slice(0, 3).map((c) => `${c.name} +${c.phone}`).join('\n'),
}));
element('type-code').addEventListener('click', () => codeDialog.open());
for (const [id, pass] of [['passkey-yes', true], ['passkey-no', false]]) {
  element(id).addEventListener('click', () => attempt(() => control.passkey(account.phone, pass)));
}
element('scan').addEventListener('click', () => scanDialog.open());
element('logout').addEventListener('click', () => attempt(async () => {
  await control.logout(account.phone);
  toast('All linked devices are logged out.');
}));
element('read').addEventListener('click', () => attempt(() => control.read(account.phone, chat)));
element('back').addEventListener('click', () => openChat(''));
element('fault-form').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(async () => {
    const { value } = element('fault');
    await (value === 'never_ready' ? control.pageFault(value) : control.fault(account.phone, value));
    toast('It will go wrong.');
  });
});
element('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = element('text').value;
  if (!text.trim()) return;
  const about = context;
  attempt(async () => {
    if (about?.kind === 'edit') await control.edit(account.phone, about.message.id, text);
    else await control.write(account.phone, { ...writer(), text, quoted: about?.message.id });
    if (context === about && element('text').value === text) { // and not something that was begun meanwhile
      element('text').value = '';
      context = null;
    }
    showTyping(false);
    draw();
  }, event.target);
});
element('context-end').addEventListener('click', () => {
  context = null;
  draw();
});
element('attach').addEventListener('click', () => element('attachment').click());
element('attachment').addEventListener('change', ({ target }) => attempt(async () => {
  const [file] = target.files;
  if (!file) return;
  await control.sendFile(account.phone, { ...writer(), text: element('text').value.trim(), quoted: context?.message.id }, file);
  element('text').value = '';
  context = null;
  target.value = '';
}, element('composer')));
element('text').addEventListener('input', ({ target }) => showTyping(target.value !== ''));
element('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element('composer').requestSubmit();
});

await attempt(async () => {
  accounts = await control.accounts();
  const wanted = new URLSearchParams(location.search).get('account') ?? localStorage.getItem(REMEMBERED);
  const first = accounts.find((a) => a.phone === wanted) ?? (accounts.length === 1 ? accounts[0] : null);
  choose(first?.phone);
  if (accounts.length === 0) newAccount();
  offerCode();
});
