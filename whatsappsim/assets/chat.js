// WPP.chat

import { reactionsOf } from './events.js';
import { describe, kindOf, toBlob, toSticker } from './files.js';
import { ChatModel, MsgKey, MsgModel, Wid, WPPError } from './models.js';

const EDITABLE = 15 * 60; // s
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// device returns the session, or throws while the page is loading.
export function chatFunctions(device) {
  function assertChat(id) {
    const chat = functions.get(id);
    if (!chat) throw new WPPError('chat_not_found', `Chat not found for ${id}`, { id });
    return chat;
  }

  async function quotedId(quoted) {
    if (!quoted) return undefined;
    const message = quoted instanceof MsgModel ? quoted : await functions.getMessageById(quoted);
    if (message.type === 'revoked') throw new WPPError('quoted_msg_can_not_reply', 'QuotedMsg can not reply');
    return message.id.toString();
  }

  async function prepare(chatId, { messageId, delay = 0, markIsRead = true, quotedMsg }) {
    const chat = await functions.find(chatId);
    const key = messageId ? MsgKey.fromString(messageId) : device().newKey(chat.id);
    if (!key.fromMe) throw new WPPError('message_key_is_not_from_me', 'Message key is not from me', { messageId: String(key) });
    if (!key.remote.equals(chat.id)) {
      throw new WPPError('message_key_remote_id_is_not_same_of_chat', 'Message key remote ID is not same of chat', { messageId: String(key) });
    }
    if (delay) {
      await functions.markIsComposing(chat.id);
      await pause(delay);
      await functions.markIsPaused(chat.id);
    }
    const quoted = await quotedId(quotedMsg);
    if (markIsRead) device().setUnread(chat, 0);
    return { chat, key, quoted };
  }

  const functions = {
    async list({ count = Infinity, id, direction = 'after', onlyUsers, onlyGroups, onlyWithUnreadMessage } = {}) {
      let chats = device().chatList();
      if (onlyUsers) chats = chats.filter((chat) => chat.isUser);
      if (onlyGroups) chats = chats.filter((chat) => chat.isGroup);
      if (onlyWithUnreadMessage) chats = chats.filter((chat) => chat.hasUnread);
      const from = id ? Math.max(chats.indexOf(functions.get(id)), 0) : 0;
      return direction === 'before' ? chats.slice(Math.max(from - count, 0), from) : chats.slice(from, from + count);
    },

    get: (id) => device().chats.get(Wid.assert(id)._serialized),

    async find(id) {
      const wid = Wid.assert(id);
      const known = functions.get(wid);
      if (known) return known;
      if (!wid.isUser()) throw new WPPError('chat_not_found', `Chat not found for ${id}`, { id });
      return device().openChat(wid);
    },

    // Oldest first. Without an id: the latest ones.
    async getMessages(chatId, { count = 20, direction = 'before', id, onlyUnread, media } = {}) {
      const chat = assertChat(chatId);
      let { messages } = chat;
      if (onlyUnread) {
        const unread = chat.unreadCount < 0 ? 2 : chat.unreadCount;
        messages = unread ? messages.filter((m) => !m.id.fromMe).slice(-unread) : [];
      }
      if (id) {
        const at = messages.findIndex((m) => m.id._serialized === String(id));
        if (at < 0) return [];
        messages = direction === 'after' ? messages.slice(at + 1) : messages.slice(0, at);
      }
      if (media) {
        const types = { all: ['image', 'video', 'audio', 'ptt', 'document', 'sticker'], audio: ['audio', 'ptt'] }[media] ?? [media];
        messages = messages.filter(({ type }) => types.includes(type));
      }
      if (count < 0) return messages.slice();
      return id && direction === 'after' ? messages.slice(0, count) : messages.slice(-count);
    },

    async getMessageById(ids) {
      const found = [ids].flat().map((id) => {
        const key = MsgKey.fromString(id);
        const message = device().message(key._serialized);
        if (!message) {
          assertChat(key.remote);
          throw new WPPError('msg_not_found', `Message ${id} not found`, { id: String(id) });
        }
        return message;
      });
      return Array.isArray(ids) ? found : found[0];
    },

    generateMessageID: async (chat) => device().newKey(chat instanceof ChatModel ? chat.id : Wid.assert(chat)),

    async sendTextMessage(chatId, content, options = {}) {
      const { chat, key, quoted } = await prepare(chatId, options);
      const { message, result } = device().send(key, { text: String(content), quoted });
      const sendMsgResult = options.waitForAck ?? true ? await result : null;
      return { id: message.id.toString(), ack: message.ack, from: message.from.toString(), to: chat.id.toString(), sendMsgResult };
    },

    async sendFileMessage(chatId, content, options = {}) {
      await functions.find(chatId);
      let blob = await toBlob(content);
      const kind = kindOf(options, options.mimetype || blob.type);
      if (blob.size === 0) throw new WPPError('invalid_file', 'The file is empty');
      const { name } = blob;
      let { filename = name, mimetype } = options;
      if (kind === 'sticker' && blob.type !== 'image/webp') {
        blob = await toSticker(blob);
        mimetype = undefined;
      }
      const media = await describe(blob, kind, { ...options, mimetype, filename });
      const { key, quoted } = await prepare(chatId, options);
      const { message, result } = device().send(key, { text: options.caption ?? '', type: kind, media, quoted, file: blob });
      const sendMsgResult = options.waitForAck ?? true ? await result : null;
      return { id: message.id.toString(), ack: message.ack, sendMsgResult };
    },

    async downloadMedia(id) {
      const message = await functions.getMessageById(id);
      if (!message.mediaData) throw new WPPError('message_not_contains_media', `Message ${id} not contains media`, { id });
      return device().download(message);
    },

    // The id that comes back is that of the change, not of the message.
    async editMessage(msgId, newText) {
      const message = await functions.getMessageById(msgId);
      const text = String(newText).trim();
      const editable = message.id.fromMe && (message.type === 'chat' || message.isMedia && message.isCaptionByUser);
      if (!editable || !text || Date.now() / 1000 - message.t > EDITABLE) {
        throw new WPPError('edit_message_error', 'Cannot edit this message');
      }
      const key = device().newKey(message.id.remote);
      await device().change(message, { type: 'edit', text, key: key.id });
      return {
        id: key.toString(), ack: message.ack, from: message.from.toString(), to: message.to.toString(),
        latestEditMsgKey: message.latestEditMsgKey, sendMsgResult: null,
      };
    },

    async deleteMessage(chatId, ids, deleteMediaInDevice = false, revoke = false) {
      assertChat(chatId);
      const messages = await functions.getMessageById([ids].flat());
      const results = [];
      for (const message of messages) {
        const isSentByMe = message.id.fromMe;
        const result = { id: message.id.toString(), sendMsgResult: 'OK', isRevoked: false, isDeleted: false, isSentByMe };
        if (message.type === 'revoked' && revoke) {
          Object.assign(result, { sendMsgResult: 'ERROR_UNKNOWN', isRevoked: true });
        } else if (revoke && isSentByMe) {
          await device().change(message, { type: 'revoke', key: MsgKey.newId() });
          result.isRevoked = true;
        } else {
          await device().removeMessage(message);
          result.isDeleted = true;
        }
        results.push(result);
      }
      return Array.isArray(ids) ? results : results[0];
    },

    async sendReactionToMessage(messageId, reaction) {
      const message = messageId instanceof MsgModel ? messageId : await functions.getMessageById(String(messageId));
      await device().change(message, { type: 'react', text: reaction || '' });
      return { sendMsgResult: 'OK' };
    },

    getReactions: async (msgId) => reactionsOf(await functions.getMessageById(msgId)),

    getQuotedMsgKey(message) {
      const { quotedStanzaID: id, quotedParticipant: participant } = message;
      if (!id) throw new WPPError('message_not_have_a_reply', `Message ${message.id} does not have a reply`, { id: message.id });
      const { remote } = message.id;
      return new MsgKey({ id, fromMe: participant.equals(device().me), remote, participant: remote.isGroup() ? participant : undefined });
    },

    async getQuotedMsg(id) {
      return functions.getMessageById(functions.getQuotedMsgKey(await functions.getMessageById(id)));
    },

    async markIsRead(chatId) {
      const chat = assertChat(chatId);
      const { unreadCount } = chat;
      device().setUnread(chat, 0);
      return { wid: chat.id, unreadCount };
    },

    async markIsUnread(chatId) {
      const chat = assertChat(chatId);
      if (!chat.hasUnread) device().setUnread(chat, -1);
      return { wid: chat.id };
    },

    async markIsComposing(chatId, duration) {
      await showState(chatId, 'composing', duration);
    },

    async markIsRecording(chatId, duration) {
      await showState(chatId, 'recording', duration);
    },

    async markIsPaused(chatId) {
      device().setPresence(assertChat(chatId), 'paused');
    },
  };

  async function showState(chatId, state, duration) {
    device().setPresence(assertChat(chatId), state);
    if (!duration) return;
    await pause(duration);
    await functions.markIsPaused(chatId);
  }

  return functions;
}
