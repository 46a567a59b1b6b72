// What changes a message or a chat that is there.

api.react = async (messageId, emoji) => { await WPP.chat.sendReactionToMessage(messageId, emoji || false); };

api.edit = async (messageId, text) => {
  await WPP.chat.editMessage(messageId, text, { linkPreview: false, markIsRead: false });
};

// WPP would delete somebody else's message here only: that is not meant.
api.remove = async (messageId) => {
  const m = plainMessage(await WPP.chat.getMessageById(messageId));
  if (!m.from_me) throw new Refusal('not_from_me', 'the message is somebody else\'s');
  if (m.type === 'revoked') return;
  const [r] = [await WPP.chat.deleteMessage(m.chat_id, m.id, true, true)].flat();
  if (!r.isRevoked) throw new Error('the message was not deleted');
};

api.typing = async (chatId, on) => { await (on ? WPP.chat.markIsComposing(chatId) : WPP.chat.markIsPaused(chatId)); };
api.markRead = async (chatId) => { await WPP.chat.markIsRead(chatId); };
