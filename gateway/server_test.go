package gateway

import (
	"net"
	"testing"
	"time"
)

// What the design fixes, written down a second time.
func TestServerIsAsDesigned(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, clients := setup(t).newServer(ln)
	defer clients.Close()
	if srv.ReadHeaderTimeout != 10*time.Second || srv.IdleTimeout != 180*time.Second || srv.MaxHeaderBytes != 16<<10 || srv.WriteTimeout != 0 || srv.ReadTimeout != 0 {
		t.Errorf("header %s, idle %s, %d bytes, write %s, read %s", srv.ReadHeaderTimeout, srv.IdleTimeout, srv.MaxHeaderBytes, srv.WriteTimeout, srv.ReadTimeout)
	}
	if drainSpread != 25*time.Second || ownWriteTimeout != time.Minute {
		t.Errorf("drain over %s, own answers %s", drainSpread, ownWriteTimeout)
	}
}
