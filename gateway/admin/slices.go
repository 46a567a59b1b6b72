package admin

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

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
	q := parseQuery(c.Request, "state", "limit", "cursor")
	state, before, limit := q.state(), int(q.cursor(32)), q.limit()
	if err := q.err(); err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	// One more than asked for tells whether there is a next page.
	found, emails, err := s.Store.ListSlices(c.Request.Context(), state, before, limit+1)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	found, next := page(found, limit, func(sl platform.Slice) string { return strconv.Itoa(sl.Number) })
	out := slicePage{Slices: make([]sliceItem, 0, len(found)), NextCursor: next}
	for _, sl := range found {
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

// state returns the state of slices that a list is narrowed to.
func (q *query) state() platform.SliceState {
	v := platform.SliceState(q.values.Get("state"))
	if v != "" && !slices.Contains(platform.SliceStates(), v) {
		q.fault("state", "is not a state of a slice")
		return ""
	}
	return v
}
