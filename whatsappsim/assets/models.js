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
  static #known = new Map(); // thousands of messages share a few ids

  constructor(id) {
    [this.user, this.server] = id.split('@');
    this._serialized = id;
  }

  static create(value) {
    if (value instanceof Wid) return value;
    if (typeof value?._serialized === 'string') value = value._serialized;
    if (typeof value !== 'string') return undefined;
    if (/^\d+$/.test(value)) value += '@c.us';
    let wid = Wid.#known.get(value);
    if (!wid && /^[\d-]+@(c\.us|lid|g\.us)$/.test(value)) Wid.#known.set(value, wid = new Wid(value));
    return wid;
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

// MsgKey is the id of a message. In groups the participant belongs to it.
export class MsgKey {
  constructor({ fromMe, remote, id, participant }) {
    Object.assign(this, { fromMe, remote, id, participant });
    this._serialized = [fromMe, remote, id, ...(participant ? [participant] : [])].join('_');
  }

  static fromString(key) {
    const [fromMe, remote, id, participant] = String(key).split('_');
    if (!/^(true|false)$/.test(fromMe) || !Wid.create(remote) || !id) {
      throw new WPPError('invalid_msg_key', `Invalid message key ${key}`);
    }
    return new MsgKey({ fromMe: fromMe === 'true', remote: Wid.create(remote), id, participant: Wid.create(participant) });
  }

  static newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(9));
    return '3EB0' + Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('').toUpperCase();
  }

  equals(other) { return other?._serialized === this._serialized; }
  toString() { return this._serialized; }
}

// A picture's body is its preview, not its text.
const PREVIEW = '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////'
  + '////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z';

const base64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((byte) => parseInt(byte, 16))));

const MEDIA = ['caption', 'isCaptionByUser', 'mimetype', 'filename', 'title', 'size', 'width', 'height', 'duration', 'isGif', 'isViewOnce',
  'filehash', 'mediaData'];

// MsgModel is made from a record as the server has it. There are many of them:
// what can be worked out is.
export class MsgModel {
  #session;
  #record;

  constructor(record, session) {
    this.#session = session;
    this.id = MsgKey.fromString(record.id);
    const chat = this.id.remote;
    const me = chat.isGroup() || chat.isLid() ? session.lid ?? session.me : session.me;
    this.from = record.from_me ? me : chat;
    this.to = record.from_me ? chat : session.me;
    this.self = record.from_me ? 'out' : 'in';
    this.isNewMsg = false;
    this.isGroupMsg = chat.isGroup();
    if (this.isGroupMsg) this.author = record.from_me ? me : Wid.create(record.author);
    this.set(record);
    this.notifyName = record.from_me ? session.name : record.author_name ?? this.senderObj.pushname ?? '';
  }

  get record() { return this.#record; }
  get chat() { return this.#session.chats.get(this.id.remote._serialized); }
  get sender() { return this.author ?? this.from; }
  get senderObj() { return this.#session.contact(this.id.fromMe ? this.#session.me : this.sender); }
  get isSentByMe() { return this.id.fromMe; }
  get isMedia() { return Boolean(this.mediaData); }
  get isSendFailure() { return this.ack < 0; }

  set(record) {
    const { media } = record;
    if (this.#record?.media && !media) for (const name of MEDIA) delete this[name];
    this.#record = record;
    this.type = record.type || 'chat';
    this.t = record.t;
    this.ack = record.ack;
    this.body = this.type === 'chat' ? record.text : undefined;
    if (this.type === 'revoked') this.subtype = 'sender';
    if (media) this.#describe(media, record.text);
    if (record.quoted) this.#quote(record.quoted);
    if (record.edit_key) {
      const { remote, participant, fromMe } = this.id;
      this.latestEditMsgKey = new MsgKey({ fromMe, remote, participant, id: record.edit_key });
      this.latestEditSenderTimestampMs = record.edited_at;
    }
  }

  #describe(media, caption) {
    if (this.type === 'image' || this.type === 'video') this.body = PREVIEW;
    this.filename = media.filename || undefined;
    this.title = this.filename;
    // A document without a caption has its name for one.
    this.caption = caption || (this.type === 'document' ? this.filename : undefined);
    this.isCaptionByUser = Boolean(caption);
    this.mimetype = media.mimetype;
    this.size = media.size;
    this.width = media.width || undefined;
    this.height = media.height || undefined;
    this.duration = media.seconds || undefined;
    this.isGif = Boolean(media.gif);
    this.isViewOnce = Boolean(media.view_once);
    this.filehash = media.hash && base64(media.hash);
    this.mediaData = { type: this.type, mimetype: media.mimetype, size: media.size, filehash: this.filehash, mediaStage: 'NEED_POKE' };
  }

  #quote(id) {
    const key = MsgKey.fromString(id);
    this.quotedStanzaID = key.id;
    this.quotedParticipant = key.participant ?? (key.fromMe ? this.#session.me : key.remote);
    const quoted = this.#session.message(id);
    // A raw message, not a model; what is not known here is not there.
    if (quoted) this.quotedMsg = { type: quoted.type, body: quoted.body, caption: quoted.caption, mimetype: quoted.mimetype };
  }
}

// ContactModel is made from a record as the server has it; one that only has
// an id is of somebody unknown.
export class ContactModel {
  constructor(record, isMe = false) {
    this.id = Wid.assert(record.id);
    this.isMe = isMe;
    this.isUser = this.id.isUser();
    this.isGroup = this.id.isGroup();
    this.isEnterprise = false;
    this.type = 'in';
    this.set(record);
  }

  set(record) {
    const phone = this.id.server === 'c.us' ? `+${this.id.user}` : undefined;
    this.name = record.saved || undefined;
    this.pushname = record.name || undefined;
    this.isBusiness = Boolean(record.business);
    this.verifiedName = record.business ? record.name : undefined;
    this.isMyContact = Boolean(record.saved);
    this.notifyName = this.pushname;
    this.shortName = this.name ?? this.pushname;
    this.formattedPhone = phone;
    this.displayName = this.name ?? this.pushname ?? phone ?? this.id.user;
    this.formattedName = this.displayName;
    Object.defineProperty(this, 'record', { value: record, configurable: true });
  }
}

// ChatModel is made from a record as the server has it.
export class ChatModel {
  constructor(record, session) {
    this.id = Wid.assert(record.id);
    this.isUser = this.id.isUser();
    this.isGroup = this.id.isGroup();
    this.archive = false;
    this.isReadOnly = false;
    this.canSend = true;
    // Not among a model's plain properties: its messages, in order.
    Object.defineProperties(this, { session: { value: session }, messages: { value: [] } });
    this.set(record);
  }

  set(record) {
    this.contact = this.isGroup ? new ContactModel({ id: record.id, name: record.name }) : this.session.contact(this.id, record.name);
    this.name = this.isGroup ? record.name : this.contact.name ?? this.contact.pushname;
    this.formattedTitle = this.contact.displayName;
    this.unreadCount = record.unread;
    this.t = record.t || undefined;
    if (record.group) this.groupMetadata = groupMetadata(record);
    Object.defineProperty(this, 'record', { value: record, configurable: true });
  }

  get hasUnread() { return this.unreadCount !== 0; }
  get lastReceivedKey() { return this.messages.at(-1)?.id; }
}

const groupMetadata = ({ id, group }) => ({
  id: Wid.create(id),
  subject: group.subject,
  owner: Wid.create(group.owner),
  creation: group.created_at,
  size: group.members.length + 1,
  participants: [
    { id: Wid.create(group.owner), isAdmin: true, isSuperAdmin: true },
    ...group.members.map(({ id: member, admin }) => ({ id: Wid.create(member), isAdmin: Boolean(admin), isSuperAdmin: false })),
  ],
});
