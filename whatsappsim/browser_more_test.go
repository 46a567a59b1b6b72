//go:build integration

package whatsappsim

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The page is told of what happened while the server was away, and sends what
// it could not send.
func TestReconnect(t *testing.T) {
	t.Parallel()
	config := Config{StateFile: filepath.Join(t.TempDir(), "state.json"), DeliveryDelay: time.Millisecond}
	first, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(first)
	address := h.Listener.Addr().String()
	s := &bench{t, h.URL, &Client{BaseURL: h.URL}}
	if _, err := s.client.CreateAccount(t.Context(), phoneNumber, accountName); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t, t.TempDir())
	s.link(b)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	h.Close()
	b.sees("conn.online:false")
	b.wait(`WPP.conn.getStreamData().info === 'OFFLINE' && !WPP.conn.isOnline()`)
	id := eval[string](b, `WPP.chat.sendTextMessage('`+customerChat+`', 'sent offline', {waitForAck: false}).then((r) => r.ack === 0 && r.id)`)

	second, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	h = httptest.NewUnstartedServer(second)
	h.Listener.Close()
	h.Listener = listener
	if _, err := second.world.customerWrites(phoneNumber, customerNumber, "Carl", "written meanwhile"); err != nil {
		t.Fatal(err)
	}
	h.Start()
	t.Cleanup(func() {
		second.Close()
		h.Close()
	})
	b.sees("conn.online:true")
	b.sees("chat.new_message:chat:written meanwhile")
	b.sees("ack:2:" + id)
	b.wait(ready)
	if ms, err := s.client.Messages(t.Context(), phoneNumber, customerChat); err != nil || len(ms) != 2 || ms[1].Text != "sent offline" {
		t.Errorf("on the phone: %+v, %v", ms, err)
	}
}

func TestLogouts(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	s.write("private")
	b.sees("chat.new_message:chat:private")
	if err := s.client.Logout(t.Context(), phoneNumber); err != nil {
		t.Fatal(err)
	}
	for _, e := range []string{"conn.logout_reason:unknown_companion", "conn.logout", "conn.stream_mode_changed:QR"} {
		b.sees(e)
	}
	b.wait(`!WPP.conn.isAuthenticated() && WPP.conn.getAuthCode()`)
	b.wait(`(await WPP.chat.list()).length === 0`)

	s.link(b) // the same page links again
	if !eval[bool](b, `WPP.conn.logout()`) {
		t.Error("logout: false")
	}
	b.sees("conn.logout_reason:user_initiated")
	b.wait(`WPP.conn.getAuthCode()`)
	accounts, err := s.client.Accounts(t.Context())
	if err != nil || accounts[0].Linked {
		t.Errorf("after the log-out: %+v, %v", accounts, err)
	}
}

func TestCodesInThePage(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{QRLifetime: 400 * time.Millisecond, QRRotations: 2})
	b := startBrowser(t, t.TempDir())
	b.open(s.url)
	b.wait(`WPP.conn.isMainReady()`) // also without a login, as in WhatsApp Web
	b.sees("conn.qrcode_idle")
	b.wait(`WPP.conn.isIdle() && (await WPP.conn.getAuthCode()) === null`)
	code := eval[string](b, `(await WPP.conn.refreshQR()).fullCode`)
	if parts := strings.Split(code, ","); len(parts) != 4 || !strings.HasPrefix(code, "2@") {
		t.Errorf("code: %s", code)
	}
	b.wait(`document.getElementById('qr').naturalWidth > 0`)
}

func TestFaultsInThePage(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	fault := func(name string) {
		t.Helper()
		if err := s.client.Fault(t.Context(), phoneNumber, name); err != nil {
			t.Fatal(err)
		}
	}
	fault(FaultDoubleNewMessage)
	s.write("twice")
	b.sees("chat.new_message:ciphertext:undefined")
	b.sees("chat.new_message:chat:twice")

	fault(FaultSilentMessage)
	silent := s.write("silent")
	fault(FaultLIDContact)
	s.write("from a LID")
	b.sees("chat.new_message:chat:from a LID")
	b.wait(`(await WPP.chat.getMessageById('` + silent + `')).body === 'silent'`)
	if log := b.events(); slices.Contains(log, "chat.new_message:chat:silent") {
		t.Errorf("the silent message was announced: %q", log)
	}
	lid := customerNumber + "@lid"
	if phone := eval[*string](b, `WPP.contact.get('`+lid+`').then((c) => c.formattedPhone ?? null)`); phone != nil {
		t.Errorf("a LID contact has the phone number %s", *phone)
	}

	fault(FaultDisconnect)
	b.sees("conn.online:false")
	b.sees("conn.online:true")
	b.wait(ready)
	fault(FaultConflict)
	b.sees("conn.stream_mode_changed:CONFLICT")
	b.wait(`document.body.dataset.view === 'conflict'`)
	if err := chromedp.Do(b.ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	b.record()
	b.wait(ready)

	fault(FaultRendererHang)
	deadline := time.Now().Add(evalTimeout)
	for {
		ctx, cancel := contextWithTimeout(b, 500*time.Millisecond)
		_, err := chromedp.Run(ctx, chromedp.Evaluate[int](`1`))
		cancel()
		if err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the page still answers")
		}
	}
}

// Functions that take part in nothing else here.
func TestFunctions(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	s.write("one")
	s.write("two")
	id := s.write("three")
	b.sees("chat.new_message:chat:three")
	for _, js := range []string{
		`(await WPP.chat.getMessages('` + customerChat + `', {count: 2})).map((m) => m.body).join() === 'two,three'`,
		`(await WPP.chat.getMessages('` + customerChat + `', {count: 1, id: '` + id + `'})).map((m) => m.body).join() === 'two'`,
		`(await WPP.chat.getMessages('` + customerChat + `', {id: '` + id + `', direction: 'after'})).length === 0`,
		`(await WPP.chat.getMessages('` + customerChat + `', {onlyUnread: true})).length === 3`,
		`(await WPP.chat.list({onlyGroups: true})).length === 0 && (await WPP.chat.list({onlyUsers: true, count: 5})).length === 1`,
		`await WPP.chat.markIsRead('4900000001@c.us').then(() => false, (e) => e.code === 'chat_not_found')`,
		`await WPP.chat.getMessageById('true_` + customerChat + `_3EB000000000000000').then(() => false, (e) => e.code === 'msg_not_found')`,
		`await WPP.chat.sendTextMessage('nobody', 'x').then(() => false, (e) => e.code === 'invalid_wid')`,
		`(await WPP.chat.find('4900000002@c.us')).id.user === '4900000002'`,
		`(await WPP.chat.markIsRead('` + customerChat + `')).unreadCount === 3`,
		`(await WPP.chat.markIsUnread('` + customerChat + `')).wid.toString() === '` + customerChat + `' && WPP.chat.get('` + customerChat + `').unreadCount === -1`,
		`(await WPP.chat.markIsComposing('` + customerChat + `')) === undefined && (await WPP.chat.markIsPaused('` + customerChat + `')) === undefined`,
		`(await WPP.contact.queryWidExists('4917099999@c.us')).wid.user === '4917099999' && (await WPP.contact.queryWidExists('1@c.us')) === null`,
		`(await WPP.contact.list()).map((c) => c.displayName).sort().join() === "+4900000002,Ana's Bakery,Carl"`,
		`(await WPP.contact.getProfilePictureUrl('` + customerChat + `')) === undefined`,
		`(await WPP.util.blobToBase64(new Blob(['hi'], {type: 'text/plain'}))) === 'data:text/plain;base64,aGk='`,
		`WPP.conn.setKeepAlive(true) && !WPP.conn.setKeepAlive(false) && !WPP.conn.needsUpdate() && WPP.isFullReady`,
		`WPP.conn.getBuildConstants().PARSED.SECONDARY === 3000`,
		`(await WPP.chat.sendTextMessage('` + customerChat + `', 'x', {messageId: 'true_` + customerChat + `_3EB0DDDDDDDDDDDDDDDD'})).id === 'true_` + customerChat + `_3EB0DDDDDDDDDDDDDDDD'`,
		`await WPP.chat.sendTextMessage('` + customerChat + `', 'x', {messageId: 'true_4900000003@c.us_3EB0DDDDDDDDDDDDDDDD'}).then(() => false, () => true)`,
		`(await WPP.chat.sendTextMessage('` + customerChat + `', 'y'.repeat(70000))).sendMsgResult.messageSendResult === 'ERROR_UNKNOWN'`,
	} {
		if !eval[bool](b, js) {
			t.Errorf("does not hold: %s", js)
		}
	}
	// The real one reloads the page, too.
	b.do(`(() => { WPP.conn.setAutoDownloadSettings({photos: false}); })()`)
	b.wait(`window.log === undefined && WPP.isReady && WPP.conn.getAutoDownloadSettings().photos === false && WPP.conn.getAutoDownloadSettings().audio`)
	b.wait(ready)
}

// What the stand-in offers, the real bundle has, under the same name and as
// the same kind of thing.
func TestNamesAreInTheRealBundle(t *testing.T) {
	t.Parallel()
	path := os.Getenv("WA_JS_BUNDLE")
	if path == "" {
		t.Fatal("WA_JS_BUNDLE is not set: it must be the path of dist/wppconnect-wa.js of @wppconnect/wa-js 4.6.0")
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("WA_JS_BUNDLE: %v", err)
	}
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	const names = `(() => {
		const names = [];
		for (const group of ['version', 'isReady', 'isFullReady', 'on', 'once', 'off', 'conn', 'chat', 'contact', 'profile', 'util']) {
			const value = WPP[group];
			if (value === null || typeof value !== 'object') { names.push(group + ':' + typeof value); continue; }
			for (const name of Object.keys(value)) names.push(group + '.' + name + ':' + typeof value[name]);
		}
		return names;
	})()`
	b.open(s.url)
	ours := eval[[]string](b, names)
	if n := eval[int](b, `Object.keys(WPP).length`); n != 11 {
		t.Errorf("WPP has %d names, this test knows 11", n)
	}
	b.close()

	b = startBrowser(t, t.TempDir())
	if err := chromedp.Do(b.ctx, chromedp.Navigate(s.url+"/healthz")); err != nil {
		t.Fatal(err)
	}
	b.do(`window.WPPConfig = {disableGoogleAnalytics: true, linkPreviewApiServers: []}`)
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](string(bundle))); err != nil {
		t.Fatalf("load the bundle: %v", err)
	}
	if v := eval[string](b, `WPP.version`); v != "4.6.0" {
		t.Errorf("the bundle is version %s", v)
	}
	theirs := eval[[]string](b, names)
	if len(ours) < 30 || len(theirs) < 100 {
		t.Errorf("%d names here and %d there: something is missing", len(ours), len(theirs))
	}
	for _, name := range ours {
		if !slices.Contains(theirs, name) {
			t.Errorf("the real bundle has no %s", name)
		}
	}
	for _, event := range []string{"conn.auth_code_change", "conn.qrcode_idle", "conn.require_auth", "conn.authenticated", "conn.logout",
		"conn.logout_reason", "conn.main_loaded", "conn.main_ready", "conn.online", "conn.stream_mode_changed", "conn.stream_info_changed",
		"conn.link_code_change", "conn.link_code_expired", "conn.link_code_error", "conn.needs_update", "chat.new_chat", "chat.new_message",
		"chat.msg_ack_change", "chat.msg_edited", "chat.msg_revoke", "chat.new_reaction", "chat.presence_change", "chat.unread_count_changed",
		"loader.ready"} {
		if !strings.Contains(string(bundle), event) {
			t.Errorf("the real bundle has no event %s", event)
		}
	}
}
