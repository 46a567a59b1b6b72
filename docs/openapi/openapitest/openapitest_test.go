package openapitest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// quiet takes in failures.
type quiet struct {
	testing.TB
	failed string
}

func (q *quiet) Errorf(format string, _ ...any) { q.failed = format }

func TestWrongAnswersAreFound(t *testing.T) {
	d := Slice()
	for name, tc := range map[string]struct {
		method, path, body, answer string
		status                     int
		wrong                      bool
	}{
		"right":                     {"GET", "/api/chats", "", `{"chats":[],"next_cursor":null}`, 200, false},
		"a field is missing":        {"GET", "/api/chats", "", `{"chats":[]}`, 200, true},
		"a type is wrong":           {"GET", "/api/chats", "", `{"chats":[],"next_cursor":3}`, 200, true},
		"a bad request is accepted": {"GET", "/api/chats?limit=0", "", `{"chats":[],"next_cursor":null}`, 200, true},
		"not in the document":       {"GET", "/api/nothing", "", `{}`, 200, true},
		"refused, not in it":        {"GET", "/api/nothing", "", `{}`, 404, false},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tc.status)
			w.Write([]byte(tc.answer))
		}))
		q := &quiet{TB: t}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, srv.URL+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := d.Client(q, nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		srv.Close()
		if (q.failed != "") != tc.wrong {
			t.Errorf("%s: failed %q, want %v", name, q.failed, tc.wrong)
		}
	}
}
