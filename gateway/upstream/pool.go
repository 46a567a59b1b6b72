package upstream

import (
	"sync"
	"time"
)

// sweeps is how often, in one timeout, the pool looks for what is too old.
const sweeps = 4

// pool keeps connections for the next request; when it is full, the one that
// was used longest ago makes room. The zero value needs init.
type pool struct {
	perHost, total int
	timeout        time.Duration

	mu     sync.Mutex
	closed bool                 // guarded by mu
	hosts  map[string]*poolHost // guarded by mu; by address
	count  int                  // guarded by mu; of all hosts
	sweep  *time.Timer          // guarded by mu; nil while nothing is idle

	oldest, latest *conn // guarded by mu, and so are the links between them
}

// poolHost is what is idle for one address. Connections point to theirs: to put
// one back takes no look into the map.
type poolHost struct {
	idle    []*conn // guarded by pool.mu; the latest used last
	dropped bool    // guarded by pool.mu; it is not in the map any more
}

func (p *pool) init(perHost, total int, timeout time.Duration) {
	p.perHost, p.total, p.timeout = perHost, total, timeout
	p.hosts = make(map[string]*poolHost)
}

// take returns the connection to addr that was used last, nil if there is none.
func (p *pool) take(addr string) *conn {
	for {
		c := p.pop(addr)
		if c == nil {
			return nil
		}
		if time.Since(c.idle) < p.timeout {
			return c
		}
		c.Close()
	}
}

func (p *pool) pop(addr string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[addr]
	if h == nil || len(h.idle) == 0 {
		return nil
	}
	last := len(h.idle) - 1
	c := h.idle[last]
	h.idle[last] = nil
	h.idle = h.idle[:last]
	p.unlink(c)
	return c
}

// put keeps a connection whose answer was read to the end.
func (p *pool) put(c *conn) {
	c.rest()
	if left := p.add(c); left != nil {
		left.Close()
	}
}

// add returns the connection that is not kept, nil if all are.
func (p *pool) add(c *conn) (left *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return c
	}
	h := p.host(c)
	if len(h.idle) >= p.perHost {
		return c
	}
	if p.count >= p.total {
		left = p.oldest
		p.removeOldest()
		h = p.host(c)
	}
	h.idle = append(h.idle, c)
	p.link(c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout/sweeps, p.expire)
	}
	return left
}

// host returns where c belongs. The caller holds mu.
func (p *pool) host(c *conn) *poolHost {
	if c.host == nil || c.host.dropped {
		if c.host = p.hosts[c.addr]; c.host == nil {
			c.host = new(poolHost)
			p.hosts[c.addr] = c.host
		}
	}
	return c.host
}

// forget drops a host; what is idle there is the caller's, who holds mu.
func (p *pool) forget(addr string, h *poolHost) {
	h.dropped = true
	delete(p.hosts, addr)
}

// link makes c the latest. The caller holds mu.
func (p *pool) link(c *conn) {
	c.older, c.newer = p.latest, nil
	if p.latest != nil {
		p.latest.newer = c
	} else {
		p.oldest = c
	}
	p.latest = c
	p.count++
}

// unlink undoes link. The caller holds mu.
func (p *pool) unlink(c *conn) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.latest = c.older
	}
	c.older, c.newer = nil, nil
	p.count--
}

// removeOldest removes what is the first of its host too. The caller holds mu.
func (p *pool) removeOldest() {
	c := p.oldest
	h := c.host
	h.idle[0] = nil
	h.idle = h.idle[1:]
	if len(h.idle) == 0 {
		p.forget(c.addr, h)
	}
	p.unlink(c)
}

// drop closes what is idle for addr.
func (p *pool) drop(addr string) {
	closeAll(p.takeAll(addr))
}

func (p *pool) takeAll(addr string) []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[addr]
	if h == nil {
		return nil
	}
	p.forget(addr, h)
	for _, c := range h.idle {
		p.unlink(c)
	}
	all := h.idle
	h.idle = nil // who is in use still points to h
	return all
}

// expire closes what nobody used for too long, and comes again while something
// is left.
func (p *pool) expire() {
	var old []*conn
	p.mu.Lock()
	for p.oldest != nil && time.Since(p.oldest.idle) >= p.timeout {
		old = append(old, p.oldest)
		p.removeOldest()
	}
	for addr, h := range p.hosts {
		if len(h.idle) == 0 { // all taken; as likely as not the server is gone
			p.forget(addr, h)
		}
	}
	if p.count == 0 || p.closed {
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
	p.hosts, p.count, p.closed = make(map[string]*poolHost), 0, true
	p.oldest, p.latest = nil, nil
	p.mu.Unlock()
	for _, h := range hosts {
		closeAll(h.idle)
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
