package auth

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

func (s *Service) registerSessions(r gin.IRouter) {
	r.GET("/auth/sessions", s.listSessions)
	r.DELETE("/auth/sessions", s.endOthers)
	r.DELETE("/auth/sessions/:id", s.endOne)
}

type sessionList struct {
	Sessions   []sessionItem `json:"sessions"`
	NextCursor *string       `json:"next_cursor"` // null: all are in one answer
}

type sessionItem struct {
	ID         string    `json:"id"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	UserAgent  string    `json:"user_agent"`
	Address    string    `json:"address"`
	Current    bool      `json:"current"`

	Impersonated bool `json:"impersonated"` // an admin has it, to help
}

func (s *Service) listSessions(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	all, err := s.Store.ListSessions(r.Context(), id.User.ID)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, sessionList{Sessions: sessionItems(all, id.Session)})
}

func sessionItems(all []platform.Session, current [32]byte) []sessionItem {
	items := make([]sessionItem, len(all))
	for i, ses := range all {
		items[i] = sessionItem{
			ID: ses.ID, CreatedAt: ses.CreatedAt.UTC(), LastSeenAt: ses.LastSeenAt.UTC(), ExpiresAt: ses.ExpiresAt.UTC(),
			UserAgent: ses.UserAgent, Address: ses.ClientAddr, Current: ses.TokenHash == current,
			Impersonated: ses.ImpersonatorID != "",
		}
	}
	return items
}

func (s *Service) endOne(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	which, err := pathID(c, "session")
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	ended, err := s.Store.EndSession(r.Context(), id.User.ID, which, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.SessionEnded(ended)
	if ended == id.Session {
		clearCookie(w)
	}
	noContent(w)
}

func (s *Service) endOthers(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	ended, err := s.Store.EndOtherSessions(r.Context(), id.User.ID, id.Session, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	for _, hash := range ended {
		s.SessionEnded(hash)
	}
	noContent(w)
}

// pathID returns the id in a path. Returns ErrNotFound if it can be none: what is
// what there is none of then.
func pathID(c *gin.Context, what string) (string, error) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil || id.String() != c.Param("id") {
		return "", platform.Errorf(platform.ErrNotFound, "There is no such %s.", what)
	}
	return id.String(), nil
}
