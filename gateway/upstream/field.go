package upstream

import (
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
