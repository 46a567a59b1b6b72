// WhatsApp's models, as far as they are in use: same names, same shapes.

export class WPPError extends Error {
  constructor(code, message, extra = {}) {
    super(message);
    this.code = code;
    Object.assign(this, extra);
  }
}

// Wid is the id of a user, a group or a chat.
export class Wid {
  constructor(id) {
    [this.user, this.server] = id.split('@');
    this._serialized = id;
  }

  static create(value) {
    if (value instanceof Wid) return value;
    if (typeof value?._serialized === 'string') value = value._serialized;
    if (typeof value !== 'string') return undefined;
    if (/^\d+$/.test(value)) value += '@c.us';
    return /^[\d-]+@(c\.us|lid|g\.us)$/.test(value) ? new Wid(value) : undefined;
  }

  static assert(value) {
    const wid = Wid.create(value);
    if (!wid) throw new WPPError('invalid_wid', `Invalid WID value for ${value}`, { id: value });
    return wid;
  }

  isUser() { return this.server === 'c.us' || this.server === 'lid'; }
  isLid() { return this.server === 'lid'; }
  isGroup() { return this.server === 'g.us'; }
  equals(other) { return other?._serialized === this._serialized; }
  toString() { return this._serialized; }
  toJSON() { return this._serialized; }
}

// MsgKey is the id of a message.
export class MsgKey {
  constructor({ fromMe, remote, id }) {
    Object.assign(this, { fromMe, remote, id, _serialized: `${fromMe}_${remote}_${id}` });
  }

  static fromString(key) {
    const [fromMe, remote, id] = String(key).split('_');
    if (!/^(true|false)$/.test(fromMe) || !Wid.create(remote) || !id) {
      throw new WPPError('invalid_msg_key', `Invalid message key ${key}`);
    }
    return new MsgKey({ fromMe: fromMe === 'true', remote: Wid.create(remote), id });
  }

  static newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(9));
    return '3EB0' + Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('').toUpperCase();
  }

  equals(other) { return other?._serialized === this._serialized; }
  toString() { return this._serialized; }
}

// MsgModel is made from a record as it is stored:
// {id, chat, from_me, text, ack, t, order}.
export class MsgModel {
  constructor(record, session) {
    this.id = MsgKey.fromString(record.id);
    const chat = this.id.remote;
    this.from = record.from_me ? session.me : chat;
    this.to = record.from_me ? chat : session.me;
    this.self = record.from_me ? 'out' : 'in';
    this.type = 'chat';
    this.isNewMsg = false;
    this.isGroupMsg = false;
    Object.defineProperties(this, {
      chat: { get: () => session.chats.get(chat._serialized) },
      sender: { get: () => this.from },
      isSentByMe: { get: () => record.from_me },
    });
    this.set(record);
    this.notifyName = record.from_me ? session.name : this.chat?.contact.pushname ?? '';
  }

  set(record) {
    this.body = record.text;
    this.t = record.t;
    this.ack = record.ack;
    this.isSendFailure = record.ack < 0;
    Object.defineProperty(this, 'record', { value: record, configurable: true });
  }
}

// ContactModel knows only what the contact says about itself: the account has
// no address book.
export class ContactModel {
  constructor(id, pushname, isMe = false) {
    this.id = id;
    this.isMe = isMe;
    this.isUser = id.isUser();
    this.isGroup = id.isGroup();
    this.isBusiness = false;
    this.isEnterprise = false;
    this.isMyContact = false;
    this.type = 'in';
    this.set(pushname);
  }

  set(pushname) {
    const phone = this.id.isLid() ? undefined : `+${this.id.user}`;
    this.pushname = pushname || undefined;
    this.notifyName = this.pushname;
    this.shortName = this.pushname;
    this.formattedPhone = phone;
    this.displayName = this.pushname ?? phone ?? this.id.user;
    this.formattedName = this.displayName;
  }
}

// ChatModel is made from a record as it is stored: {id, name, unread, t}.
export class ChatModel {
  constructor(record) {
    this.id = Wid.assert(record.id);
    this.isUser = this.id.isUser();
    this.isGroup = this.id.isGroup();
    this.archive = false;
    this.isReadOnly = false;
    this.canSend = true;
    this.contact = new ContactModel(this.id, record.name);
    // Not among a model's plain properties: its messages, in order.
    Object.defineProperty(this, 'messages', { value: [] });
    this.set(record);
  }

  set(record) {
    this.contact.set(record.name);
    this.name = this.contact.pushname;
    this.formattedTitle = this.contact.displayName;
    this.unreadCount = record.unread;
    this.t = record.t || undefined;
    Object.defineProperty(this, 'record', { value: record, configurable: true });
  }

  get hasUnread() { return this.unreadCount !== 0; }
  get lastReceivedKey() { return this.messages.at(-1)?.id; }
}
