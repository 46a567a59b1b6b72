package upstream

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http/httpguts"
)

// Field is one header.
type Field struct{ Name, Value string }

// validLine refuses what would let the request's first lines end and others begin.
func validLine(req *Request, target string) error {
	if !httpguts.ValidHostHeader(req.Host) || req.Host == "" {
		return fmt.Errorf("upstream: invalid host %q", req.Host)
	}
	for i := range len(req.Method) {
		if !httpguts.IsTokenRune(rune(req.Method[i])) {
			return fmt.Errorf("upstream: invalid method %q", req.Method)
		}
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return fmt.Errorf("upstream: invalid target %q", target)
		}
	}
	return nil
}

// appendField appends a header, or refuses what would let it end and another
// begin.
func appendField(b []byte, name, value string) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return nil, fmt.Errorf("upstream: invalid header name %q", name)
	}
	b = append(b, name...)
	b = append(b, ": "...)
	from := len(b)
	b = append(b, value...)
	if hasControl(b[from:]) && !httpguts.ValidHeaderFieldValue(value) {
		return nil, fmt.Errorf("upstream: invalid value of the header %q", name)
	}
	return append(b, "\r\n"...), nil
}

// hasControl reports whether b has a control character, tab included. It looks at
// eight bytes at a time: a byte below 0x20, and only such a one, has its highest
// bit set by the subtraction where it had not before, as has DEL once it is 0.
func hasControl(b []byte) bool {
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
