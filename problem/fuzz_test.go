package problem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// Any body is either the value it says, or a problem that says why not; what
// answers it is well-formed, and never the body's own text beyond field names.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{"email":"a@b.c","password":"x"}`, `{"email":1}`, `{"email":null}`, `{}`, `[]`, `null`, `"x"`, ``, `{`, `{"email":"a"} {}`, `{"email":"a"}x`,
		`{"unknown":1}`, `{"a\"b":1}`, "{\"\x00\":1}", "\xff", `{"email":"` + strings.Repeat("x", 2000) + `"}`, `{"email":"\ud800"}`, `{"email":{"email":{}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		w.Header().Set(platform.HeaderRequestID, "0123456789abcdef")
		var in platform.Credentials
		err := problem.DecodeJSON(w, r, 1<<10, &in)
		if err == nil {
			if len(body) > 1<<10 || !json.Valid([]byte(body)) || !strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "{") {
				t.Fatalf("accepted %q", body)
			}
			return
		}
		problem.Write(w, err)
		var d problem.Details
		if jsonErr := json.Unmarshal(w.Body.Bytes(), &d); jsonErr != nil || d.Status != w.Code || d.RequestID != "0123456789abcdef" || d.Detail == "" || !utf8.Valid(w.Body.Bytes()) {
			t.Errorf("%q: answer %d %q, %v", body, w.Code, w.Body, jsonErr)
		}
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%q: status %d", body, w.Code)
		}
	})
}
