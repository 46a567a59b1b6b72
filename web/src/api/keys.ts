/** The keys of the query cache, in one place. */
export const keys = {
  me: ['me'],
  leftOnPurpose: ['left-on-purpose'],
  config: ['config'],
  signUpWay: ['sign-up-way'],
  whatsapp: ['whatsapp'],
  chats: ['chats'],
  messages: (chatID: string) => ['messages', chatID],
  allMessages: ['messages'],
  outbox: ['outbox'],
  passkeys: ['passkeys'],
  pool: ['pool'],
  slices: (state: string | null) => ['slices', state],
} as const;
