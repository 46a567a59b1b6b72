package gateway

import (
	"strings"
	"testing"

	"ipnoelp.io/platform/docs/openapi/openapitest"
)

// document is what every answer to testBundle.call is held against.
var document = openapitest.Gateway()

func TestMain(m *testing.M) {
	// WebSockets are not for this client; they have tests of their own.
	document.Main(m, "/auth", "/admin", "/healthz", "/readyz", "/metrics", "/openapi.json", "!/admin/events", "!/auth/slice/events")
}

// described reports whether the gateway answers a path itself. What slices
// answer is in their own document.
func described(path string) bool {
	return !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/socket.io/")
}

func TestDocumentIsServed(t *testing.T) {
	b := setup(t)
	if res, body := b.call(t, "GET", "/openapi.json", "", "", nil); res.StatusCode != 200 || !strings.Contains(body, `"/auth/login"`) {
		t.Errorf("%d %.200s", res.StatusCode, body)
	}
}
