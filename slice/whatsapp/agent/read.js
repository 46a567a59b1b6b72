// What is asked of chats and messages.

api.chats = async (count) => {
  const list = await WPP.chat.list({ count });
  return Promise.all(list.map(plainChat));
};

api.messages = async (chatId, count, before) => {
  /** @type {Parameters<typeof WPP.chat.getMessages>[1]} */
  const options = before ? { count, direction: 'before', id: before } : { count };
  return (await WPP.chat.getMessages(chatId, options)).map(plainMessage);
};

api.message = async (messageId) => plainMessage(await WPP.chat.getMessageById(messageId));
