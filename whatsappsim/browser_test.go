//go:build integration

package whatsappsim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	phoneNumber    = "4915112345678"
	accountName    = "Ana's Bakery"
	customerNumber = "4917012345"
	customerChat   = customerNumber + "@c.us"
	browserTimeout = 90 * time.Second // for one whole test
	evalTimeout    = 20 * time.Second // for one condition
)

// chromium returns the browser to test with.
func chromium(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/chromium-headless-shell", "/usr/bin/chromium"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium: install chromium-headless-shell")
	return ""
}

// browser is one Chromium with a profile; it shows one page.
type browser struct {
	t     testing.TB
	ctx   context.Context
	close func()
}

func startBrowser(t testing.TB, profile string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.UserDataDir(profile))
	ctx, cancel := context.WithTimeout(context.Background(), browserTimeout)
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, cancelTab := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: tab}
	closed := false
	b.close = func() {
		if closed {
			return
		}
		closed = true
		if err := chromedp.Cancel(tab); err != nil {
			t.Logf("close the browser: %v", err)
		}
		cancelTab()
		cancelAllocator()
		cancel()
	}
	t.Cleanup(b.close)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return b
}

// open loads the page and records every event that the tests look at.
func (b *browser) open(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatalf("open %s: %v", url, err)
	}
	b.record()
}

func (b *browser) record() {
	b.t.Helper()
	b.wait(`window.WPP?.isReady`)
	b.do(`(() => {
		window.log = [];
		for (const e of ['conn.auth_code_change', 'conn.qrcode_idle', 'conn.authenticated', 'conn.logout', 'conn.logout_reason',
			'conn.main_ready', 'conn.stream_mode_changed', 'conn.online', 'chat.new_chat', 'chat.unread_count_changed'])
			WPP.on(e, (v) => log.push(typeof v === 'string' || typeof v === 'boolean' ? e + ':' + v : e));
		WPP.on('chat.new_message', (m) => log.push('chat.new_message:' + m.type + ':' + m.body));
		WPP.on('chat.msg_ack_change', ({ ack, ids }) => log.push('ack:' + ack + ':' + ids[0]));
	})()`)
}

// eval runs an expression, waits for its promise and decodes what it gives.
func eval[T any](b *browser, js string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, evalTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](`(async () => (`+js+`))()`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", js, err)
	}
	return v
}

// do is eval without a value.
func (b *browser) do(js string) {
	b.t.Helper()
	eval[chromedp.Void](b, js)
}

// wait polls until the expression holds.
func (b *browser) wait(js string) {
	b.t.Helper()
	b.waitFor(js, evalTimeout)
}

func (b *browser) waitFor(js string, timeout time.Duration) {
	b.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		ctx, cancel := context.WithDeadline(b.ctx, deadline)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(async () => Boolean(await (`+js+`)))()`, chromedp.EvalAwaitPromise))
		cancel()
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			log, _ := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`window.log ?? []`))
			b.t.Fatalf("never true: %s (last error: %v; events: %q)", js, err, log)
		}
	}
}

// sees waits for an event in the page's log.
func (b *browser) sees(event string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`log.includes(%q)`, event))
}

func (b *browser) events() []string {
	b.t.Helper()
	return eval[[]string](b, `log`)
}

func count(log []string, event string) (n int) {
	for _, e := range log {
		if e == event {
			n++
		}
	}
	return n
}

const ready = `WPP.conn.isAuthenticated() && WPP.conn.getStreamData().mode === 'MAIN' && WPP.conn.getStreamData().info === 'NORMAL'`

type bench struct {
	t      testing.TB
	url    string
	client *Client
}

func startServer(t *testing.T, config Config) *bench {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, s)
}

func serve(t testing.TB, s *Server) *bench {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	b := &bench{t, h.URL, &Client{BaseURL: h.URL}}
	if _, err := b.client.CreateAccount(t.Context(), phoneNumber, accountName); err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *bench) link(b *browser) {
	s.t.Helper()
	s.scan(b)
	b.wait(ready)
}

func (s *bench) scan(b *browser) {
	s.t.Helper()
	b.open(s.url)
	b.wait(`WPP.conn.getAuthCode()`)
	code := eval[string](b, `(await WPP.conn.getAuthCode()).fullCode`)
	if err := s.client.Scan(s.t.Context(), phoneNumber, code); err != nil {
		s.t.Fatal(err)
	}
}

func (s *bench) write(text string) string {
	s.t.Helper()
	id, err := s.client.CustomerWrites(s.t.Context(), phoneNumber, customerNumber, "Carl", text)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func TestMessagesAndAcks(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{DeliveryDelay: 10 * time.Millisecond})
	b := startBrowser(t, t.TempDir())
	s.write("before the link")
	s.link(b)
	for _, e := range []string{"conn.authenticated", "conn.stream_mode_changed:SYNCING", "conn.stream_mode_changed:MAIN"} {
		b.sees(e)
	}
	b.wait(`(await WPP.chat.getMessages('` + customerChat + `')).map((m) => m.body).join() === 'before the link'`)
	if log := b.events(); count(log, "chat.new_message:chat:before the link") != 0 {
		t.Errorf("history was announced as a new message: %q", log)
	}

	id := s.write("Zwei Brote, bitte 🥖")
	b.sees("chat.new_message:chat:Zwei Brote, bitte 🥖")
	b.sees("chat.unread_count_changed")
	type shape struct {
		ID, From, To, Type, Notify, Me, Title string
		MyName                                string `json:"myName"`
		Unread                                int
	}
	in := eval[shape](b, `(async () => {
		const m = await WPP.chat.getMessageById('`+id+`');
		return {id: m.id._serialized, from: m.from._serialized, to: m.to._serialized, type: m.type, notify: m.notifyName,
			me: WPP.conn.getMyUserId()._serialized, myName: WPP.profile.getMyProfileName(),
			title: m.chat.formattedTitle, unread: m.chat.unreadCount};
	})()`)
	if in.ID != id || in.From != customerChat || in.To != in.Me || in.Type != "chat" || in.Notify != "Carl" ||
		in.Me != phoneNumber+"@c.us" || in.MyName != accountName || in.Title != "Carl" || in.Unread != 2 {
		t.Errorf("incoming message: %+v", in)
	}

	type result struct {
		ID            string `json:"id"`
		Ack           int    `json:"ack"`
		SendMsgResult struct {
			MessageSendResult string `json:"messageSendResult"`
		} `json:"sendMsgResult"`
	}
	sent := eval[result](b, `WPP.chat.sendTextMessage('`+customerChat+`', 'Sofort!', {linkPreview: false, markIsRead: false})`)
	if !strings.HasPrefix(sent.ID, "true_"+customerChat+"_3EB0") || sent.Ack < 1 || sent.SendMsgResult.MessageSendResult != "OK" {
		t.Errorf("sent: %+v", sent)
	}
	b.sees("ack:1:" + sent.ID)
	b.sees("ack:2:" + sent.ID)
	if err := s.client.CustomerReads(t.Context(), phoneNumber, customerChat); err != nil {
		t.Fatal(err)
	}
	b.sees("ack:3:" + sent.ID)
	ms, err := s.client.Messages(t.Context(), phoneNumber, customerChat)
	if err != nil || len(ms) != 3 || ms[2].ID != sent.ID || ms[2].Text != "Sofort!" || ms[2].Ack != 3 || !ms[2].FromMe {
		t.Errorf("on the phone: %+v, %v", ms, err)
	}

	b.do(`WPP.chat.markIsRead('` + customerChat + `')`)
	b.wait(`WPP.chat.get('` + customerChat + `').unreadCount === 0`)
}

func TestLoginIsKept(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	profile := t.TempDir()
	b := startBrowser(t, profile)
	s.link(b)
	s.write("one")
	b.sees("chat.new_message:chat:one")
	if err := chromedp.Do(b.ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	b.record()
	b.wait(ready)
	b.close()

	s.write("while it was away")
	// What the platform keeps of a profile is enough for the login.
	copied := t.TempDir()
	for _, dir := range []string{"Default/IndexedDB", "Default/Local Storage"} {
		from := filepath.Join(profile, dir)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) && dir != "Default/IndexedDB" {
			continue // the page keeps nothing there
		}
		if err := os.CopyFS(filepath.Join(copied, dir), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	b = startBrowser(t, copied)
	b.open(s.url)
	b.wait(ready)
	b.wait(`(await WPP.chat.getMessages('` + customerChat + `', {count: -1})).map((m) => m.body).join() === 'one,while it was away'`)
}
