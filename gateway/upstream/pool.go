package upstream

import (
	"sync"
	"time"
)

// sweeps is how often, in one timeout, the pool looks for what is too old.
const sweeps = 4

// pool keeps connections for the next request. The zero value needs init.
type pool struct {
	perHost, total int
	timeout        time.Duration

	mu     sync.Mutex
	closed bool               // guarded by mu
	hosts  map[string][]*conn // guarded by mu; by address, the latest used last
	count  int                // guarded by mu; of all hosts
	sweep  *time.Timer        // guarded by mu; nil while nothing is idle
}

func (p *pool) init(perHost, total int, timeout time.Duration) {
	p.perHost, p.total, p.timeout = perHost, total, timeout
	p.hosts = make(map[string][]*conn)
}

// take returns the connection to addr that was used last, nil if there is none.
func (p *pool) take(addr string) *conn {
	for {
		c := p.pop(addr)
		if c == nil {
			return nil
		}
		if time.Since(c.idle) < p.timeout && c.usable() {
			return c
		}
		c.Close()
	}
}

func (p *pool) pop(addr string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.hosts[addr]
	if len(of) == 0 {
		return nil
	}
	c := of[len(of)-1]
	of[len(of)-1] = nil
	p.hosts[addr] = of[:len(of)-1]
	p.count--
	return c
}

// put keeps a connection whose answer was read to the end.
func (p *pool) put(c *conn) {
	c.ctx, c.stop, c.idle = nil, nil, time.Now()
	if !p.add(c) {
		c.Close()
	}
}

func (p *pool) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.hosts[c.addr]
	if p.closed || len(of) >= p.perHost || p.count >= p.total {
		return false
	}
	p.hosts[c.addr] = append(of, c)
	p.count++
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout/sweeps, p.expire)
	}
	return true
}

// drop closes what is idle for addr.
func (p *pool) drop(addr string) {
	p.mu.Lock()
	of := p.hosts[addr]
	delete(p.hosts, addr)
	p.count -= len(of)
	p.mu.Unlock()
	closeAll(of)
}

// expire closes what nobody used for too long, and comes again while something
// is left.
func (p *pool) expire() {
	var old []*conn
	p.mu.Lock()
	for addr, of := range p.hosts {
		n := 0
		for n < len(of) && time.Since(of[n].idle) >= p.timeout {
			n++
		}
		old = append(old, of[:n]...)
		if n == len(of) {
			delete(p.hosts, addr)
		} else if n > 0 {
			p.hosts[addr] = append([]*conn(nil), of[n:]...)
		}
	}
	p.count -= len(old)
	if len(p.hosts) == 0 || p.closed {
		p.sweep = nil
	} else {
		p.sweep.Reset(p.timeout / sweeps)
	}
	p.mu.Unlock()
	closeAll(old)
}

func (p *pool) close() {
	p.mu.Lock()
	hosts := p.hosts
	p.hosts, p.count, p.closed = make(map[string][]*conn), 0, true
	p.mu.Unlock()
	for _, of := range hosts {
		closeAll(of)
	}
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.Close()
	}
}
