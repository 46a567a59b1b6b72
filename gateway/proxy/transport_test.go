package proxy

import (
	"testing"
	"time"

	"ipnoelp.io/platform/gateway/upstream"
)

// What the design fixes, written down a second time.
func TestTransportsAreAsDesigned(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	tr := newTransports(headerTimeout)
	defer tr.close()
	rest := tr.rest
	if rest.Proxy != nil || !rest.DisableCompression || rest.MaxIdleConnsPerHost != 32 || rest.MaxIdleConns != 12_288 || rest.IdleConnTimeout != 90*time.Second ||
		rest.ResponseHeaderTimeout != time.Minute || rest.ExpectContinueTimeout != time.Second || tr.piece != time.Minute || rest.MaxResponseHeaderBytes != 64<<10 {
		t.Errorf("rest: %+v", rest)
	}
	want := upstream.Options{
		DialTimeout: 3 * time.Second, HeaderTimeout: time.Minute, BodyTimeout: time.Minute,
		IdleTimeout: 90 * time.Second, IdlePerHost: 32, IdleTotal: 12_288, MaxHeaderBytes: 64 << 10, MaxBody: 64 << 10,
	}
	if tr.quick.Options != want {
		t.Errorf("quick: %+v", tr.quick.Options)
	}
	if dialTimeout != 3*time.Second || writeTimeout != time.Minute || maxBody != 64<<20 {
		t.Errorf("dial %s, write %s, body %d", dialTimeout, writeTimeout, maxBody)
	}
}
