package whatsappsim

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/problem"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	post := func() *http.Response {
		resp, err := http.Post(s.url+"/control/accounts", "application/json", strings.NewReader(`{"phone":"33612345678","name":" Zoé "}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := post(); resp.StatusCode != http.StatusCreated {
		t.Errorf("first: %s", resp.Status)
	}
	if resp := post(); resp.StatusCode != http.StatusOK {
		t.Errorf("again: %s", resp.Status)
	}
	got, err := s.client.Accounts(t.Context())
	want := []AccountInfo{{Phone: "33612345678", Name: "Zoé"}, {Phone: testPhone, Name: "Ana's Bakery"}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("accounts: %+v, %v", got, err)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	s.write(t, "hello")
	account := "/control/accounts/" + testPhone
	long := strings.Repeat("x", maxTextBytes+1)
	tests := []struct {
		name, method, path, body string
		status                   int
		field                    string
	}{
		{"malformed", "POST", "/control/accounts", `{"phone":`, 400, ""},
		{"empty", "POST", "/control/accounts", ``, 400, ""},
		{"not an object", "POST", "/control/accounts", `[]`, 400, ""},
		{"wrong type", "POST", "/control/accounts", `{"phone":49,"name":"A"}`, 400, "phone"},
		{"unknown field", "POST", "/control/accounts", `{"phone":"4915112345","name":"A","x":1}`, 400, "x"},
		{"two values", "POST", "/control/accounts", `{"phone":"4915112345","name":"A"}{}`, 400, ""},
		{"missing phone", "POST", "/control/accounts", `{"name":"A"}`, 400, "phone"},
		{"phone with plus", "POST", "/control/accounts", `{"phone":"+4915112345","name":"A"}`, 400, "phone"},
		{"missing name", "POST", "/control/accounts", `{"phone":"4915112345"}`, 400, "name"},
		{"name with newline", "POST", "/control/accounts", `{"phone":"4915112345","name":"A\nB"}`, 400, "name"},
		{"name too long", "POST", "/control/accounts", `{"phone":"4915112345","name":"` + strings.Repeat("é", 101) + `"}`, 400, "name"},
		{"body too large", "POST", "/control/accounts", `{"phone":"` + strings.Repeat("1", maxControlBody) + `"}`, 413, ""},
		{"scan on no account", "POST", "/control/accounts/491110000000/scan", `{"qr":"2@x,a,b,c"}`, 404, ""},
		{"scan nothing", "POST", account + "/scan", `{}`, 400, "qr"},
		{"scan something else", "POST", account + "/scan", `{"qr":"https://example.com"}`, 404, ""},
		{"scan too long", "POST", account + "/scan", `{"qr":"` + strings.Repeat("x", maxQRBytes+1) + `"}`, 400, "qr"},
		{"no text", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":" "}`, 400, "text"},
		{"text too long", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":"` + long + `"}`, 400, "text"},
		{"text with NUL", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":"a\u0000"}`, 400, "text"},
		{"bad from", "POST", account + "/messages", `{"from":"12","from_name":"Carl","text":"x"}`, 400, "from"},
		{"from oneself", "POST", account + "/messages", `{"from":"` + testPhone + `","from_name":"Carl","text":"x"}`, 400, "from"},
		{"write to no account", "POST", "/control/accounts/491110000000/messages", `{"from":"4917012345","from_name":"Carl","text":"x"}`, 404, ""},
		{"read without chat", "POST", account + "/read", `{}`, 400, "chat"},
		{"read a bad chat", "POST", account + "/read", `{"chat":"carl"}`, 400, "chat"},
		{"read no chat", "POST", account + "/read", `{"chat":"4900000000@c.us"}`, 404, ""},
		{"messages of a bad chat", "GET", account + "/messages?chat=x", ``, 400, "chat"},
		{"unknown parameter", "GET", account + "/messages?chats=x", ``, 400, "chats"},
		{"write into no group", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":"x","group":"120363000000000000@g.us"}`, 404, ""},
		{"write into what is no group", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":"x","group":"4917012345@c.us"}`, 400, "group"},
		{"quote nothing", "POST", account + "/messages", `{"from":"4917012345","from_name":"Carl","text":"x","quoted":"false_1_2"}`, 404, ""},
		{"file without a type", "POST", account + "/files?from=4917012345&from_name=Carl", `x`, 400, "type"},
		{"file of a wrong type", "POST", account + "/files?from=4917012345&from_name=Carl&type=poem", `x`, 400, "type"},
		{"file with an unknown parameter", "POST", account + "/files?typ=image", `x`, 400, "typ"},
		{"file with a bad length", "POST", account + "/files?from=4917012345&from_name=Carl&type=ptt&seconds=-1", `x`, 400, "seconds"},
		{"file with a bad flag", "POST", account + "/files?from=4917012345&from_name=Carl&type=image&lid=maybe", `x`, 400, "lid"},
		{"file with a long name", "POST", account + "/files?from=4917012345&from_name=Carl&type=image&name=" + strings.Repeat("x", 256), `x`, 400, "name"},
		{"empty file", "POST", account + "/files?from=4917012345&from_name=Carl&type=document", ``, 400, ""},
		{"file from nobody", "POST", account + "/files?from_name=Carl&type=document", `x`, 400, "from"},
		{"file of no message", "GET", account + "/files?message=false_x", ``, 404, ""},
		{"file of nothing", "GET", account + "/files", ``, 400, "message"},
		{"edit no message", "POST", account + "/edits", `{"message":"false_x","text":"y"}`, 404, ""},
		{"edit nothing", "POST", account + "/edits", `{"text":"y"}`, 400, "message"},
		{"delete no message", "POST", account + "/deletions", `{"message":"false_x"}`, 404, ""},
		{"react with a text", "POST", account + "/reactions", `{"message":"x","from":"4917012345","emoji":"<b>"}`, 400, "emoji"},
		{"react to no message", "POST", account + "/reactions", `{"message":"x","from":"4917012345","emoji":"👍"}`, 404, ""},
		{"type in no chat", "POST", account + "/typing", `{"chat":"4900000000@c.us","from":"4900000000","typing":true}`, 404, ""},
		{"type in another's chat", "POST", account + "/typing", `{"chat":"4917012345@c.us","from":"4900000000","typing":true}`, 400, "from"},
		{"play no message", "POST", account + "/plays", `{"message":"x"}`, 404, ""},
		{"group without members", "POST", account + "/groups", `{"name":"G","members":[]}`, 400, "members"},
		{"group without a name", "POST", account + "/groups", `{"members":[{"phone":"4917012345","name":"C"}]}`, 400, "name"},
		{"group with a member twice", "POST", account + "/groups", `{"name":"G","members":[{"phone":"4917012345","name":"C"},{"phone":"4917012345","name":"C"}]}`, 400, "members[1].phone"},
		{"phone writes to nobody", "POST", account + "/phone/messages", `{"chat":"4900000000@c.us","text":"x"}`, 404, ""},
		{"phone reads nothing", "POST", account + "/phone/read", `{}`, 400, "chat"},
		{"no pairing code", "POST", account + "/link-code", `{"code":" "}`, 400, "code"},
		{"unknown pairing code", "POST", account + "/link-code", `{"code":"AAAA-AAAA"}`, 404, ""},
		{"passkey for nobody", "POST", account + "/passkey", `{"pass":true}`, 404, ""},
		{"populate with nothing", "POST", account + "/populate", `{"chats":0,"messages":0}`, 400, ""},
		{"fault too often", "POST", account + "/faults", `{"fault":"send_failure","count":101}`, 400, "count"},
		{"unknown page fault", "POST", "/control/faults", `{"fault":"fire"}`, 400, "fault"},
		{"device file without a login", "GET", "/device/files/00", ``, 401, ""},
		{"upload without a login", "POST", "/device/files", `x`, 401, ""},
		{"no such picture", "GET", "/pictures/x.png", ``, 404, ""},
		{"unknown fault", "POST", account + "/faults", `{"fault":"fire"}`, 400, "fault"},
		{"events of no account", "GET", "/control/accounts/491110000000/events", ``, 404, ""},
		{"log out no account", "POST", "/control/accounts/x/logout", ``, 404, ""},
		{"no such path", "GET", "/control/nothing", ``, 404, ""},
		{"no such asset", "GET", "/assets/nothing.js", ``, 404, ""},
		{"page as an asset", "GET", "/assets/index.html", ``, 404, ""},
		{"wrong method", "DELETE", "/control/accounts", ``, 405, ""},
		{"nothing to draw", "GET", "/qr.png", ``, 400, "text"},
		{"too much to draw", "GET", "/qr.png?text=" + strings.Repeat("x", maxQRBytes+1), ``, 400, "text"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, s.url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			var d problem.Details
			if err := json.Unmarshal(body, &d); err != nil || resp.Header.Get("Content-Type") != problem.ContentType {
				t.Fatalf("%s %s: %s", resp.Status, resp.Header.Get("Content-Type"), body)
			}
			if resp.StatusCode != test.status || d.Status != test.status || d.Detail == "" {
				t.Errorf("%d %+v, want %d", resp.StatusCode, d, test.status)
			}
			if test.field != "" && (len(d.Errors) != 1 || d.Errors[0].Field != test.field) {
				t.Errorf("errors %+v, want one of %q", d.Errors, test.field)
			}
		})
	}
	resp, err := http.Post(s.url+"/control/accounts", "text/plain", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("content type: %s", resp.Status)
	}
	accounts, err := s.client.Accounts(t.Context())
	ms, merr := s.client.Messages(t.Context(), testPhone, "")
	if err != nil || merr != nil || len(accounts) != 1 || len(ms) != 1 {
		t.Errorf("bad input changed something: %v %v %v %v", accounts, ms, err, merr)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/phone": "text/html; charset=utf-8", "/assets/wpp.js": "text/javascript; charset=utf-8",
		"/assets/style.css": "text/css; charset=utf-8", "/qr.png?text=x": "image/png", "/healthz": "application/json; charset=utf-8",
	} {
		resp, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %v", path, resp.Status, resp.Header)
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first := setup(t, Config{StateFile: file, DeliveryDelay: time.Hour})
	d := first.link(t)
	d.send(frame{"type": "send", "n": 1, "chat": testChat, "key": "3EB0AAAAAAAAAAAAAAAA", "text": "on its way"})
	d.next("result")
	credential := d.credential
	d.close()
	id := first.write(t, "hello")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}

	second := setup(t, Config{StateFile: file, DeliveryDelay: time.Millisecond})
	d = second.dial(t)
	d.send(frame{"type": "hello", "credential": credential, "cursor": 0})
	d.next("welcome")
	up := d.next("synced").Update
	if len(up.Chats) != 1 || len(up.Messages) != 2 || up.Messages[1].ID != id && up.Messages[0].ID != id {
		t.Errorf("after the restart: %+v", up)
	}
	second.until(t, "the message is delivered", func() bool {
		ms, err := second.client.Messages(t.Context(), testPhone, testChat)
		return err == nil && len(ms) == 2 && ms[0].Ack == ackDelivered
	})
}

func TestDamagedStateIsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"not JSON": "{", "another version": `{"version":99}`, "an account that is null": `{"version":1,"accounts":{"1":null}}`,
	} {
		file := filepath.Join(t.TempDir(), "state.json")
		writeFile(t, file, content)
		if s, err := New(Config{StateFile: file}); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if s, err := New(Config{StateFile: "/nonexistent/state.json"}); err == nil {
		s.Close()
		t.Error("a file that cannot be written: accepted")
	}
	if s, err := New(Config{QRLifetime: -1}); err == nil {
		s.Close()
		t.Error("a negative lifetime: accepted")
	}
}
