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
	closed bool               // guarded by mu
	hosts  map[string][]*conn // guarded by mu; by address, the latest used last
	count  int                // guarded by mu; of all hosts
	sweep  *time.Timer        // guarded by mu; nil while nothing is idle

	oldest, latest *conn // guarded by mu, and so are the links between them
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
		if time.Since(c.idle) < p.timeout {
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
	if p.closed || len(p.hosts[c.addr]) >= p.perHost {
		return c
	}
	if p.count >= p.total {
		left = p.oldest
		p.removeOldest()
	}
	p.hosts[c.addr] = append(p.hosts[c.addr], c)
	p.link(c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout/sweeps, p.expire)
	}
	return left
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
	of := p.hosts[c.addr]
	if len(of) == 1 {
		delete(p.hosts, c.addr)
	} else {
		of[0] = nil
		p.hosts[c.addr] = of[1:]
	}
	p.unlink(c)
}

// drop closes what is idle for addr.
func (p *pool) drop(addr string) {
	p.mu.Lock()
	of := p.hosts[addr]
	delete(p.hosts, addr)
	for _, c := range of {
		p.unlink(c)
	}
	p.mu.Unlock()
	closeAll(of)
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
	for addr, of := range p.hosts {
		if len(of) == 0 { // all taken; as likely as not the server is gone
			delete(p.hosts, addr)
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
	p.hosts, p.count, p.closed = make(map[string][]*conn), 0, true
	p.oldest, p.latest = nil, nil
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
