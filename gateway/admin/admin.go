// Package admin answers what admins ask about the platform.
package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const (
	defaultLimit = 50
	maxLimit     = 200 // slices on one page
)

// Store reads what admins see.
type Store interface {
	// Pool returns how many users wait, and how many slices there are by state.
	Pool(ctx context.Context) (queued int, slices map[platform.SliceState]int, err error)

	// ListSlices returns up to limit slices below number before (0: from the
	// highest), with the e-mail addresses of their users by user id. An empty
	// state means all.
	ListSlices(ctx context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error)
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

type pool struct {
	Target int                         `json:"target"`
	Queued int                         `json:"queued"`
	Slices map[platform.SliceState]int `json:"slices"` // every state is there, also with 0
}

func (s *Service) pool(c *gin.Context) {
	queued, counts, err := s.Store.Pool(c.Request.Context())
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := pool{Target: s.WarmTarget, Queued: queued, Slices: make(map[platform.SliceState]int)}
	for _, st := range platform.SliceStates() {
		out.Slices[st] = counts[st]
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

type slicePage struct {
	Slices     []sliceItem `json:"slices"`
	NextCursor *string     `json:"next_cursor"`
}

type sliceItem struct {
	Number         int                 `json:"number"`
	State          platform.SliceState `json:"state"`
	Generation     int64               `json:"generation"`
	UserEmail      *string             `json:"user_email"`
	RequestedAt    time.Time           `json:"requested_at"`
	StateChangedAt time.Time           `json:"state_changed_at"`
	Failure        string              `json:"failure"`
}

func (s *Service) slices(c *gin.Context) {
	state, before, limit, err := parsePage(c.Request)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	// One more than asked for tells whether there is a next page.
	found, emails, err := s.Store.ListSlices(c.Request.Context(), state, before, limit+1)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := slicePage{Slices: make([]sliceItem, 0, min(len(found), limit))}
	for i, sl := range found {
		if i == limit {
			cursor := strconv.Itoa(found[limit-1].Number)
			out.NextCursor = &cursor
			break
		}
		item := sliceItem{
			Number: sl.Number, State: sl.State, Generation: sl.Generation,
			RequestedAt: sl.RequestedAt, StateChangedAt: sl.StateChangedAt, Failure: sl.Failure,
		}
		if email, ok := emails[sl.UserID]; ok {
			item.UserEmail = &email
		}
		out.Slices = append(out.Slices, item)
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

func parsePage(r *http.Request) (state platform.SliceState, before, limit int, err error) {
	var faults []platform.FieldError
	fault := func(field, detail string) { faults = append(faults, platform.FieldError{Field: field, Detail: detail}) }
	limit = defaultLimit
	q := r.URL.Query()
	for name, values := range q {
		v := values[0]
		switch {
		case !slices.Contains([]string{"state", "limit", "cursor"}, name):
			fault(name, "is not a known parameter")
		case len(values) > 1:
			fault(name, "must be given once")
		case v == "": // as if it were absent
		case name == "state":
			if state = platform.SliceState(v); !slices.Contains(platform.SliceStates(), state) {
				fault(name, "is not a state of a slice")
			}
		case name == "limit":
			if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > maxLimit {
				fault(name, "must be a number from 1 to "+strconv.Itoa(maxLimit))
			}
		case name == "cursor":
			if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < 1 {
				fault(name, "is not a cursor of this list")
			} else {
				before = int(n)
			}
		}
	}
	if faults != nil {
		return "", 0, 0, platform.Invalid(faults...)
	}
	return state, before, limit, nil
}
