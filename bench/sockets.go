package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform/gateway/auth"
)

// epoch is what the times in messages count from.
var epoch = time.Now()

// socketSet is a number of open WebSockets to one address, as browsers hold
// them: they answer pings.
type socketSet struct {
	conns []net.Conn
	open  atomic.Int64 // those that have not ended
	wg    sync.WaitGroup

	mu         sync.Mutex
	collecting bool            // guarded by mu
	took       []time.Duration // guarded by mu
}

// openSockets opens n of them, a few at a time, each session with as many as
// another.
func openSockets(ctx context.Context, addr string, tokens []string, n int) (*socketSet, error) {
	s := &socketSet{conns: make([]net.Conn, n)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range s.conns {
		g.Go(func() (err error) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.conns[i], err = openSocket(ctx, addr, tokens[i%len(tokens)])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		s.close()
		return nil, err
	}
	for _, conn := range s.conns {
		s.open.Add(1)
		s.wg.Go(func() {
			defer s.open.Add(-1)
			s.read(conn)
		})
	}
	return s, nil
}

func openSocket(ctx context.Context, addr, token string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = fmt.Fprintf(conn, "GET %s?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nOrigin: https://%[2]s\r\n"+
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: 5f0c2a9be1d84c7399a1e6f0b7d3c254\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Cookie: %s=%s\r\n\r\n", socketPath, publicHost, auth.CookieName, token)
	if err != nil {
		conn.Close()
		return nil, err
	}
	answer := make([]byte, 0, 1024)
	for len(answer) < 4 || string(answer[len(answer)-4:]) != "\r\n\r\n" { // the first ping comes much later
		n, err := conn.Read(answer[len(answer):cap(answer)])
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("handshake: %w after %q", err, answer)
		}
		answer = answer[:len(answer)+n]
	}
	if status := string(answer[:min(len(answer), 13)]); status != "HTTP/1.1 101 " {
		conn.Close()
		return nil, fmt.Errorf("handshake: %q", answer)
	}
	return conn, conn.SetDeadline(time.Time{})
}

func (s *socketSet) read(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 128)
	for {
		op, payload, err := readFrame(in)
		if err != nil || op == opClose {
			return
		}
		if op == opText { // a ping of Engine.IO
			if _, err := conn.Write(frame(opText, true, []byte("3"))); err != nil {
				return
			}
			continue
		}
		took := time.Since(epoch) - time.Duration(binary.BigEndian.Uint64(payload))
		s.mu.Lock()
		if s.collecting {
			s.took = append(s.took, took)
		}
		s.mu.Unlock()
	}
}

// collect starts to record anew, or stops, and returns what was recorded.
func (s *socketSet) collect(on bool) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.took
	s.collecting, s.took = on, nil
	return took
}

func (s *socketSet) close() {
	for _, conn := range s.conns {
		if conn != nil {
			conn.Close()
		}
	}
	s.wg.Wait()
}
