// Package wire is what both sides of the gateway, that to the clients and that to
// the slices, know of bytes on connections.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/net/http/httpguts"
)

// AppendField appends a header, or refuses what would let it end and another
// begin.
func AppendField(b []byte, name, value string) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return nil, fmt.Errorf("invalid header name %q", name)
	}
	b = append(b, name...)
	b = append(b, ": "...)
	from := len(b)
	b = append(b, value...)
	if HasControl(b[from:]) && !httpguts.ValidHeaderFieldValue(value) {
		return nil, fmt.Errorf("invalid value of the header %q", name)
	}
	return append(b, "\r\n"...), nil
}

// HasControl reports whether b has a control character, tab included. It looks at
// eight bytes at a time: a byte below 0x20, and only such a one, has its highest
// bit set by the subtraction where it had not before, as has DEL once it is 0.
func HasControl(b []byte) bool {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	var found uint64
	for ; len(b) >= 8; b = b[8:] {
		eight := binary.LittleEndian.Uint64(b)
		del := eight ^ 0x7f*ones
		found |= (eight-0x20*ones)&^eight | (del-ones)&^del
	}
	if found&highest != 0 {
		return true
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// ReadNow reads what is there. The error is EAGAIN if nothing is.
func ReadNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
