// WhatsApp's models as plain objects.

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
  return { id: chatId, name, phone, is_group: isGroup, unread: Math.max(0, num(chat.unreadCount)) };
};

const plainMessage = (m) => {
  const key = m.id || {};
  const fromMe = typeof key === 'object' ? key.fromMe === true : String(key).startsWith('true_');
  const remote = id(key.remote) || id(fromMe ? m.to : m.from);
  const author = id(m.author) || id(key.participant) || id(m.from);
  return {
    id: id(key),
    chat_id: remote,
    from_me: fromMe,
    sender_id: author,
    sender_name: str(m.notifyName) || str(m.senderObj && (m.senderObj.name || m.senderObj.pushname)),
    type: str(m.type),
    text: m.type === 'chat' ? str(m.body) : str(m.caption),
    ack: num(m.ack),
    t: num(m.t),
  };
};
