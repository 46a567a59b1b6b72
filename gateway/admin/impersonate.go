package admin

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// impersonationTime is how long an admin may act for a user.
const impersonationTime = 30 * time.Minute

// impersonate gives the admin's browser a session of a user in place of its
// own. The user sees it among their sessions, and may end it.
func (s *Service) impersonate(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in struct {
		Reason string `json:"reason"`
	}
	id, err := s.otherUser(c)
	if err == nil {
		err = problem.DecodeJSON(w, r, maxBody, &in)
	}
	if err == nil {
		err = textFault("reason", &in.Reason, platform.MaxBlockReason)
	}
	var admin *auth.Identity
	if err == nil {
		admin, err = s.Sessions.Authenticate(r)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	token := platform.NewSessionToken()
	hash, _ := platform.HashSessionToken(token)
	start := platform.SessionStart{
		TokenHash: hash, ExpiresAt: time.Now().Add(impersonationTime),
		UserAgent: "support", ClientAddr: "", // the admin's are not for the user
	}
	user, err := s.Store.Impersonate(r.Context(), id, admin.Session, start, in.Reason, request.Audit(r.Context(), "user.impersonate", "user", id))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.SessionEnded(admin.Session)
	auth.SetSessionCookie(w, token, start.ExpiresAt)
	problem.WriteJSON(w, http.StatusCreated, struct {
		User      platform.User `json:"user"`
		ExpiresAt time.Time     `json:"expires_at"`
	}{user, start.ExpiresAt.UTC()})
}
