// Package wire is what both sides of the gateway, that to the clients and that to
// the slices, know of bytes on connections.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
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

// HeadEnd is what follows the last header.
var HeadEnd = []byte("\r\n\r\n")

// ParseFields reads the headers b, without what follows the last one. It takes
// only what nobody could understand in another way, in the one form that programs
// write; take, which is given each in its canonical form, says whether the header
// is to be kept and whether to go on.
func ParseFields(b []byte, take func(name, value string) (keep, goOn bool)) (h http.Header, ok bool) {
	lines, count := string(b), bytes.Count(b, HeadEnd[:2])+1
	h = make(http.Header, count)
	values := make([]string, 0, count) // all of them: one allocation
	for more := lines != ""; more; {
		var line string
		line, lines, more = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !httpguts.ValidHeaderFieldName(name) || HasControl(b[:len(line)]) {
			return nil, false
		}
		b = b[min(len(line)+2, len(b)):]
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " ")
		keep, goOn := take(name, value)
		if !goOn {
			return nil, false
		}
		if !keep {
			continue
		}
		values = append(values, value)
		if old := h[name]; old != nil {
			h[name] = append(old[:len(old):len(old)], value)
		} else {
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	return h, true
}

// ParseLength reads a Content-Length of digits only.
func ParseLength(value string) (n int64, ok bool) {
	if value == "" || value[0] == '+' {
		return 0, false
	}
	u, err := strconv.ParseUint(value, 10, 62)
	return int64(u), err == nil
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
