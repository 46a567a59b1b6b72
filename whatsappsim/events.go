package whatsappsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ipnoelp.io/platform/problem"
)

// phoneEvent is what the phone page is sent: the account, and what changed.
type phoneEvent struct {
	Account AccountInfo `json:"account"`
	update
}

// events streams an account's changes to the phone page as server-sent events,
// from the beginning or from the event that the browser saw last.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if err := s.world.enter(); err != nil {
		problem.Write(w, err)
		return
	}
	defer s.world.leave()
	cursor, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64) // 0 for none
	session := newSession()
	if err := s.world.attachPhone(session, r.PathValue("phone")); err != nil {
		problem.Write(w, err)
		return
	}
	defer s.world.detach(session)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")

	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the server's limit for requests would end the stream
	send := func(format string, args ...any) error {
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return out.Flush()
	}
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-alive.C:
			err = send(":\n\n")
		case <-session.woken:
			v := s.world.look(session, cursor)
			cursor = v.Cursor
			if v.more {
				session.wakeUp()
			}
			data, merr := json.Marshal(phoneEvent{v.info, v.update})
			if merr != nil {
				s.log.Error("an event could not be encoded", "error", merr)
				return
			}
			err = send("id: %d\ndata: %s\n\n", cursor, data)
		}
		if err != nil {
			return
		}
	}
}
