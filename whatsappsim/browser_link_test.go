//go:build integration

package whatsappsim

import (
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/chromedp"
)

func jsNumber(n int) string { return strconv.Itoa(n) }

func TestLinkCode(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{LinkCodeLifetime: 600 * time.Millisecond})
	b := startBrowser(t, t.TempDir())
	b.open(s.url)
	b.watch()
	b.wait(`WPP.conn.getAuthCode()`)
	b.holds(`await WPP.conn.startLinkDeviceCodeForPhoneNumber('12').then(() => false, () => true)`)
	b.do(`(async () => { window.code = await WPP.conn.startLinkDeviceCodeForPhoneNumber('+` + phoneNumber + `'); })()`)
	b.holds(`/^[1-9A-HJ-NP-Z]{8}$/.test(code) && (await WPP.conn.refreshLinkDeviceCode()) !== code`)
	b.wait(`seen['conn.link_code_change']?.length >= 4`) // it refreshes by itself
	refused(t, s.client.TypeLinkCode(t.Context(), phoneNumber, "AAAA-AAAA"), 404)
	b.wait(`seen['conn.link_code_error']?.at(-1) instanceof Error`)
	b.do(`(() => { WPP.conn.cancelLinkDeviceCode(); })()`)
	linked := false
	for range 20 { // the code may expire between the two
		code := eval[string](b, `WPP.conn.startLinkDeviceCodeForPhoneNumber('`+phoneNumber+`')`)
		if s.client.TypeLinkCode(t.Context(), phoneNumber, code[:4]+"-"+code[4:]) == nil {
			linked = true
			break
		}
	}
	if !linked {
		t.Fatal("no code could be typed")
	}
	b.wait(ready)
	b.holds(`await WPP.conn.startLinkDeviceCodeForPhoneNumber('` + phoneNumber + `').then(() => false, () => true)`)
}

func TestLinkCodeExpires(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{LinkCodeLifetime: 30 * time.Millisecond})
	b := startBrowser(t, t.TempDir())
	b.open(s.url)
	b.watch()
	b.wait(`WPP.conn.getAuthCode()`)
	b.do(`(() => { WPP.conn.startLinkDeviceCodeForPhoneNumber('` + phoneNumber + `'); })()`)
	b.wait(`seen['conn.link_code_expired']?.length === 1 && seen['conn.link_code_change'].length === 6`)
	b.holds(`(await WPP.conn.refreshLinkDeviceCode()).length === 8`)
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	ctx := t.Context()
	scan := func() {
		t.Helper()
		b.wait(`WPP.conn.getAuthCode()`)
		if err := s.client.Scan(ctx, phoneNumber, eval[string](b, `(await WPP.conn.getAuthCode()).fullCode`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.client.FaultTimes(ctx, phoneNumber, FaultPasskeyRequired, 3); err != nil {
		t.Fatal(err)
	}
	refused(t, s.client.Passkey(ctx, phoneNumber, true), 404)
	b.open(s.url)
	b.do(`(() => {
		window.asked = [];
		navigator.credentials.get = async ({publicKey}) => { asked.push(publicKey); return window.answer(publicKey); };
		window.answer = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
	})()`)
	scan()
	b.wait(`document.body.dataset.view === 'passkey' && asked.length === 1`)
	b.holds(`asked[0].rpId === 'whatsapp.com' && asked[0].userVerification === 'required' && asked[0].challenge.length === 32`,
		`!WPP.conn.isAuthenticated() && (await WPP.conn.getAuthCode()) === null`)
	if err := s.client.Passkey(ctx, phoneNumber, false); err != nil {
		t.Fatal(err)
	}
	b.do(`(() => {
		window.answer = ({challenge}) => {
			const text = btoa(String.fromCharCode(...challenge)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
			const data = JSON.stringify({type: window.kind ?? 'webauthn.get', challenge: text, origin: 'https://web.whatsapp.com'});
			return {id: 'x', type: 'public-key', response: {clientDataJSON: new TextEncoder().encode(data).buffer}};
		};
		window.kind = 'webauthn.create';
	})()`)
	scan()
	b.wait(`asked.length === 2`)
	b.wait(`WPP.conn.getAuthCode()`) // a wrong answer ends the attempt
	b.do(`(() => { window.kind = undefined; })()`)
	scan()
	b.wait(ready)
}

func TestPasskeyFromThePhone(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	if err := s.client.Fault(t.Context(), phoneNumber, FaultPasskeyRequired); err != nil {
		t.Fatal(err)
	}
	b.open(s.url)
	b.wait(`WPP.conn.getAuthCode()`)
	if err := s.client.Scan(t.Context(), phoneNumber, eval[string](b, `(await WPP.conn.getAuthCode()).fullCode`)); err != nil {
		t.Fatal(err)
	}
	b.wait(`document.body.dataset.view === 'passkey'`)
	if err := s.client.Passkey(t.Context(), phoneNumber, true); err != nil {
		t.Fatal(err)
	}
	b.wait(ready)
}

func TestMoreFaultsInThePage(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{DeliveryDelay: time.Millisecond, AckDelay: 2 * time.Second})
	b := startBrowser(t, t.TempDir())
	ctx := t.Context()
	if err := s.client.PageFault(ctx, FaultNeverReady, 1); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(b.ctx, chromedp.Navigate(s.url)); err != nil {
		t.Fatal(err)
	}
	b.holds(`WPP.isReady === false && document.body.dataset.fault === 'never_ready'`)
	s.link(b) // the next load is fine
	b.watch()
	fault := func(name string) {
		t.Helper()
		if err := s.client.Fault(ctx, phoneNumber, name); err != nil {
			t.Fatal(err)
		}
	}
	fault(FaultSendFailure)
	b.holds(`(await WPP.chat.sendTextMessage('`+customerChat+`', 'refused')).sendMsgResult.messageSendResult === 'ERROR_UNKNOWN'`,
		`(await WPP.chat.getMessages('`+customerChat+`'))[0].ack === -1 && seen['chat.msg_ack_change'][0].ack === -1`)
	fault(FaultDelayedAck)
	b.do(`(() => { window.slow = WPP.chat.sendTextMessage('` + customerChat + `', 'slow'); })()`)
	s.untilOnPhone("slow")
	b.holds(`(await WPP.chat.getMessages('` + customerChat + `')).at(-1).ack === 0 && (await slow).ack >= 1`)
	fault(FaultDuplicateAck)
	b.do(`(async () => { window.twice = await WPP.chat.sendTextMessage('` + customerChat + `', 'twice'); })()`)
	b.wait(`seen['chat.msg_ack_change'].filter(({ack, ids}) => ack === 2 && ids[0].toString() === twice.id).length === 2`)
	fault(FaultOutOfOrder)
	s.write("first")
	s.write("second")
	b.sees("chat.new_message:chat:first")
	b.holds(`log.indexOf('chat.new_message:chat:second') < log.indexOf('chat.new_message:chat:first')`,
		`(await WPP.chat.getMessages('`+customerChat+`', {count: 2})).map((m) => m.body).join() === 'first,second'`)
	fault(FaultNeedsUpdate)
	b.wait(`WPP.conn.needsUpdate() && seen['conn.needs_update'].length === 1`)

	crashed := make(chan struct{})
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if _, ok := ev.(*inspector.EventTargetCrashed); ok {
			close(crashed)
		}
	}); err != nil {
		t.Fatal(err)
	}
	fault(FaultRendererCrash)
	select {
	case <-crashed:
	case <-time.After(evalTimeout):
		t.Fatal("the renderer lives")
	}
}

func (s *bench) untilOnPhone(text string) {
	s.t.Helper()
	deadline := time.Now().Add(evalTimeout)
	for {
		ms, err := s.client.Messages(s.t.Context(), phoneNumber, "")
		if err != nil {
			s.t.Fatal(err)
		}
		if len(ms) > 0 && ms[len(ms)-1].Text == text {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("never on the phone: %s", text)
		}
	}
}
