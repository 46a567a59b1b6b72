package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const stallTimeout = 10 * time.Second // without any answer

// loadResult is what a proxy did in one window.
type loadResult struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration // of the proxy's processes
	p99      time.Duration
	beside   []time.Duration // processor time of other processes that were asked for
	others   float64         // share of the processors that other programs on the machine had, from 0 to 1
}

func (r loadResult) cpuPerRequest() time.Duration { return r.cpu / time.Duration(max(r.requests, 1)) }

func (r loadResult) perSecond() float64 { return float64(r.requests) / r.elapsed.Seconds() }

// loader sends requests on kept connections, the next as soon as an answer is
// whole. It is one loop over epoll: what it costs is not taken from the proxy.
type loader struct {
	addr     netip.AddrPort
	requests [][]byte
	inARow   int // a connection sends as often what it has, then the next; 0: it never changes
	epoll    int
	conns    []*loadConn
	lost     int // connections that the proxy ended between two requests
}

type loadConn struct {
	fd      int
	request int // in loader.requests
	times   int // that it was sent in a row
	sent    time.Time
	have    int
	buf     [8 << 10]byte
}

// newLoader returns a loader whose connections each send one of the requests,
// all the time.
func newLoader(addr string, requests [][]byte) (*loader, error) {
	return newMovingLoader(addr, requests, len(requests), 0)
}

// newMovingLoader returns one whose connections, spread over the requests, go
// on to the next after they have sent one inARow times.
func newMovingLoader(addr string, requests [][]byte, conns, inARow int) (*loader, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	l := &loader{addr: to, requests: requests, inARow: inARow}
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for i := range conns {
		c := &loadConn{fd: -1, request: i * len(requests) / conns}
		l.conns = append(l.conns, c)
		if err := l.connect(c); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *loader) close() {
	for _, c := range l.conns {
		_ = syscall.Close(c.fd)
	}
	_ = syscall.Close(l.epoll)
}

// connect opens the connection anew and sends its request.
func (l *loader) connect(c *loadConn) error {
	if c.fd >= 0 {
		_ = syscall.Close(c.fd)
	}
	var err error
	if c.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := syscall.Connect(c.fd, &syscall.SockaddrInet4{Port: int(l.addr.Port()), Addr: l.addr.Addr().As4()}); err != nil {
		return fmt.Errorf("connect to %s: %w", l.addr, err)
	}
	if err := errors.Join(syscall.SetNonblock(c.fd, true), syscall.SetsockoptInt(c.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)); err != nil {
		return err
	}
	index := slices.Index(l.conns, c)
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(index)}); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return l.send(c)
}

func (l *loader) send(c *loadConn) error {
	request := l.requests[c.request]
	c.have, c.sent = 0, time.Now()
	n, err := syscall.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = errors.New("sent in part")
	}
	return err
}

// run lets the proxy warm up and then measures it; pid is its process, beside
// are others whose processor time is wanted too.
func (l *loader) run(ctx context.Context, pid int, warmUp, window time.Duration, beside ...int) (loadResult, error) {
	if _, err := l.until(ctx, time.Now().Add(warmUp)); err != nil {
		return loadResult{}, err
	}
	for range 3 {
		if res, err := l.measure(ctx, pid, window, beside...); err != nil || res.requests > 0 {
			return res, err
		}
	}
	return loadResult{}, fmt.Errorf("%s: nothing was answered in %s", l.addr, window)
}

// measure counts for one window. A machine that stands still meanwhile, as
// virtual ones do, answers nothing in it.
func (l *loader) measure(ctx context.Context, pid int, window time.Duration, beside ...int) (loadResult, error) {
	before, err := sampleCPU(pid, beside...)
	if err != nil {
		return loadResult{}, err
	}
	start := time.Now()
	took, err := l.until(ctx, start.Add(window))
	if err != nil {
		return loadResult{}, err
	}
	elapsed := time.Since(start)
	after, err := sampleCPU(pid, beside...)
	if err != nil {
		return loadResult{}, err
	}
	res := loadResult{requests: len(took), elapsed: elapsed, cpu: after.of - before.of,
		p99: percentile(took, 99), others: after.othersSince(before)}
	for i := range beside {
		res.beside = append(res.beside, after.beside[i]-before.beside[i])
	}
	return res, nil
}

// until sends requests until the time is there, and returns what each took.
func (l *loader) until(ctx context.Context, end time.Time) (took []time.Duration, err error) {
	took = make([]time.Duration, 0, 1<<17)
	err = l.answers(ctx, func() bool { return time.Now().Before(end) }, func(c *loadConn) error {
		took = append(took, time.Since(c.sent))
		if c.times++; c.times == l.inARow {
			c.request, c.times = (c.request+1)%len(l.requests), 0
		}
		return l.send(c)
	})
	return took, err
}

// drain waits for the answers that are still to come, and sends nothing more: some
// proxies never give a slice's connection back when a client leaves too early.
func (l *loader) drain(ctx context.Context) error {
	left := len(l.conns)
	return l.answers(ctx, func() bool { return left > 0 }, func(*loadConn) error { left--; return nil })
}

// answers gives whole each connection whose answer is, as long as more says so.
func (l *loader) answers(ctx context.Context, more func() bool, whole func(*loadConn) error) error {
	events := make([]syscall.EpollEvent, len(l.conns))
	for progress := time.Now(); more(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := syscall.EpollWait(l.epoll, events, 100)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		if n > 0 {
			progress = time.Now()
		} else if time.Since(progress) > stallTimeout {
			return fmt.Errorf("%s: no answer in %s", l.addr, stallTimeout)
		}
		for _, e := range events[:max(n, 0)] {
			c := l.conns[e.Fd]
			done, err := c.receive()
			switch {
			case errors.Is(err, errEnded):
				if l.lost++; l.lost > 10*len(l.conns) {
					return fmt.Errorf("%s keeps no connection open", l.addr)
				}
				err = l.connect(c)
			case err == nil && done:
				err = whole(c)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", l.addr, err)
			}
		}
	}
	return nil
}

// errEnded: the proxy ended the connection before it answered.
var errEnded = errors.New("the connection was ended")

// receive reads what there is; done when the answer is whole and right.
func (c *loadConn) receive() (done bool, err error) {
	n, err := syscall.Read(c.fd, c.buf[c.have:])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, nil
	case errors.Is(err, syscall.ECONNRESET), err == nil && n == 0:
		if c.have == 0 {
			return false, errEnded
		}
		return false, errors.New("an answer was cut off")
	case err != nil:
		return false, err
	}
	c.have += n
	got := c.buf[:c.have]
	end := bytes.Index(got, []byte("\r\n\r\n"))
	if end < 0 {
		if c.have == len(c.buf) {
			return false, errors.New("an answer has a too large header")
		}
		return false, nil
	}
	head := got[:end+2]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return false, fmt.Errorf("answered %q", got)
	}
	length := contentLength(head)
	if length != bodyBytes {
		return false, fmt.Errorf("answered with a body of %d bytes: %q", length, head)
	}
	return c.have >= end+4+length, nil
}

func contentLength(head []byte) int {
	for _, name := range []string{"\r\nContent-Length: ", "\r\ncontent-length: "} {
		if _, rest, ok := bytes.Cut(head, []byte(name)); ok {
			value, _, _ := bytes.Cut(rest, []byte("\r\n"))
			if n, err := strconv.Atoi(string(value)); err == nil {
				return n
			}
		}
	}
	return -1
}

// cpuSample is the processor time that was used so far.
type cpuSample struct {
	of         time.Duration // by the process that is measured, and its children
	beside     []time.Duration
	ours       time.Duration // by the whole benchmark
	busy, idle float64       // by all, in ticks; and by nobody
}

func sampleCPU(pid int, beside ...int) (s cpuSample, err error) {
	if s.of, err = cpuOf(pid); err != nil {
		return s, err
	}
	for _, p := range beside {
		used, err := cpuOf(p)
		if err != nil {
			return s, err
		}
		s.beside = append(s.beside, used)
	}
	if s.ours, err = cpuOf(os.Getpid()); err != nil {
		return s, err
	}
	idle, total, err := cpuTimes()
	s.idle, s.busy = idle, total-idle
	return s, err
}

// othersSince is the share of the processors that neither the benchmark had
// nor nobody.
func (s cpuSample) othersSince(before cpuSample) float64 {
	const ticksPerSecond = 100
	busy, idle := s.busy-before.busy, s.idle-before.idle
	others := busy - (s.ours-before.ours).Seconds()*ticksPerSecond
	return max(others, 0) / max(busy+idle, 1)
}
