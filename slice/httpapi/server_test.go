package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm"
)

const token = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

// recorder is a part of the CRM that notes what it is asked.
type recorder struct {
	calls []string
	panic bool
	link  link
}

func (r *recorder) note(s string) {
	r.calls = append(r.calls, s)
	if r.panic {
		panic("boom")
	}
}

// Register makes a module of it.
func (r *recorder) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/chats", func(w http.ResponseWriter, _ *http.Request) {
		r.note("chats")
		problem.WriteJSON(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /api/chats/{id}/messages", func(w http.ResponseWriter, _ *http.Request) {
		r.note("send")
		problem.WriteJSON(w, http.StatusCreated, struct{}{})
	})
}

func (r *recorder) Run(context.Context) {}

func setup(t *testing.T) (*recorder, http.Handler, *bytes.Buffer) {
	t.Helper()
	part, logged := &recorder{}, &bytes.Buffer{}
	part.link.note = part.note
	log := slog.New(slog.NewJSONHandler(logged, nil))
	hub := NewHub(viewers{}, log)
	t.Cleanup(hub.Close)
	return part, New(Config{Number: 42, Token: token, Session: &part.link, Modules: []crm.Module{part}, Hub: hub, Migrated: func() bool { return true }, Healthy: func() bool { return true }, Logger: log}), logged
}

func newRequest(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(platform.HeaderSliceNumber, "42")
	r.Header.Set(platform.HeaderSliceToken, token)
	return r
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }

func TestIdentityIsCheckedBeforeAnythingIsRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		numbers, tokens []string
		want            int
	}{
		"ours":               {[]string{"42"}, []string{token}, 201},
		"another number":     {[]string{"43"}, []string{token}, 421},
		"number written as":  {[]string{"042"}, []string{token}, 421},
		"another, no token":  {[]string{"43"}, nil, 421},
		"empty number":       {[]string{""}, []string{token}, 421},
		"no number":          {nil, []string{token}, 401},
		"two numbers":        {[]string{"42", "43"}, []string{token}, 401},
		"no token":           {[]string{"42"}, nil, 401},
		"empty token":        {[]string{"42"}, []string{""}, 401},
		"part of the token":  {[]string{"42"}, []string{token[:10]}, 401},
		"longer token":       {[]string{"42"}, []string{token + "x"}, 401},
		"two tokens, 1 ours": {[]string{"42"}, []string{token, "x"}, 401},
	} {
		part, h, _ := setup(t)
		var body io.Reader = strings.NewReader(`{"text":"hi"}`)
		if tc.want != 201 {
			body = unread{t}
		}
		r := httptest.NewRequest("POST", "/api/chats/1@c.us/messages", body)
		r.Header.Set("Content-Type", "application/json")
		r.Header[http.CanonicalHeaderKey(platform.HeaderSliceNumber)] = tc.numbers
		r.Header[http.CanonicalHeaderKey(platform.HeaderSliceToken)] = tc.tokens
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.want)
		}
		if tc.want != 201 && (len(part.calls) > 0 || w.Header().Get("Content-Type") != problem.ContentType || w.Header().Get("Connection") != "close") {
			t.Errorf("%s: calls %v, headers %v", name, part.calls, w.Header())
		}
	}
}

func TestHealthNeedsNoIdentityButOnlyWithGET(t *testing.T) {
	t.Parallel()
	_, h, _ := setup(t)
	for method, want := range map[string]int{"GET": 200, "POST": 401, "DELETE": 401} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/healthz", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
	for query, want := range map[string]int{"?wait=1ms": 200, "?wait=x": 400, "?wait=-1s": 400, "?wait=1h": 400} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz"+query, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", query, w.Code, want)
		}
	}
}

func TestHealthWaits(t *testing.T) {
	t.Parallel()
	up := time.Now().Add(50 * time.Millisecond)
	h := New(Config{Number: 42, Token: token, Logger: slog.New(slog.DiscardHandler), Hub: &Hub{}, Migrated: func() bool { return true }, Healthy: func() bool { return time.Now().After(up) }})
	for path, want := range map[string]int{"/healthz": 503, "/healthz?wait=10s": 200} {
		if path == "/healthz" {
			up = time.Now().Add(time.Minute)
		} else {
			up = time.Now().Add(50 * time.Millisecond)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestBadInputIsRefusedInOneForm(t *testing.T) {
	t.Parallel()
	const messages = "/api/chats/1@c.us/messages"
	for name, tc := range map[string]struct {
		method, path, body string
		want               int
		field              string
	}{
		"unknown address":       {"GET", "/api/nothing", ``, 404, ""},
		"root":                  {"GET", "/", ``, 404, ""},
		"method":                {"DELETE", "/api/chats", ``, 405, ""},
		"method on a chat":      {"PUT", messages, ``, 405, ""},
		"socket.io, no version": {"GET", "/socket.io/?transport=polling", ``, 400, ""},
		"socket.io, other sid":  {"GET", "/socket.io/?EIO=4&transport=polling&sid=x", ``, 400, ""},
	} {
		part, h, _ := setup(t)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest(tc.method, tc.path, tc.body))
		var d problem.Details
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: no problem details: %s", name, w.Body)
			continue
		}
		if w.Code != tc.want || d.Status != tc.want || d.Detail == "" || d.RequestID == "" || len(part.calls) > 0 {
			t.Errorf("%s: %d %+v, calls %v; want %d", name, w.Code, d, part.calls, tc.want)
		}
		if tc.field != "" && (len(d.Errors) != 1 || d.Errors[0].Field != tc.field) {
			t.Errorf("%s: fields %+v, want %s", name, d.Errors, tc.field)
		}
	}
}

func TestOneLogLinePerRequest(t *testing.T) {
	t.Parallel()
	_, h, logged := setup(t)
	r := newRequest("POST", "/api/chats/1@c.us/messages?secret=1", `{"text":"top secret"}`)
	r.Header.Set(platform.HeaderRequestID, "abc-1")
	r.Header.Set(platform.HeaderUserID, "u1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var line map[string]any
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatalf("not one line: %s", logged)
	}
	if line["request_id"] != "abc-1" || line["user_id"] != "u1" || line["status"] != 201.0 || w.Header().Get(platform.HeaderRequestID) != "abc-1" {
		t.Errorf("line %v", line)
	}
	if strings.Contains(logged.String(), "secret") || strings.Contains(logged.String(), token) {
		t.Errorf("the log tells too much: %s", logged)
	}
}

func TestPanicIsA500(t *testing.T) {
	t.Parallel()
	part, h, logged := setup(t)
	part.panic = true
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newRequest("GET", "/api/chats", ""))
	if w.Code != 500 || w.Header().Get("Content-Type") != problem.ContentType || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "boom") {
		t.Error("the panic is not logged")
	}
}
