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
	perServer, total int
	timeout          time.Duration

	mu      sync.Mutex
	closed  bool               // guarded by mu
	servers map[string]*Server // guarded by mu; by address
	count   int                // guarded by mu; of all servers
	sweep   *time.Timer        // guarded by mu; nil while nothing is idle

	oldest, latest *conn // guarded by mu, and so are the links between them
}

// Server is where a transport sends requests, and what is idle for it. Who sends
// many to one keeps its Server: what is idle is found at once then.
type Server struct {
	addr string // host:port

	listed bool  // guarded by pool.mu; it is in pool.servers
	idle   *conn // guarded by pool.mu, and so are the links below it; the latest used
	count  int   // guarded by pool.mu; of what is idle
}

// Addr returns the address ("host:port").
func (s *Server) Addr() string { return s.addr }

func (p *pool) init(perServer, total int, timeout time.Duration) {
	p.perServer, p.total, p.timeout = perServer, total, timeout
	p.servers = make(map[string]*Server)
}

// server returns the server at an address: that which is in the table, or one that
// may come to be.
func (p *pool) server(addr string) *Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[addr]; s != nil {
		return s
	}
	return &Server{addr: addr}
}

// take returns the connection to a server that was used last, nil if there is none.
func (p *pool) take(s *Server) *conn {
	for {
		c := p.pop(s)
		if c == nil {
			return nil
		}
		if time.Since(c.since) < p.timeout {
			return c
		}
		c.Close()
	}
}

func (p *pool) pop(s *Server) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.find(s)
	if s == nil || s.idle == nil {
		return nil
	}
	c := s.idle
	s.idle, c.below = c.below, nil
	s.count--
	p.unlink(c)
	return c
}

// find returns the server that the table has for the address of s, nil if it has
// none. The caller holds mu.
func (p *pool) find(s *Server) *Server {
	if s.listed {
		return s
	}
	return p.servers[s.addr]
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
	s := p.place(c)
	if s.count >= p.perServer {
		return c
	}
	if p.count >= p.total {
		left = p.oldest
		p.removeOldest()
		s = p.place(c)
	}
	c.below, s.idle = s.idle, c
	s.count++
	p.link(c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout/sweeps, p.expire)
	}
	return left
}

// place returns where c belongs, which is in the table then. The caller holds mu.
func (p *pool) place(c *conn) *Server {
	s := p.find(c.server)
	if s == nil {
		s = c.server
		s.listed, p.servers[s.addr] = true, s
	}
	c.server = s
	return s
}

// forget drops a server that has nothing idle any more. The caller holds mu.
func (p *pool) forget(s *Server) {
	s.listed = false
	delete(p.servers, s.addr)
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

// removeOldest removes the oldest, which is also the last in its server's list. The
// caller holds mu.
func (p *pool) removeOldest() {
	c := p.oldest
	s := c.server
	link := &s.idle
	for *link != c {
		link = &(*link).below
	}
	*link = nil
	if s.count--; s.count == 0 {
		p.forget(s)
	}
	p.unlink(c)
}

// drop closes what is idle for a server.
func (p *pool) drop(s *Server) {
	p.mu.Lock()
	var all []*conn
	if s = p.find(s); s != nil {
		all = p.takeAll(s)
	}
	p.mu.Unlock()
	closeAll(all)
}

// takeAll removes all that is idle for a server. The caller holds mu.
func (p *pool) takeAll(s *Server) (all []*conn) {
	for s.idle != nil {
		c := s.idle
		s.idle, c.below = c.below, nil
		p.unlink(c)
		all = append(all, c)
	}
	s.count = 0
	p.forget(s)
	return all
}

// expire closes what nobody used for too long, and comes again while something
// is left.
func (p *pool) expire() {
	var old []*conn
	p.mu.Lock()
	for p.oldest != nil && time.Since(p.oldest.since) >= p.timeout {
		old = append(old, p.oldest)
		p.removeOldest()
	}
	for _, s := range p.servers {
		if s.idle == nil { // all taken; as likely as not the server is gone
			p.forget(s)
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
	p.closed = true
	var all []*conn
	for _, s := range p.servers {
		all = append(all, p.takeAll(s)...)
	}
	p.mu.Unlock()
	closeAll(all)
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
