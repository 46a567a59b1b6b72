// The phone page: a phone account, its customers, what they write and read.

import * as control from './control.js';

const element = (id) => document.getElementById(id);
const TICKS = { 0: '🕓', 1: '✓', 2: '✓✓', 3: '✓✓', 4: '✓✓' };
const ACKS = { 0: 'pending', 1: 'sent', 2: 'delivered', 3: 'read', 4: 'played' };
const TOAST_TIME = 4000; // ms
const REMEMBERED = 'phone-account';
const CUSTOMERS = ['Carl', 'Zoé', 'Ivan', 'Mei', 'Fatima', 'Lena', 'Tom', 'Aylin'];

let accounts = [];
let account = null; // the one that is shown
let chat = ''; // the id of the one that is shown
let chats = new Map();
let messages = new Map();
let unfollow = () => {};
let toastTimer;

// ---- drawing; every text goes in as text, never as markup

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? '?';
const number = (id) => (id.endsWith('@lid') ? 'no phone number' : `+${id.split('@')[0]}`);
const title = (c) => c.name || number(c.id);
const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
const ordered = (id) => [...messages.values()].filter((m) => m.chat === id).sort((a, b) => a.order - b.order);

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
    const text = c.composing ? `${account.name} is typing …` : `${last?.from_me ? `${account.name}: ` : ''}${last?.text ?? ''}`;
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

function drawMessage(m) {
  const other = m.from_me ? title(chats.get(m.chat)) : account.name;
  const ticks = make('span', 'ticks', TICKS[m.ack] ?? '');
  ticks.dataset.ack = m.ack;
  ticks.title = m.ack >= 3 ? `read by ${other}` : ACKS[m.ack] ?? '';
  ticks.setAttribute('role', 'img');
  ticks.setAttribute('aria-label', ticks.title);
  const item = make('li', m.from_me ? 'mine' : '', m.text, make('span', 'meta', clock(m.t), ticks));
  item.dataset.id = m.id;
  return item;
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
  element('composer').hidden = c.id.endsWith('@lid'); // the control API writes as numbers
  const list = element('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.replaceChildren(...ordered(chat).map(drawMessage));
  if (atEnd) list.scrollTop = list.scrollHeight;
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
  draw();
  if (!account) return;
  localStorage.setItem(REMEMBERED, phone);
  unfollow = control.follow(phone, (change) => {
    if (change.account.linked && !account.linked) toast('A device is linked now.');
    account = change.account;
    accounts = accounts.map((a) => (a.phone === account.phone ? account : a));
    for (const c of change.chats ?? []) chats.set(c.id, c);
    for (const m of change.messages ?? []) messages.set(m.id, m);
    draw();
  });
}

function openChat(id) {
  chat = id;
  draw();
  element('messages').scrollTop = element('messages').scrollHeight;
  if (id && !element('composer').hidden) element('text').focus();
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

const customerDialog = dialog('customer-dialog', async ({ phone, name, text }) => {
  await control.write(account.phone, digits(phone), name, text);
  openChat(`${digits(phone)}@c.us`);
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
    await control.fault(account.phone, element('fault').value);
    toast('It will go wrong.');
  });
});
element('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const c = chats.get(chat);
  const text = element('text').value;
  attempt(async () => {
    await control.write(account.phone, c.id.split('@')[0], title(c), text);
    element('text').value = '';
  }, event.target);
});
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
