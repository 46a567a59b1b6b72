package whatsapp

import (
	"encoding/base64"
	"image/png"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	_, ev, err := decode(`{"type":"message","chat":{"id":"4917012345@c.us","name":" Carl "},
		"message":{"id":"false_4917012345@c.us_3EB0","chat_id":"4917012345@c.us","sender_id":"4917012345:3@c.us","sender_name":"Carl",
		"type":"chat","text":"a\u0000b","ack":1,"t":1700000000}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := MessageSeen{
		Chat: Chat{ID: "4917012345@c.us", Name: "Carl", Phone: "+4917012345"},
		Message: Message{ID: "false_4917012345@c.us_3EB0", ChatID: "4917012345@c.us", SenderID: "4917012345@c.us", SenderName: "Carl",
			Type: "text", Text: "ab", Ack: 1, SentAt: time.Unix(1700000000, 0).UTC()},
	}
	if !reflect.DeepEqual(ev, want) {
		t.Errorf("got %+v\nwant %+v", ev, want)
	}
}

func TestDecodeDropsWhatIsNoMessageOfAPerson(t *testing.T) {
	t.Parallel()
	const chat = `"chat":{"id":"1@c.us"}`
	for name, raw := range map[string]string{
		"a notification":      `{"type":"message",` + chat + `,"message":{"id":"x","chat_id":"1@c.us","type":"e2e_notification","t":1}}`,
		"a status broadcast":  `{"type":"message","chat":{"id":"status@broadcast"},"message":{"id":"x","chat_id":"status@broadcast","type":"chat","t":1}}`,
		"a newsletter":        `{"type":"message","chat":{"id":"1@newsletter"},"message":{"id":"x","chat_id":"1@newsletter","type":"chat","t":1}}`,
		"another chat's":      `{"type":"message",` + chat + `,"message":{"id":"x","chat_id":"2@c.us","type":"chat","t":1}}`,
		"without an id":       `{"type":"message",` + chat + `,"message":{"chat_id":"1@c.us","type":"chat","t":1}}`,
		"an id that is not":   `{"type":"message",` + chat + `,"message":{"id":"a'b","chat_id":"1@c.us","type":"chat","t":1}}`,
		"without a time":      `{"type":"message",` + chat + `,"message":{"id":"x","chat_id":"1@c.us","type":"chat"}}`,
		"acks of nothing":     `{"type":"ack","ids":["","a b"],"ack":1}`,
		"a chat that is none": `{"type":"read","chat_id":"x"}`,
	} {
		s, ev, err := decode(raw)
		if s != nil || ev != nil || err != nil {
			t.Errorf("%s: %v, %v, %v; want nothing", name, s, ev, err)
		}
	}
	for name, raw := range map[string]string{
		"no JSON":       `{`,
		"another type":  `{"type":"exec"}`,
		"no message":    `{"type":"message"}`,
		"no snapshot":   `{"type":"snapshot"}`,
		"a wrong type":  `{"type":"ack","ids":"x"}`,
		"far too large": `{"type":"` + strings.Repeat("x", maxPayloadBytes) + `"}`,
	} {
		if s, ev, err := decode(raw); err == nil {
			t.Errorf("%s: %v, %v; want an error", name, s, ev)
		}
	}
}

func TestStateOfSnapshot(t *testing.T) {
	t.Parallel()
	linked := snapshot{Ready: true, Authenticated: true, MainReady: true, Online: true, Mode: "MAIN", Info: "NORMAL"}
	with := func(f func(*snapshot)) snapshot { s := linked; f(&s); return s }
	for name, tc := range map[string]struct {
		s    snapshot
		want State
	}{
		"nothing is known":             {snapshot{}, StateStarting},
		"linked":                       {linked, StateReady},
		"main_ready in QR mode":        {snapshot{Ready: true, MainReady: true, Online: true, Mode: "QR", QR: "2@x"}, StateQR},
		"no code yet":                  {snapshot{Ready: true, Online: true, Mode: "QR"}, StateStarting},
		"logged out, no code yet":      {snapshot{Ready: true, Online: true, Mode: "QR", Logout: "x"}, StateLoggedOut},
		"history is loaded":            {with(func(s *snapshot) { s.Mode = "SYNCING" }), StateSyncing},
		"main, but not ready":          {with(func(s *snapshot) { s.MainReady = false }), StateSyncing},
		"no connection":                {with(func(s *snapshot) { s.Online = false }), StateOffline},
		"stream says offline":          {with(func(s *snapshot) { s.Info = "OFFLINE" }), StateOffline},
		"opened elsewhere":             {with(func(s *snapshot) { s.Mode = "CONFLICT" }), StateConflict},
		"terms to accept":              {with(func(s *snapshot) { s.Mode = "TOS_BLOCK" }), StateFailed},
		"too old":                      {with(func(s *snapshot) { s.Mode = "DEPRECATED_VERSION" }), StateFailed},
		"update offered, works so far": {with(func(s *snapshot) { s.NeedsUpdate = true }), StateReady},
	} {
		got, reason := tc.s.state()
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if (got == StateFailed || got == StateOffline || got == StateConflict) && reason == "" {
			t.Errorf("%s: no reason", name)
		}
	}
}

func TestStaleQR(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fresh := snapshot{Ready: true, QR: "2@x", QRAt: float64(now.UnixMilli())}
	if fresh.stale(now) {
		t.Error("a fresh code is stale")
	}
	idle := fresh
	idle.QRIdle = true
	if !idle.stale(now) || !fresh.stale(now.Add(qrOverdue+time.Second)) {
		t.Error("an idle or overdue code is not stale")
	}
	if (snapshot{Ready: true, Authenticated: true}).stale(now) {
		t.Error("a linked session needs no code")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"4915112345678@c.us": true, "123@lid": true, "123-456@g.us": true, "120363000000000000@g.us": true,
		"": false, "@c.us": false, "status@broadcast": false, "1@newsletter": false, "1@c.us\n": false,
		"../1@c.us": false, "1@C.US": false, strings.Repeat("1", 300) + "@c.us": false,
	} {
		if ValidChatID(id) != want {
			t.Errorf("ValidChatID(%q) is %v", id, !want)
		}
	}
	for in, want := range map[string]string{"49151:12@c.us": "49151@c.us", "49151@s.whatsapp.net": "49151@c.us", "1:2@lid": "1@lid"} {
		if got := userID(in); got != want {
			t.Errorf("userID(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"49151@c.us": "+49151", "1@lid": "", "1@g.us": "", "x@c.us": ""} {
		if got := phoneOf(in); got != want {
			t.Errorf("phoneOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestQRImage(t *testing.T) {
	t.Parallel()
	uri, err := qrImage("2@" + strings.Repeat("abc+/=", 40))
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := strings.CutPrefix(uri, "data:image/png;base64,")
	if !ok {
		t.Fatalf("no data URI: %.40s", uri)
	}
	img, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	light := func(module int) bool {
		at := module*qrModulePixels + qrModulePixels/2
		r, _, _, _ := img.At(at, at).RGBA()
		return r != 0
	}
	if !light(0) || !light(qrQuietModules-1) || light(qrQuietModules) {
		t.Error("the quiet zone is not where it belongs")
	}
}

func TestAgentCallQuotesItsArguments(t *testing.T) {
	t.Parallel()
	got, err := agentCall("send", "1@c.us", "\"); alert(1); </script>\u2028", 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := `window.__slice ? window.__slice.call("send",["1@c.us","\"); alert(1); \u003c/script\u003e\u2028",3]) : null`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProfileLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/profile"
	unlock, err := lockProfile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockProfile(dir); err == nil {
		t.Error("locked twice")
	}
	unlock()
	again, err := lockProfile(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
