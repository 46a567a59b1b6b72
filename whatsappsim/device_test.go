package whatsappsim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestCodesRotateAndGoIdle(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{QRLifetime: 20 * time.Millisecond, QRRotations: 3})
	d := s.dial(t)
	d.send(frame{"type": "hello", "keys": testKeys()})
	keys := strings.Join(testKeys(), ",")
	var first string
	seen := map[string]bool{}
	for {
		f, err := d.read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == "idle" {
			break
		}
		if first == "" {
			first = f.Ref
		}
		seen[f.Ref] = true
	}
	if len(seen) != 3 || !strings.HasPrefix(first, "2@") {
		t.Errorf("codes before idle: %v", seen)
	}
	for ref := range seen {
		refused(t, s.client.Scan(t.Context(), testPhone, ref+","+keys), 404)
	}
	d.send(frame{"type": "refresh"})
	ref := d.next("ref").Ref
	if seen[ref] {
		t.Error("a code came twice")
	}
	refused(t, s.client.Scan(t.Context(), testPhone, ref+",AAAA,BBBB,CCCC"), 404)
}

func TestScanLinksOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	d := s.dial(t)
	d.send(frame{"type": "hello", "keys": testKeys()})
	code := d.next("ref").Ref + "," + strings.Join(testKeys(), ",")
	if s.linked(t) {
		t.Error("linked before the scan")
	}
	if err := s.client.Scan(t.Context(), testPhone, "\n"+code+" "); err != nil {
		t.Fatal(err)
	}
	refused(t, s.client.Scan(t.Context(), testPhone, code), 404)
	if !s.linked(t) {
		t.Error("not linked after the scan")
	}
}

func TestMessagesBothWays(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{DeliveryDelay: time.Millisecond})
	d := s.link(t)
	id := s.write(t, "hello")
	up := d.next("update").Update
	if len(up.Messages) != 1 || up.Messages[0].ID != id || up.Messages[0].FromMe || len(up.Chats) != 1 || up.Chats[0].Unread != 1 {
		t.Errorf("incoming: %+v", up)
	}
	for range 2 { // a repeated request does nothing new
		d.send(frame{"type": "send", "n": 7, "chat": testChat, "key": "3EB0BBBBBBBBBBBBBBBB", "text": "hi"})
		if f := d.next("result"); f.N != 7 || f.Message == nil || f.Message.ID != "true_"+testChat+"_3EB0BBBBBBBBBBBBBBBB" || f.Message.Ack < ackSent {
			t.Errorf("result: %+v", f)
		}
	}
	acked := func(ack int) func() bool {
		return func() bool {
			ms, err := s.client.Messages(t.Context(), testPhone, testChat)
			return err == nil && len(ms) == 2 && ms[1].FromMe && ms[1].Ack == ack
		}
	}
	s.until(t, "delivered", acked(ackDelivered))
	if err := s.client.CustomerReads(t.Context(), testPhone, testChat); err != nil {
		t.Fatal(err)
	}
	s.until(t, "read", acked(ackRead))
	d.send(frame{"type": "read", "n": 8, "chat": testChat})
	d.next("result")
	if ms, err := s.client.Messages(t.Context(), testPhone, testChat); err != nil || ms[0].Ack != ackRead {
		t.Errorf("the customer does not see that it was read: %+v, %v", ms, err)
	}
	for name, f := range map[string]frame{
		"invalid_chat": {"type": "send", "n": 9, "chat": "x", "key": "3EB0CCCCCCCCCCCCCCCC", "text": "x"},
		"invalid_key":  {"type": "send", "n": 9, "chat": testChat, "key": "<script>", "text": "x"},
		"invalid_text": {"type": "send", "n": 9, "chat": testChat, "key": "3EB0CCCCCCCCCCCCCCCC", "text": ""},
	} {
		d.send(f)
		if r := d.next("result"); r.Error != name {
			t.Errorf("want %s: %+v", name, r)
		}
	}
}

func TestOfflineMessagesComeOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	s.write(t, "one")
	d := s.link(t)
	s.write(t, "two")
	cursor := d.next("update").Update.Cursor
	d.close()
	for i := range maxUpdateItems + 5 { // more than one update holds
		s.write(t, fmt.Sprint("offline ", i))
	}
	again := s.dial(t)
	again.send(frame{"type": "hello", "credential": d.credential, "cursor": cursor})
	seen := map[string]bool{}
	for done := false; !done; {
		f, err := again.read()
		if err != nil {
			t.Fatal(err)
		}
		done = f.Type == "synced"
		if f.Update == nil {
			continue
		}
		for _, m := range f.Update.Messages {
			if seen[m.ID] || !strings.HasPrefix(m.Text, "offline") {
				t.Fatalf("unexpected: %+v", m)
			}
			seen[m.ID] = true
		}
	}
	if len(seen) != maxUpdateItems+5 {
		t.Errorf("%d messages", len(seen))
	}
}

func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	if _, err := s.client.CreateAccount(t.Context(), "33612345678", "Zoé"); err != nil {
		t.Fatal(err)
	}
	d := s.link(t)
	if _, err := s.client.CustomerWrites(t.Context(), "33612345678", testCustomer, "Carl", "for Zoé only"); err != nil {
		t.Fatal(err)
	}
	s.write(t, "for Ana")
	if up := d.next("update").Update; len(up.Messages) != 1 || up.Messages[0].Text != "for Ana" {
		t.Errorf("got %+v", up)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	online, offline := s.link(t), s.link(t)
	offline.close()
	if err := s.client.Logout(t.Context(), testPhone); err != nil {
		t.Fatal(err)
	}
	online.next("logged_out")
	online.ends(websocket.StatusNormalClosure)
	if s.linked(t) {
		t.Error("still linked")
	}
	for _, credential := range []string{offline.credential, "nonsense"} {
		d := s.dial(t)
		d.send(frame{"type": "hello", "credential": credential})
		if f, err := d.read(); err != nil || f.Type != "logged_out" {
			t.Errorf("hello with a dead credential: %+v, %v", f, err)
		}
	}
	self := s.link(t)
	self.send(frame{"type": "logout", "n": 1})
	self.next("logged_out")
}

func TestDeviceLimit(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	devices := make([]*testDevice, maxDevicesPerAccount)
	for i := range devices {
		devices[i] = s.link(t)
	}
	d := s.dial(t)
	d.send(frame{"type": "hello", "keys": testKeys()})
	code := d.next("ref").Ref + "," + strings.Join(testKeys(), ",")
	refused(t, s.client.Scan(t.Context(), testPhone, code), 409)
	devices[1].close() // the only one offline gives way
	s.until(t, "the scan succeeds", func() bool { return s.client.Scan(t.Context(), testPhone, code) == nil })
	d.next("synced")
	gone := s.dial(t)
	gone.send(frame{"type": "hello", "credential": devices[1].credential})
	gone.next("logged_out")
}

func TestProtocolErrorsEndTheConnection(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	for name, f := range map[string]frame{
		"no hello":   {"type": "send"},
		"no keys":    {"type": "hello"},
		"short keys": {"type": "hello", "keys": []string{"AA==", "AA==", "AA=="}},
	} {
		t.Run(name, func(t *testing.T) {
			d := s.dial(t)
			d.send(f)
			d.ends(websocket.StatusPolicyViolation)
		})
	}
	t.Run("not JSON", func(t *testing.T) {
		d := s.dial(t)
		if err := d.ws.Write(t.Context(), websocket.MessageText, []byte("{")); err != nil {
			t.Fatal(err)
		}
		d.ends(websocket.StatusInvalidFramePayloadData)
	})
	t.Run("unknown request", func(t *testing.T) {
		d := s.link(t)
		d.send(frame{"type": "explode"})
		d.ends(websocket.StatusPolicyViolation)
	})
	t.Run("another origin", func(t *testing.T) {
		_, resp, err := websocket.Dial(t.Context(), s.url+"/device", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("accepted: %v %v", resp, err)
		}
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	d := s.link(t)
	fault := func(name string) {
		t.Helper()
		if err := s.client.Fault(t.Context(), testPhone, name); err != nil {
			t.Fatal(err)
		}
	}
	fault(FaultDoubleNewMessage)
	fault(FaultSilentMessage)
	fault(FaultLIDContact)
	for _, want := range []string{FaultDoubleNewMessage, FaultSilentMessage, FaultLIDContact, ""} {
		s.write(t, "x")
		up := d.next("update").Update
		if len(up.Messages) != 1 || up.Messages[0].Fault != want || strings.HasSuffix(up.Messages[0].Chat, "@lid") != (want == FaultLIDContact) {
			t.Errorf("want fault %q: %+v", want, up)
		}
	}
	fault(FaultConflict)
	if f := d.next("fault"); f.Fault != FaultConflict {
		t.Errorf("%+v", f)
	}
	fault(FaultDisconnect)
	d.ends(websocket.StatusNormalClosure)
}

func TestPhoneEvents(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	stream := func(last string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/control/accounts/"+testPhone+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return bufio.NewScanner(resp.Body)
	}
	next := func(events *bufio.Scanner) (id string, e phoneEvent) {
		t.Helper()
		for events.Scan() {
			if v, ok := strings.CutPrefix(events.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(events.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(v), &e); err != nil {
					t.Fatal(err)
				}
				return id, e
			}
		}
		t.Fatalf("the stream ended: %v", events.Err())
		return "", e
	}
	events := stream("")
	if _, e := next(events); e.Account.Name != "Ana's Bakery" || len(e.Messages) != 0 {
		t.Errorf("first event: %+v", e)
	}
	s.write(t, "one\ndata: two")
	id, e := next(events)
	if len(e.Messages) != 1 || e.Messages[0].Text != "one\ndata: two" {
		t.Errorf("second event: %+v", e)
	}
	s.write(t, "three")
	if _, e := next(stream(id)); len(e.Messages) != 1 || e.Messages[0].Text != "three" {
		t.Errorf("resumed: %+v", e)
	}
}

func TestOldMessagesAreForgotten(t *testing.T) {
	t.Parallel()
	a := newAccount(testPhone, "Ana", time.Now())
	now := time.Now()
	for i := range defaultMessagesPerAccount + 3 {
		a.add(&message{ID: fmt.Sprint(i)}, now)
	}
	if len(a.Messages) != defaultMessagesPerAccount || len(a.byID) != defaultMessagesPerAccount || a.Messages[0].ID != "3" {
		t.Errorf("%d messages, %d ids, first %s", len(a.Messages), len(a.byID), a.Messages[0].ID)
	}
}
