// Package admin answers what admins ask about the platform.
package admin

import (
	"context"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
)

// Store reads what admins see.
type Store interface {
	// Pool returns how many users wait, and how many slices there are by state.
	Pool(ctx context.Context) (queued int, slices map[platform.SliceState]int, err error)

	// ListSlices returns up to limit slices below number before (0: from the
	// highest), with the e-mail addresses of their users by user id. An empty
	// state means all.
	ListSlices(ctx context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error)

	// ListAudit returns the entries that the filter selects, newest first.
	ListAudit(ctx context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error)
}

// Service answers the routes under /admin.
type Service struct {
	Store      Store
	Sessions   *auth.Sessions
	WarmTarget int // what the provisioner is told to keep warm
}

// Register adds the routes, all of them behind the one check for the role.
func (s *Service) Register(r gin.IRouter) {
	g := r.Group("/admin", s.requireAdmin)
	g.GET("/pool", s.pool)
	g.GET("/slices", s.slices)
	g.GET("/audit", s.audit)
}

func (s *Service) requireAdmin(c *gin.Context) {
	id, err := s.Sessions.Authenticate(c.Request)
	if err == nil {
		request.From(c.Request.Context()).UserID = id.User.ID
		if id.User.Role != platform.RoleAdmin {
			err = platform.Errorf(platform.ErrForbidden, "This is for admins only.")
		}
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		c.Abort()
	}
}
