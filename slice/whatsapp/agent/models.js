// WhatsApp's models as plain objects.

/** @param {Chat} chat */
const plainChat = async (chat) => {
  const chatId = id(chat.id);
  const isGroup = chatId.endsWith('@g.us');
  const contact = chat.contact || {};
  const name = str(chat.name) || str(chat.formattedTitle) || str(contact.name) || str(contact.pushname) || str(contact.verifiedName);
  let phone = '';
  if (chatId.endsWith('@lid')) {
    const entry = await lookUp(() => WPP.contact.getPnLidEntry(chatId));
    phone = id(entry && entry.phoneNumber);
  }
  // In a group that was left, and in one where only admins write.
  const readOnly = isGroup && (chat.isReadOnly === true || chat.canSend === false);
  return { id: chatId, name, phone, is_group: isGroup, read_only: readOnly, unread: Math.max(0, num(chat.unreadCount)) };
};

// The body of other types is a thumbnail or markup.
const BODY_IS_TEXT = new Set(['chat', 'list_response', 'buttons_response', 'template_button_reply']);
const HAS_FILE = new Set(['image', 'video', 'gif', 'ptv', 'audio', 'ptt', 'document', 'sticker']);

/** @param {Message} m */
const plainText = (m) => {
  if (BODY_IS_TEXT.has(m.type)) return str(m.body);
  return str(m.caption) || str(m.pollName) || str(m.loc);
};

/** @param {Message} m */
const plainMedia = (m) => {
  if (!HAS_FILE.has(m.type)) return null;
  const data = m.mediaData;
  const first = (...values) => Math.max(0, num(values.map(Number).find((v) => v > 0)));
  return {
    mime_type: str(m.mimetype) || str(data?.mimetype),
    name: str(m.filename) || str(data?.filename),
    size: first(m.size, data?.size),
    width: first(m.width, data?.fullWidth),
    height: first(m.height, data?.fullHeight),
    seconds: first(m.duration, data?.duration),
  };
};

/** @param {Message} m */
const plainMessage = (m) => {
  const key = m.id;
  const fromMe = key?.fromMe === true;
  const remote = id(key?.remote) || id(fromMe ? m.to : m.from);
  const author = id(m.author) || id(key?.participant) || id(m.from);
  return {
    id: id(key),
    chat_id: remote,
    from_me: fromMe,
    sender_id: author,
    sender_name: str(m.notifyName) || str(m.senderObj && (m.senderObj.name || m.senderObj.pushname)),
    type: str(m.type),
    text: plainText(m),
    ack: num(m.ack),
    t: num(m.t),
    quoted: m.quotedStanzaID ? id(attempt(() => WPP.chat.getQuotedMsgKey(m), '')) : '',
    edited: Boolean(m.latestEditMsgKey),
    media: plainMedia(m),
  };
};
