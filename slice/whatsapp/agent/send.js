// Sending. The defaults of WPP fetch link previews from third parties and mark
// chats read.

// The chat decides the id: a number may be known by its LID now.
api.newMessageID = async (chatId) => id(await WPP.chat.generateMessageID(await WPP.chat.find(chatId)));

const sendOptions = (o) => {
  /** @type {Parameters<typeof WPP.chat.sendTextMessage>[2]} */
  const options = { linkPreview: false, markIsRead: false };
  if (o.id) options.messageId = o.id;
  if (o.quoted) options.quotedMsg = o.quoted;
  return options;
};

const sent = (r) => {
  const result = str(r.sendMsgResult && r.sendMsgResult.messageSendResult);
  if (result && result !== 'OK') throw new Error('sending ended with ' + result);
  return { id: id(r.id), ack: num(r.ack) };
};

api.sendText = async (o) => sent(await WPP.chat.sendTextMessage(o.chat_id, o.text, sendOptions(o)));

// A voice message is an audio of another kind.
api.sendFile = async (o, key) => sent(await WPP.chat.sendFileMessage(o.chat_id, takeFile(key, o.name, o.mime_type), {
  ...sendOptions(o),
  type: o.type === 'voice' ? 'audio' : o.type,
  isPtt: o.type === 'voice',
  filename: o.name,
  mimetype: o.mime_type,
  ...(o.text ? { caption: o.text } : {}), // with an empty one WPP writes the file's name
}));
