package downstream

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
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
}

var headEnd = []byte("\r\n\r\n")

// parseHead reads the header that b begins with. It takes nothing that somebody
// could understand in another way: it reports false where the header is not
// whole, and for all that is out of the ordinary or makes the end of the request
// a matter of judgement. That is for net/http.
func parseHead(b []byte) (h head, ok bool) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return h, false
	}
	lines, count := string(b[:end]), bytes.Count(b[:end], headEnd[:2])
	first, lines, _ := strings.Cut(lines, "\r\n")
	if !h.parseLine(first, b[:len(first)]) {
		return h, false
	}
	b = b[len(first)+2:]
	h.header = make(http.Header, count)
	values := make([]string, 0, count) // all of the values: one allocation
	h.size = int64(end + len(headEnd))
	h.plain = h.method == http.MethodGet
	for more := lines != ""; more; {
		var line string
		line, lines, more = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !httpguts.ValidHeaderFieldName(name) || wire.HasControl(b[:len(line)]) {
			return h, false
		}
		b = b[min(len(line)+2, len(b)):]
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " ")
		if !h.understands(name, value) {
			return h, false
		}
		if name == "Host" {
			h.host = value
			continue
		}
		values = append(values, value)
		if old := h.header[name]; old != nil {
			h.header[name] = append(old[:len(old):len(old)], value)
		} else {
			h.header[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	return h, h.host != ""
}

// parseLine reads the first line, whose bytes are b.
func (h *head) parseLine(line string, b []byte) bool {
	var ok bool
	if h.method, line, ok = strings.Cut(line, " "); !ok || !httpguts.ValidHeaderFieldName(h.method) {
		return false
	}
	h.target, line, ok = strings.Cut(line, " ")
	if !ok || line != "HTTP/1.1" || !strings.HasPrefix(h.target, "/") || wire.HasControl(b) {
		return false
	}
	var err error
	h.url, err = url.ParseRequestURI(h.target)
	return err == nil
}

// understands reports whether a header leaves no doubt where the request ends, and
// whose the connection is then.
func (h *head) understands(name, value string) bool {
	switch name {
	case "Host":
		return h.host == "" && value != "" && httpguts.ValidHostHeader(value)
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil || value[0] == '+' || h.header[name] != nil {
			return false
		}
		h.size += int64(n)
		h.plain = false
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Upgrade", "Expect", "Trailer", "Proxy-Connection":
		return false
	case "Te", "Pragma": // they change the request
		h.plain = false
	}
	return true
}
