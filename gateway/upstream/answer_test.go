package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"testing"
)

// What is read here, net/http reads in the same way, to the same byte.
func FuzzPlainAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 404 Not Found\r\ncontent-length:0\r\nA: b\r\na: c\r\n\r\nmore",
		"HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nhello", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(s))
	}
	req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, "http://x/", http.NoBody)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := bufio.NewReaderSize(bytes.NewReader(b), 16<<10), bufio.NewReaderSize(bytes.NewReader(b), 16<<10)
		_, _ = ours.Peek(1)
		got := plainAnswer(ours, req)
		if got == nil {
			if rest, _ := io.ReadAll(ours); !bytes.Equal(rest, b) {
				t.Fatalf("%q: not taken, and only %q is left", b, rest)
			}
			return
		}
		want, err := http.ReadResponse(theirs, req)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		gotBody, gotErr := io.ReadAll(got.Body)
		wantBody, wantErr := io.ReadAll(want.Body)
		if !bytes.Equal(gotBody, wantBody) || !errors.Is(gotErr, wantErr) {
			t.Errorf("%q: body %q, %v; net/http reads %q, %v", b, gotBody, gotErr, wantBody, wantErr)
		}
		if ours.Buffered() != theirs.Buffered() {
			t.Errorf("%q: %d bytes are left, by net/http %d", b, ours.Buffered(), theirs.Buffered())
		}
		got.Body, want.Body = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v, by net/http as %+v", b, got, want)
		}
	})
}
