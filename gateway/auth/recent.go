package auth

import (
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

// RecentAuthentication is how long a proof of who somebody is counts as recent.
const RecentAuthentication = 10 * time.Minute

var errNotRecent = platform.Errorf(platform.ErrReauthenticate, "Confirm your password first.")

// RequireRecent lets those pass who logged in, or gave their password at
// /auth/reauthenticate or used a passkey below it, a short time ago. Others get ErrReauthenticate: status
// 403 and the problem type /problems/reauthenticate, by which a user interface
// knows to ask for the password and to try again.
func RequireRecent(s *Sessions) gin.HandlerFunc {
	return func(c *gin.Context) {
		id, err := s.Authenticate(c.Request)
		if err == nil {
			request.From(c.Request.Context()).UserID = id.User.ID
			if s.now().Sub(id.AuthenticatedAt) > RecentAuthentication {
				err = errNotRecent
			}
		}
		if err != nil {
			request.Fail(c.Writer, c.Request, err)
			c.Abort()
		}
	}
}
