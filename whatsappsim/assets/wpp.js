// window.WPP as @wppconnect/wa-js 4.6.0 defines it, as far as it is in use.
// Every name here exists there; a test holds it to that.

import { chatFunctions } from './chat.js';
import { contactFunctions } from './contact.js';
import { Database } from './database.js';
import { Emitter } from './emitter.js';
import { WPPError } from './models.js';
import { Session } from './session.js';
import { show } from './page.js';

const VERSION = '2.3000.1038792969';
const KEEP_ALIVE = 15_000; // ms

const events = new Emitter();
let session = null; // until the database is open
let ready = false;
let keepAliveTimer = null;

function device() {
  if (!session) throw new WPPError('not_ready', 'The page is still loading');
  return session;
}

function unlinked() {
  if (device().registered) throw new WPPError('cannot_get_code_for_already_authenticated', 'The device is linked already');
  return session;
}

const digits = (phone) => String(phone).replace(/\D/g, '');

const conn = {
  getAuthCode: async () => device().authCode(),
  refreshQR: async () => device().refreshCode(),
  isAuthenticated: () => session?.registered ?? false,
  isRegistered: () => session?.registered ?? false,
  isIdle: () => session?.idle ?? false,
  isMainReady: () => session?.mainReady ?? false,
  isOnline: () => session?.online ?? navigator.onLine,
  needsUpdate: () => session?.needsUpdate ?? false,
  getStreamData: () => ({ ...(session?.stream ?? { mode: 'SYNCING', info: 'OPENING' }) }),
  getMyUserId: () => session?.me,
  getMyUserWid: () => session?.me,
  getMyUserLid: () => session?.lid,
  getHistorySyncProgress() {
    const progress = device().syncProgress;
    return { progress, paused: false, inProgress: progress < 100 };
  },
  startLinkDeviceCodeForPhoneNumber: async (phone) => unlinked().linkCode.start(digits(phone)),
  refreshLinkDeviceCode: async () => unlinked().linkCode.refresh(),
  cancelLinkDeviceCode: () => device().linkCode.cancel(),
  getBuildConstants() {
    const [primary, secondary, tertiary] = VERSION.split('.');
    return {
      VERSION_STR: VERSION, VERSION_BASE: VERSION, VERSION_PRIMARY: primary, VERSION_SECONDARY: secondary,
      VERSION_TERTIARY: tertiary, WINDOWS_BUILD: null,
      PARSED: { PRIMARY: Number(primary), SECONDARY: Number(secondary), TERTIARY: Number(tertiary) },
    };
  },
  setKeepAlive(enable = true) {
    clearInterval(keepAliveTimer);
    keepAliveTimer = enable ? setInterval(() => document.dispatchEvent(new Event('scroll')), KEEP_ALIVE) : null;
    return enable;
  },
  getAutoDownloadSettings: () => ({ ...device().autoDownload }),
  setAutoDownloadSettings: async (settings) => device().setAutoDownload(settings),
  logout: async () => device().logout(),
};

const chat = chatFunctions(device);
const contact = contactFunctions(device);

const profile = {
  getMyProfileName: () => device().name,
  isBusiness: () => false,
};

const util = {
  blobToBase64: (blob) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onloadend = () => resolve(reader.result);
    reader.onabort = reject;
    reader.onerror = reject;
    reader.readAsDataURL(blob);
  }),
};

const WPP = {
  version: '4.6.0',
  get isReady() { return ready; },
  get isFullReady() { return ready && conn.isMainReady(); },
  conn,
  chat,
  contact,
  profile,
  util,
  on: (event, listener) => events.on(event, listener),
  once: (event, listener) => events.once(event, listener),
  off: (event, listener) => events.off(event, listener),
};
window.WPP = WPP;

show(WPP, () => session);
try {
  if (document.body.dataset.fault === 'never_ready') await new Promise(() => {});
  session = new Session(await Database.open(), events);
  await session.start();
  ready = true;
  events.emit('loader.ready');
} catch (error) {
  console.error('the stand-in could not start:', error);
  document.body.dataset.failed = 'true';
}
