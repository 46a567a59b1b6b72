package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ipnoelp.io/platform"
)

const (
	bodyBytes       = 1024
	socketPath      = "/socket.io/"
	socketPing      = 25 * time.Second // Engine.IO's
	maxFramePayload = 125              // bytes; the benchmark sends no longer ones
)

// runUpstream is the one program behind all proxies. To the gateway it is
// every slice at once: whoever names a slice must prove to be the gateway, as
// docs/slice-contract.md has it. Other proxies name none.
func runUpstream(addr string) error {
	key, err := platform.ParsePlatformKey(os.Getenv("PLATFORM_KEY"))
	if err != nil {
		return err
	}
	if err := raiseOpenFiles(); err != nil {
		return err
	}
	u := &upstream{key: key, plain: body(0)}
	ln, err := onLoopback.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: u, IdleTimeout: 3 * time.Minute, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.accepted.Add(1)
		}
	}}
	return server.Serve(ln)
}

// onLoopback listens on that device alone, whatever addresses are asked for:
// all of 127.0.0.0/8 is at 0.0.0.0 only.
var onLoopback = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), "lo") }), err)
}}

// acceptedPath tells how many connections were opened to the upstream.
const acceptedPath = "/accepted"

type upstream struct {
	key    []byte
	plain  []byte
	slices sync.Map // number as text → slice

	accepted atomic.Int64 // connections
}

type slice struct {
	token string
	body  []byte
}

// body is a JSON object of 1 KiB that tells which slice answered, 0 for none.
func body(number int) []byte {
	head := fmt.Sprintf(`{"slice":%d,"text":"`, number)
	return []byte(head + strings.Repeat("x", bodyBytes-len(head)-2) + `"}`)
}

var (
	jsonType   = []string{"application/json"}
	bodyLength = []string{strconv.Itoa(bodyBytes)}
)

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == acceptedPath {
		fmt.Fprint(w, u.accepted.Load())
		return
	}
	answer := u.plain
	if number := r.Header.Get(platform.HeaderSliceNumber); number != "" {
		s := u.slice(number)
		if s == nil {
			http.Error(w, "no such slice", http.StatusMisdirectedRequest)
			return
		}
		if r.Header.Get(platform.HeaderSliceToken) != s.token {
			http.Error(w, "wrong token", http.StatusUnauthorized)
			return
		}
		answer = s.body
	}
	if strings.HasPrefix(r.URL.Path, socketPath) {
		u.socket(w, r)
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = bodyLength
	w.Write(answer)
}

func (u *upstream) slice(number string) *slice {
	if s, ok := u.slices.Load(number); ok {
		return s.(*slice)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return nil
	}
	s, _ := u.slices.LoadOrStore(number, &slice{token: platform.SliceToken(u.key, n, sliceGeneration), body: body(n)})
	return s.(*slice)
}

// socket echoes what comes, and pings as a Socket.IO server does.
func (u *upstream) socket(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	var ping *time.Timer
	ping = time.AfterFunc(socketPing+rand.N(time.Second), func() {
		if _, err := conn.Write(frame(opText, false, []byte("2"))); err == nil {
			ping.Reset(socketPing)
		}
	})
	defer ping.Stop()
	in := bufio.NewReaderSize(conn, 256)
	for {
		op, payload, err := readFrame(in)
		if err != nil || op == opClose {
			return
		}
		if op != opText { // the answer to a ping is text
			if _, err := conn.Write(frame(op, false, payload)); err != nil {
				return
			}
		}
	}
}

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
)

// frame returns one whole frame; a client's has a mask, of zeros.
func frame(op byte, client bool, payload []byte) []byte {
	f := []byte{0x80 | op, byte(len(payload))}
	if client {
		f[1] |= 0x80
		f = append(f, 0, 0, 0, 0)
	}
	return append(f, payload...)
}

func readFrame(in *bufio.Reader) (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	length := int(head[1] & 0x7f)
	if length > maxFramePayload {
		return 0, nil, errors.New("a long frame")
	}
	if head[1]&0x80 != 0 {
		if _, err := in.Discard(4); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(in, payload)
	return head[0] & 0xf, payload, err
}
