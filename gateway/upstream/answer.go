package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"

	"ipnoelp.io/platform/gateway/wire"
)

// plainAnswer returns the answer that br begins with, if it is one as almost all
// are: its header whole, and a length of the body. It takes nothing that somebody
// could understand in another way: it returns nil, and has read nothing, for what
// is http.ReadResponse's to judge.
func plainAnswer(br *bufio.Reader, req *http.Request) *http.Response {
	if req.Method == http.MethodHead {
		return nil
	}
	b, _ := br.Peek(br.Buffered()) // it is there
	end := bytes.Index(b, wire.HeadEnd)
	if end < 0 {
		return nil
	}
	line, fields, _ := bytes.Cut(b[:end], wire.HeadEnd[:2])
	const before, after = "HTTP/1.1 ", "HTTP/1.1 200 "
	if len(line) < len(after) || string(line[:len(before)]) != before || line[len(after)-1] != ' ' || wire.HasControl(line) {
		return nil
	}
	status := 0
	for _, c := range line[len(before) : len(after)-1] {
		if c < '0' || c > '9' {
			return nil
		}
		status = 10*status + int(c-'0')
	}
	if status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	length := int64(-1)
	header, ok := wire.ParseFields(fields, func(name, value string) (keep, goOn bool) {
		switch name {
		case "Content-Length":
			n, ok := wire.ParseLength(value)
			once := length < 0
			length = n
			return true, ok && once
		case "Connection", "Transfer-Encoding", "Trailer", "Upgrade", "Pragma":
			return false, false
		}
		return true, true
	})
	if !ok || length < 0 {
		return nil
	}
	res := &http.Response{
		Status: string(line[len(before):]), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: length, Body: http.NoBody, Request: req,
	}
	_, _ = br.Discard(end + len(wire.HeadEnd)) // it is there
	if length > 0 {
		res.Body = &boundedBody{br: br, left: length}
	}
	return res
}

// boundedBody is a body of known length.
type boundedBody struct {
	br   *bufio.Reader
	left int64
}

func (b *boundedBody) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err = b.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *boundedBody) Close() error { return nil } // answerBody's
