package whatsappsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"ipnoelp.io/platform/problem"
)

// deviceFrame is what a device sends. The first one is "hello": with its
// credential and the cursor that it has stored, or with the keys of its QR
// code. Every other one is a request; its number N comes back in the result.
type deviceFrame struct {
	Type       string   `json:"type"`
	N          int64    `json:"n"`
	Credential string   `json:"credential"`
	Cursor     int64    `json:"cursor"`
	Keys       []string `json:"keys"`
	Chat       string   `json:"chat"`
	Key        string   `json:"key"`
	Text       string   `json:"text"`  // of a reaction: the emoji
	State      string   `json:"state"` // of a presence
	Kind       string   `json:"kind"`  // of a message; "" is a text
	Media      *media   `json:"media"`
	Quoted     string   `json:"quoted"`
	ID         string   `json:"id"`          // of the message that is edited, revoked or reacted to
	Phone      string   `json:"phone"`       // link_code
	ClientData string   `json:"client_data"` // passkey_response: base64url, as WebAuthn has it
}

// serverFrame is what a device is sent.
type serverFrame struct {
	Type       string       `json:"type"`
	N          int64        `json:"n,omitempty"`
	Ref        string       `json:"ref,omitempty"`        // ref: the first part of the QR code
	Credential string       `json:"credential,omitempty"` // linked
	Me         *AccountInfo `json:"me,omitempty"`         // linked, welcome
	LID        string       `json:"lid,omitempty"`        // linked, welcome: the account's own
	Update     *update      `json:"update,omitempty"`     // update, synced
	Message    *message     `json:"message,omitempty"`    // result of send and the like; ack: which one again
	Contact    *contact     `json:"contact,omitempty"`    // result of exists
	Exists     *bool        `json:"exists,omitempty"`     // result of exists
	Error      string       `json:"error,omitempty"`      // result: why it was refused
	Fault      string       `json:"fault,omitempty"`      // fault: which one to play
	Chat       string       `json:"chat,omitempty"`       // presence
	Sender     string       `json:"sender,omitempty"`     // presence
	State      string       `json:"state,omitempty"`      // presence
	Code       string       `json:"code,omitempty"`       // link_code
	Lifetime   int64        `json:"lifetime,omitempty"`   // link_code: milliseconds
	Challenge  string       `json:"challenge,omitempty"`  // passkey: base64url
}

// conn is one device's connection. All writes are made by the goroutine that
// runs serve.
type conn struct {
	*Server
	ws     *websocket.Conn
	frames <-chan deviceFrame // from the reader; closed when the connection ends
}

// handleDevice serves one page's socket until either side ends it.
func (s *Server) handleDevice(w http.ResponseWriter, r *http.Request) {
	if err := s.world.enter(); err != nil {
		problem.Write(w, err)
		return
	}
	defer s.world.leave()
	ws, err := websocket.Accept(w, r, nil) // refuses other origins; has answered on error
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }() // closed already, unless something panicked
	ws.SetReadLimit(maxDeviceFrame)

	ctx, cancel := context.WithCancel(s.ctx)
	frames := make(chan deviceFrame)
	readerDone := make(chan struct{})
	go func() {
		defer close(readerDone)
		defer close(frames)
		for {
			_, data, err := ws.Read(ctx)
			if err != nil {
				return
			}
			var f deviceFrame
			if err := json.Unmarshal(data, &f); err != nil {
				_ = ws.Close(websocket.StatusInvalidFramePayloadData, "not a frame of this protocol")
				return
			}
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	c := &conn{Server: s, ws: ws, frames: frames}
	err = c.serve(ctx)
	code, reason := websocket.StatusNormalClosure, ""
	switch {
	case s.ctx.Err() != nil:
		code, reason = websocket.StatusGoingAway, "the server ends"
	case errors.Is(err, errProtocol):
		code, reason = websocket.StatusPolicyViolation, err.Error()
	}
	_ = ws.Close(code, reason) // the reader reads the page's answer; ending it first would cut the connection
	cancel()
	<-readerDone
	if err != nil && !errors.Is(err, errGone) {
		s.log.Debug("device connection ended", "error", err)
	}
}

var (
	errGone     = errors.New("the page is gone")
	errProtocol = errors.New("protocol error")
)

func (c *conn) write(ctx context.Context, f serverFrame) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, data); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

func (c *conn) serve(ctx context.Context) error {
	timeout := time.NewTimer(helloTimeout)
	defer timeout.Stop()
	var hello deviceFrame
	var ok bool
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return fmt.Errorf("%w: no hello", errProtocol)
	case hello, ok = <-c.frames:
	}
	switch {
	case !ok:
		return errGone
	case hello.Type != "hello":
		return fmt.Errorf("%w: the first frame must be hello", errProtocol)
	case hello.Credential != "":
		return c.serveLinked(ctx, hello.Credential, hello.Cursor)
	case !keysValid(hello.Keys):
		return fmt.Errorf("%w: hello needs a credential or three keys of 32 bytes", errProtocol)
	}
	credential, err := c.pair(ctx, [3]string(hello.Keys))
	if err != nil {
		return err
	}
	return c.serveLinked(ctx, credential, 0)
}

// pair shows references, and a code to type where the page wants one, until
// the page is linked.
func (c *conn) pair(ctx context.Context, keys [3]string) (credential string, err error) {
	p, shown := newPairing(keys), 0
	defer func() {
		c.world.leavePairing(p)
		if err == nil {
			return
		}
		select { // it may have been linked while it went away
		case l := <-p.linked:
			c.world.forget(l.credential)
		default:
		}
	}()
	rotate := time.NewTimer(0)
	defer rotate.Stop()
	passkey := time.NewTimer(0)
	passkey.Stop()
	defer passkey.Stop()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		f := serverFrame{Type: "alive"}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case l := <-p.linked:
			if err := c.write(ctx, serverFrame{Type: "linked", Credential: l.credential, LID: l.lid, Me: &l.info}); err != nil {
				c.world.forget(l.credential)
				return "", err
			}
			return l.credential, nil
		case f = <-p.notes:
			switch f.Type {
			case "passkey":
				rotate.Stop()
				passkey.Reset(c.config.PasskeyLifetime)
			case "passkey_failed":
				passkey.Stop()
				shown = 0
				rotate.Reset(0)
			}
		case <-passkey.C:
			c.world.answerPasskey(p, "")
			continue
		case in, ok := <-c.frames:
			if !ok {
				return "", errGone
			}
			switch in.Type {
			case "refresh":
				shown = 0
				rotate.Reset(0)
				continue
			case "link_code":
				f = c.linkCode(p, in.Phone)
			case "link_code_cancel":
				c.world.withdrawCode(p)
				continue
			case "passkey_response":
				c.world.answerPasskey(p, in.ClientData)
				continue
			default:
				return "", fmt.Errorf("%w: %q before the device is linked", errProtocol, in.Type)
			}
		case <-rotate.C:
			if shown == c.config.QRRotations {
				c.world.withdraw(p)
				f.Type = "idle"
				break
			}
			shown++
			f.Type, f.Ref = "ref", c.world.offer(p, c.config.QRLifetime)
			rotate.Reset(c.config.QRLifetime)
		case <-alive.C:
		}
		if err := c.write(ctx, f); err != nil {
			return "", err
		}
	}
}

func (c *conn) linkCode(p *pairing, phone string) serverFrame {
	if phoneFault(phone) != "" {
		return serverFrame{Type: "link_code_error", Error: "invalid_phone"}
	}
	lifetime := c.config.LinkCodeLifetime
	return serverFrame{Type: "link_code", Code: c.world.offerCode(p, phone, lifetime), Lifetime: lifetime.Milliseconds()}
}

// serveLinked brings a device up to date and keeps it there.
func (c *conn) serveLinked(ctx context.Context, credential string, cursor int64) error {
	s := newSession()
	if !c.world.attachDevice(s, credential) {
		return c.write(ctx, serverFrame{Type: "logged_out"})
	}
	defer c.world.detach(s)
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	welcome, synced := false, false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.woken:
			v := c.world.look(s, cursor)
			if v.loggedOut {
				return c.write(ctx, serverFrame{Type: "logged_out"})
			}
			if !welcome {
				welcome = true
				if err := c.write(ctx, serverFrame{Type: "welcome", Me: &v.info, LID: v.lid}); err != nil {
					return err
				}
			}
			cursor = v.Cursor
			f := serverFrame{Type: "update", Update: &v.update}
			if !synced && !v.more {
				synced = true
				f.Type = "synced"
			}
			if v.more {
				s.wakeUp()
			}
			if f.Type == "synced" || !v.empty() {
				if err := c.write(ctx, f); err != nil {
					return err
				}
			}
			for _, note := range v.notes {
				if err := c.write(ctx, note); err != nil {
					return err
				}
			}
			for _, fault := range v.faults {
				if fault == FaultDisconnect {
					return nil
				}
				if err := c.write(ctx, serverFrame{Type: "fault", Fault: fault}); err != nil {
					return err
				}
			}
		case in, ok := <-c.frames:
			if !ok {
				return errGone
			}
			f, err := c.world.request(s, in)
			if err != nil {
				return err
			}
			if f.Type == "" {
				continue
			}
			if err := c.write(ctx, f); err != nil {
				return err
			}
		case <-alive.C:
			if err := c.write(ctx, serverFrame{Type: "alive"}); err != nil {
				return err
			}
		}
	}
}
