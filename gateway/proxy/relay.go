package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	relayBuffer        = 8 << 10          // bytes; lent only while something is passed on
	socketWriteTimeout = 60 * time.Second // for a peer to take one piece
	closeTimeout       = time.Second      // for a peer to take the close frame
)

var relayBuffers = sync.Pool{New: func() any { return new([relayBuffer]byte) }}

// relay passes the bytes of a WebSocket on, both ways. It reads no messages;
// it follows the frames' headers only to know where a close frame of its own
// fits in. While nothing is sent it holds two small goroutines and no buffer.
type relay struct {
	client, slice *peer
	running       atomic.Int32 // directions
	closing       atomic.Bool  // closeWith ends both sides
	ended         func(bytes int64)
}

// newRelay takes over both connections. What each side sent before is passed on
// first. ended is called once both directions are over, with the bytes that
// went to the client.
func newRelay(client, slice net.Conn, ended func(bytes int64)) (*relay, error) {
	r := &relay{ended: ended}
	var err error
	if r.client, err = newPeer(client, false); err != nil {
		return nil, err
	}
	if r.slice, err = newPeer(slice, true); err != nil {
		return nil, err
	}
	r.running.Store(2)
	return r, nil
}

// greet sends the client the head of the answer, unless admit says no. From
// admit on the relay may be closed from outside: that waits for the head.
func (r *relay) greet(head []byte, admit func() bool) error {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	if !admit() {
		return net.ErrClosed
	}
	_ = r.client.SetDeadline(time.Time{}) // net/http's
	_ = r.client.SetWriteDeadline(time.Now().Add(socketWriteTimeout))
	_, err := r.client.Conn.Write(head)
	return err
}

// start begins to pass on. It returns at once.
func (r *relay) start(fromClient, fromSlice []byte) {
	go r.pass(r.slice, r.client, fromClient)
	go r.pass(r.client, r.slice, fromSlice)
}

// pass copies from src to dst until one of them ends, and then ends both.
func (r *relay) pass(dst, src *peer, early []byte) {
	_, err := dst.Write(early)
	for err == nil {
		err = src.copyTo(dst)
	}
	if !r.closing.Load() {
		r.client.Close()
		r.slice.Close()
	}
	if r.running.Add(-1) == 0 {
		r.client.mu.Lock()
		bytes := r.client.written
		r.client.mu.Unlock()
		r.ended(bytes)
	}
}

// closeWith tells both sides the code, where they are between frames, and
// closes.
func (r *relay) closeWith(code int) {
	r.closing.Store(true)
	r.client.say(code) // first: what the slice answers is not for the client
	r.slice.say(code)
	r.client.Close()
	r.slice.Close()
}

// peer is one side of a relay.
type peer struct {
	net.Conn
	raw    syscall.RawConn
	masked bool // whether frames to this side must be: RFC 6455 asks it of clients

	// Of the read under way; only copyTo touches them.
	try func(fd uintptr) bool
	buf *[relayBuffer]byte
	n   int
	err error

	mu      sync.Mutex   // one writer at a time
	frames  frameTracker // guarded by mu; of what was written
	written int64        // guarded by mu; bytes
	over    bool         // guarded by mu; nothing may follow a close frame
}

func newPeer(c net.Conn, masked bool) (*peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("relay: %T is not a socket", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	p := &peer{Conn: c, raw: raw, masked: masked}
	p.try = p.read
	return p, nil
}

// copyTo waits until something comes, and passes it on. A buffer is taken only
// once there is something to put in it.
func (p *peer) copyTo(dst *peer) error {
	if err := p.raw.Read(p.try); err != nil {
		return err
	}
	n, err := p.n, p.err
	if n > 0 {
		_, err = dst.Write(p.buf[:n])
	} else if err == nil {
		err = io.EOF
	}
	relayBuffers.Put(p.buf)
	p.buf = nil
	return err
}

// read reads without waiting; false if nothing is there.
func (p *peer) read(fd uintptr) bool {
	p.buf = relayBuffers.Get().(*[relayBuffer]byte)
	for {
		p.n, p.err = syscall.Read(int(fd), p.buf[:])
		switch {
		case errors.Is(p.err, syscall.EINTR):
			continue
		case errors.Is(p.err, syscall.EAGAIN):
			relayBuffers.Put(p.buf)
			p.buf = nil
			return false
		}
		return true
	}
}

func (p *peer) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return 0, net.ErrClosed
	}
	_ = p.SetWriteDeadline(time.Now().Add(socketWriteTimeout)) // fails when closed, as Write will
	n, err := p.Conn.Write(b)
	p.frames.advance(b[:n])
	p.written += int64(n)
	return n, err
}

// say sends a close frame as the last one, unless this side is in the middle of
// a frame.
func (p *peer) say(code int) {
	_ = p.SetWriteDeadline(time.Now().Add(closeTimeout)) // also ends a write that is stuck
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frames.between() {
		_ = p.SetWriteDeadline(time.Now().Add(closeTimeout))
		_, _ = p.Conn.Write(closeFrame(code, p.masked))
	}
	p.over = true
}

// closeFrame is FIN, opcode 8, and the code; RFC 6455, 5.5.1. A mask of zeros is
// a mask: it is there to confuse caches, not to hide.
func closeFrame(code int, masked bool) []byte {
	if masked {
		return []byte{0x88, 0x80 | 2, 0, 0, 0, 0, byte(code >> 8), byte(code)}
	}
	return []byte{0x88, 2, byte(code >> 8), byte(code)}
}

// frameTracker follows the frames that go to one side, by their headers alone,
// to know where one ends. The zero value is between frames.
type frameTracker struct {
	header  [14]byte // of the current frame, as far as it has come
	have    int      // bytes in header
	payload uint64   // bytes of the current frame still to come
}

func (t *frameTracker) between() bool { return t.have == 0 && t.payload == 0 }

func (t *frameTracker) advance(p []byte) {
	for len(p) > 0 {
		if t.payload > 0 {
			n := min(t.payload, uint64(len(p)))
			t.payload -= n
			p = p[n:]
			continue
		}
		t.header[t.have] = p[0]
		t.have++
		p = p[1:]
		if n, ok := payloadLength(t.header[:t.have]); ok {
			t.payload, t.have = n, 0
		}
	}
}

// payloadLength reads a frame's header; false while it is incomplete.
func payloadLength(h []byte) (uint64, bool) {
	if len(h) < 2 {
		return 0, false
	}
	extended := 0
	switch h[1] & 0x7f {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	mask := 0
	if h[1]&0x80 != 0 {
		mask = 4
	}
	if len(h) < 2+extended+mask {
		return 0, false
	}
	if extended == 0 {
		return uint64(h[1] & 0x7f), true
	}
	var n uint64
	for _, b := range h[2 : 2+extended] {
		n = n<<8 | uint64(b)
	}
	return n, true
}
