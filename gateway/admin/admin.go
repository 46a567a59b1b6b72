// Package admin answers what admins ask about the platform.
package admin

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/slicemetrics"
)

// Store reads what admins see.
type Store interface {
	// Pool returns how many users wait, and how many slices there are by state.
	Pool(ctx context.Context) (queued int, slices map[platform.SliceState]int, err error)

	// ListSlices returns up to limit slices below number before (0: from the
	// highest), with the e-mail addresses of their users by user id. An empty
	// state means all.
	ListSlices(ctx context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error)

	// ClaimHistory returns how users got their slices since some time.
	ClaimHistory(ctx context.Context, since time.Time) (platform.ClaimHistory, error)

	// Impersonate ends an admin's session and makes one of a user in its place,
	// which counts as no proof of who they are. Returns the user; ErrNotFound
	// if there is none, and ErrConflict if they are an admin or blocked.
	Impersonate(ctx context.Context, userID string, admin [32]byte, start platform.SessionStart, reason string, by platform.AuditEntry) (platform.User, error)

	// LastSeen returns when users last used the platform themselves, or a program
	// of theirs did, by id; those of whom nothing is known are missing.
	LastSeen(ctx context.Context, userIDs []string) (map[string]time.Time, error)

	// Settings returns what admins changed.
	Settings(ctx context.Context) (platform.Settings, error)

	// UpdateSettings applies change to the settings and returns them. What
	// change returns as an error is returned; nothing changed then.
	UpdateSettings(ctx context.Context, change func(*platform.Settings) error, by platform.AuditEntry) (platform.Settings, error)

	// Slice returns one slice and its user's e-mail address, "" if it has none.
	// Returns ErrNotFound if there never was such a slice.
	Slice(ctx context.Context, number int) (platform.Slice, string, error)

	// RetireSlice gives a slice to the provisioner to take down; its user, if
	// any, joins the queue's end. Returns ErrNotFound if there never was such a
	// slice, and ErrConflict if it is being taken down or gone already.
	RetireSlice(ctx context.Context, number int, by platform.AuditEntry) error

	// RecordAudit adds an entry about something that changes nothing here.
	RecordAudit(ctx context.Context, e platform.AuditEntry) error

	// ListUsers returns the accounts that the filter selects, newest first.
	ListUsers(ctx context.Context, f platform.UserFilter) ([]platform.UserRecord, error)

	// UserRecord returns one account. Returns ErrNotFound if there is none.
	UserRecord(ctx context.Context, id string) (platform.UserRecord, error)

	// BlockUser keeps a user out until UnblockUser; their place in the queue is
	// lost. Returns ErrNotFound if there is no such user, and ErrConflict if
	// they are blocked already or nobody would be left to run the platform.
	BlockUser(ctx context.Context, id, reason string, by platform.AuditEntry) error

	// UnblockUser ends a user's old sessions and lets them in again; without a
	// slice they join the queue's end. Returns ErrNotFound if there is no such
	// user, and ErrConflict if they are not blocked.
	UnblockUser(ctx context.Context, id string, by platform.AuditEntry) error

	// DeleteUser removes an account with its sessions; its slice is retiring
	// then. Returns ErrNotFound if there is no such user, and ErrConflict if
	// nobody would be left to run the platform.
	DeleteUser(ctx context.Context, id string, by platform.AuditEntry) error

	// CancelDeletion lets an account stay whose user asked for its deletion.
	// Returns ErrNotFound if there is no such user, and ErrConflict if no
	// deletion is scheduled.
	CancelDeletion(ctx context.Context, id string, by platform.AuditEntry) error

	// SecondFactor returns what a user has beside the password.
	SecondFactor(ctx context.Context, userID string) (platform.SecondFactor, error)

	// ResetSecondFactors removes it, passkeys included. Returns ErrNotFound if
	// there is nothing in force.
	ResetSecondFactors(ctx context.Context, userID string, by platform.AuditEntry) error

	// ListAudit returns the entries that the filter selects, newest first.
	ListAudit(ctx context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error)
}

// Service answers the routes under /admin.
type Service struct {
	Store      Store
	Sessions   *auth.Sessions
	WarmTarget int // what the provisioner is told to keep warm
	Log        *slog.Logger
	Events     *Events // the live view

	SliceMetrics *slicemetrics.Client
	Cluster      Cluster  // nil where Nomad is not to be asked
	NomadUI      *url.URL // for links; nil for none

	// UserChanged is told what was done to an account here, before the answer.
	UserChanged func(userID string, state platform.UserState)

	// SessionEnded is told which session was ended here, before the answer.
	SessionEnded func(tokenHash [32]byte)
}

// Register adds the routes, all of them behind the one check for the role.
func (s *Service) Register(r gin.IRouter) {
	g := r.Group("/admin", s.requireAdmin)
	recent := auth.RequireRecent(s.Sessions) // for what cannot be undone, or reaches into an account
	g.GET("/pool", s.pool)
	g.GET("/events", s.events)
	g.GET("/nodes", s.nodes)
	g.GET("/capacity", s.capacity)
	g.GET("/settings", s.settings)
	g.PATCH("/settings", recent, s.changeSettings)
	g.GET("/slices", s.slices)
	g.GET("/slices/:number", s.slice)
	g.GET("/slices/:number/log", s.logTail)
	g.POST("/slices/:number/restart", s.restart)
	g.POST("/slices/:number/retire", recent, s.retire)
	g.GET("/audit", s.audit)
	g.GET("/users", s.users)
	g.GET("/users/:id", s.user)
	g.POST("/users/:id/block", recent, s.block)
	g.POST("/users/:id/unblock", s.unblock)
	g.DELETE("/users/:id", recent, s.deleteUser)
	g.DELETE("/users/:id/deletion", s.cancelDeletion)
	g.DELETE("/users/:id/second-factor", recent, s.resetSecondFactor)
	g.POST("/users/:id/impersonate", recent, s.impersonate)
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
