package downstream

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"ipnoelp.io/platform/gateway/wire"
)

// head is a request's header.
type head struct {
	method, target, host string
	url                  *url.URL
	header               http.Header
	size                 int64 // bytes of the request, its body included
	plain                bool  // a GET that nothing but its answer is asked of
	bounded              bool  // its length was said
}

// parseHead reads the header that b begins with. It takes nothing that somebody
// could understand in another way: it reports false where the header is not
// whole, and for all that is out of the ordinary or makes the end of the request
// a matter of judgement. That is for net/http.
func parseHead(b []byte) (h head, ok bool) {
	end := bytes.Index(b, wire.HeadEnd)
	if end < 0 {
		return h, false
	}
	size := end + len(wire.HeadEnd)
	b = b[:end]
	line, fields, _ := bytes.Cut(b, wire.HeadEnd[:2])
	if wire.HasControl(line) || !h.parseLine(string(line)) {
		return h, false
	}
	h.size = int64(size)
	h.plain = h.method == http.MethodGet
	h.header, ok = wire.ParseFields(fields, h.take)
	return h, ok && h.host != ""
}

// parseLine reads the first line.
func (h *head) parseLine(line string) bool {
	var ok bool
	if h.method, line, ok = strings.Cut(line, " "); !ok || !httpguts.ValidHeaderFieldName(h.method) {
		return false
	}
	h.target, line, ok = strings.Cut(line, " ")
	if !ok || line != "HTTP/1.1" || !strings.HasPrefix(h.target, "/") {
		return false
	}
	var err error
	h.url, err = url.ParseRequestURI(h.target)
	return err == nil
}

// take goes on as long as a header leaves no doubt where the request ends, and
// whose the connection is then.
func (h *head) take(name, value string) (keep, goOn bool) {
	switch name {
	case "Host":
		once := h.host == ""
		h.host = value
		return false, once && value != "" && httpguts.ValidHostHeader(value)
	case "Content-Length":
		n, ok := wire.ParseLength(value)
		if !ok || h.bounded {
			return false, false
		}
		h.size += n
		h.bounded, h.plain = true, false
	case "Connection":
		return true, strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Upgrade", "Expect", "Trailer", "Proxy-Connection":
		return false, false
	case "Te", "Pragma": // they change the request
		h.plain = false
	}
	return true, true
}
