// What the agent finds in the page, by the type files of wa-js.
import type * as WAJS from '@wppconnect/wa-js';
import type { EventTypes } from './node_modules/@wppconnect/wa-js/dist/eventEmitter';

declare global {
  interface Window {
    WPP: typeof WAJS;
    __slice: object;
    __sliceEvent: (payload: string) => void;
    __slicePasskey: any;
  }

  // latestEditMsgKey is what wa-js itself takes an edited message by, though its
  // type files do not have it.
  type Message = WAJS.whatsapp.MsgModel & { latestEditMsgKey?: WAJS.whatsapp.MsgKey };
  type Chat = WAJS.whatsapp.ChatModel;
  type Events = EventTypes;
}
