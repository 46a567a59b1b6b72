// What WPP's events carry.

import { MsgKey, Wid } from './models.js';

export const ackEvent = (message) => ['chat.msg_ack_change', { ack: message.ack, chat: message.to, ids: [message.id] }];

export const editEvent = (message) => ['chat.msg_edited', { chat: message.to, id: message.id.toString(), msg: message }];

export function revokeEvent(message) {
  const { fromMe, remote, participant } = message.id;
  const id = new MsgKey({ fromMe, remote, participant, id: message.record.revoke_key });
  return ['chat.msg_revoke', { author: message.author, from: message.from, id, refId: message.id, to: message.to, type: 'sender_revoke' }];
}

const reactionKey = (message, { key, from_me: fromMe, sender }) => {
  const { remote } = message.id;
  return new MsgKey({ fromMe: Boolean(fromMe), remote, id: key, participant: remote.isGroup() ? Wid.create(sender) : undefined });
};

export function reactionEvent(message, reaction) {
  return ['chat.new_reaction', {
    id: reactionKey(message, reaction),
    msgId: message.id,
    reactionText: reaction.text,
    read: false,
    sender: Wid.create(reaction.sender),
    orphan: 0,
    orphanReason: null,
    timestamp: reaction.t,
  }];
}

// What getReactions answers.
export function reactionsOf(message) {
  const sender = (reaction) => ({
    id: reactionKey(message, reaction), orphan: 0, msgId: message.id, reactionText: reaction.text,
    read: true, senderUserJid: reaction.sender, timestamp: reaction.t,
  });
  const shown = (message.record.reactions ?? []).filter(({ text }) => text);
  const mine = shown.find(({ from_me: fromMe }) => fromMe);
  const groups = Map.groupBy(shown, ({ text }) => text);
  return {
    reactionByMe: mine && sender(mine),
    reactions: [...groups].map(([aggregateEmoji, reactions]) => ({
      aggregateEmoji,
      hasReactionByMe: reactions.some(({ from_me: fromMe }) => fromMe),
      senders: reactions.map(sender),
    })),
  };
}

export function presenceEvent(chat, sender, state) {
  const { shortName = '' } = sender;
  const event = {
    id: chat.id, isOnline: state !== 'unavailable', isGroup: chat.isGroup, isUser: chat.isUser,
    shortName: chat.isGroup ? chat.name : shortName, state, t: Date.now(),
  };
  if (chat.isUser) event.isContact = true;
  else event.participants = [{ id: sender.id.toString(), state, shortName }];
  return ['chat.presence_change', event];
}
