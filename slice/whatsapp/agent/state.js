// Where the session stands, and the code that links it.

let listening = false; // to WPP's events
let code = '';
let codeAt = 0;
let idle = false;
let logout = '';

const setCode = (c) => {
  const text = str(c && c.fullCode);
  if (text && text !== code) { code = text; codeAt = Date.now(); idle = false; }
  if (!text) { code = ''; codeAt = 0; }
};

const snapshot = async () => {
  const at = performance.timeOrigin + performance.now();
  // Not before what happens from now on is told: nobody would look for it.
  if (!listening) return { at, ready: false };
  const stream = attempt(() => WPP.conn.getStreamData(), {});
  const s = {
    at,
    ready: true,
    authenticated: attempt(() => WPP.conn.isAuthenticated(), false) === true,
    main_ready: attempt(() => WPP.conn.isMainReady(), false) === true,
    online: attempt(() => WPP.conn.isOnline(), true) !== false,
    needs_update: attempt(() => WPP.conn.needsUpdate(), false) === true,
    mode: str(stream.mode),
    info: str(stream.info),
    logout,
  };
  if (s.authenticated) {
    code = ''; codeAt = 0; idle = false; logout = s.logout = '';
    s.account_id = id(attempt(() => WPP.conn.getMyUserId(), ''));
    s.account_name = str(attempt(() => WPP.profile.getMyProfileName(), ''));
  } else {
    if (!code) setCode(await lookUp(() => WPP.conn.getAuthCode()));
    s.qr = code;
    s.qr_at = codeAt;
    s.qr_idle = idle;
  }
  addLink(s);
  addPasskey(s);
  return s;
};

// Many conn events come in bursts; the latest state is what matters.
let running = false;
let again = false;
const changed = async () => {
  if (running) { again = true; return; }
  running = true;
  do {
    again = false;
    emit('snapshot', { snapshot: await snapshot() });
  } while (again);
  running = false;
};

api.snapshot = snapshot;
api.refreshQR = async () => { setCode(await WPP.conn.refreshQR()); return snapshot(); };
api.logout = async () => { await WPP.conn.logout(); };
