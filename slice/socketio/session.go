package socketio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"
)

type transport int

const (
	polling transport = iota
	webSocket
)

// session is one client. What is to be sent waits in queue until the present
// transport takes it.
type session struct {
	server *Server
	id     string
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	wake   chan struct{} // has one entry when queue or transport changed
	pong   chan struct{} // has one entry when the client answered a ping
	join   chan struct{} // has one entry when the client joined

	mu        sync.Mutex // guards the following fields
	transport transport
	polled    bool // a poll is waiting
	upgrading bool // a WebSocket is being tried
	probed    bool // it works; the client waits for its last poll to end
	joined    bool // the client is in the namespace "/"
	queue     []string
}

// Client is a connected client, for those who tell it something.
type Client struct{ s *session }

// Emit tells this client only. It does not wait.
func (c *Client) Emit(event string, payload any) {
	packet, err := eventPacket(event, payload)
	if err != nil {
		c.s.server.cfg.Logger.Error("event cannot be sent", "event", event, "error", err)
		return
	}
	c.s.sendJoined(packet)
}

// watch keeps the heartbeat, and ends the session when it stops or when the
// client joins nothing.
func (c *session) watch() {
	defer c.server.forget(c)
	defer c.close()
	patience := time.AfterFunc(joinTimeout, c.close)
	defer patience.Stop()
	timer := time.NewTimer(c.server.cfg.PingInterval)
	defer timer.Stop()
	for waiting := false; ; {
		select {
		case <-c.ctx.Done():
			return
		case <-c.join:
			patience.Stop()
			c.server.wg.Go(func() { c.server.cfg.OnConnect(c.ctx, &Client{c}) })
		case <-c.pong:
			if waiting {
				waiting = false
				timer.Reset(c.server.cfg.PingInterval)
			}
		case <-timer.C:
			if waiting {
				return
			}
			waiting = true
			c.send(enginePing)
			timer.Reset(c.server.cfg.PingTimeout)
		}
	}
}

// close ends the session. A waiting poll or the WebSocket notices by ctx.
func (c *session) close() { c.cancel() }

// send queues a packet. A client that lets too many wait is cut off: it comes
// back and asks for what it missed.
func (c *session) send(packet string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(packet)
}

func (c *session) sendLocked(packet string) {
	if len(c.queue) >= maxQueued {
		c.close()
		return
	}
	c.queue = append(c.queue, packet)
	c.ring()
}

func (c *session) sendJoined(packet string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined {
		c.sendLocked(packet)
	}
}

// ring tells whoever serves the transport to look again.
func (c *session) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take empties the queue for the given transport, if that is the present one.
func (c *session) take(t transport) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != t {
		return nil
	}
	packets := c.queue
	c.queue = nil
	return packets
}

// receive takes one packet of the client.
func (c *session) receive(packet string) {
	if packet == "" {
		return
	}
	kind, data := packet[:1], packet[1:]
	switch kind {
	case engineClose:
		c.close()
	case enginePong:
		select {
		case c.pong <- struct{}{}:
		default:
		}
	case engineMessage:
		c.receiveMessage(data)
	}
}

// receiveMessage takes one Socket.IO packet: clients may join and leave.
func (c *session) receiveMessage(data string) {
	if data == "" {
		return
	}
	kind, rest := data[0], data[1:]
	switch ns := namespace(rest); {
	case kind == socketConnect && ns != "/":
		c.send(connectError(ns, "Invalid namespace"))
	case kind == socketConnect:
		c.enter()
	case kind == socketDisconnect && ns == "/":
		c.close()
	}
}

// enter lets the client into the namespace. Its id there is another one than
// its session's, which is a secret; nothing here needs it.
func (c *session) enter() {
	sid, _ := json.Marshal(map[string]string{"sid": rand.Text()}) // cannot fail
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined {
		return
	}
	c.joined = true
	c.sendLocked(engineMessage + string(socketConnect) + string(sid))
	c.join <- struct{}{} // once in a session, so there is room
}
