package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// lookTimeout bounds what is asked of machines and slices for a list; what is
// not known by then is left out.
const lookTimeout = 4 * time.Second

// Cluster is where the slices run. Its errors are ErrUnavailable when it cannot
// be asked.
type Cluster interface {
	// Instances returns the newest instance of each slice that has one.
	Instances(ctx context.Context) (map[int]cluster.Instance, error)

	// Look adds image and usage to instances, as far as they are told.
	Look(ctx context.Context, instances []cluster.Instance) []cluster.Instance

	// Instance returns a slice's newest instance, looked at, with its events.
	// Returns ErrNotFound if it has none.
	Instance(ctx context.Context, number int) (cluster.Instance, error)

	// Log returns the last bytes that an instance printed to stdout or stderr.
	// Returns ErrNotFound if there is no log.
	Log(ctx context.Context, id, stream string, last int64) ([]byte, error)

	// Restart ends an instance's container and starts it again.
	Restart(ctx context.Context, id string) error

	// Nodes returns every machine, by name.
	Nodes(ctx context.Context) ([]cluster.Node, error)
}

type slicePage struct {
	Slices     []sliceItem `json:"slices"`
	NextCursor *string     `json:"next_cursor"`
}

type sliceItem struct {
	Number         int                 `json:"number"`
	State          platform.SliceState `json:"state"`
	Generation     int64               `json:"generation"`
	UserID         *string             `json:"user_id"`
	UserEmail      *string             `json:"user_email"`
	RequestedAt    time.Time           `json:"requested_at"`
	StateChangedAt time.Time           `json:"state_changed_at"`
	Failure        string              `json:"failure"`
	LastActivityAt *time.Time          `json:"last_activity_at"` // of its user; null if not known
	Instance       *instanceItem       `json:"instance"`         // null if nothing runs, or it is not known
	WhatsApp       *string             `json:"whatsapp"`         // null if the slice does not tell
}

type instanceItem struct {
	ID                string     `json:"id"`
	Node              string     `json:"node"`
	Status            string     `json:"status"`
	Image             string     `json:"image"` // "" when unknown
	Restarts          int        `json:"restarts"`
	StartedAt         *time.Time `json:"started_at"`
	MemoryBytes       *uint64    `json:"memory_bytes"` // null unless measured
	CPUMHz            *float64   `json:"cpu_mhz"`
	ReservedMemoryMiB int        `json:"reserved_memory_mib"`
	MaxMemoryMiB      int        `json:"max_memory_mib"`
	ReservedCPUMHz    int        `json:"reserved_cpu_mhz"`
}

func newSliceItem(sl platform.Slice, email string) sliceItem {
	item := sliceItem{
		Number: sl.Number, State: sl.State, Generation: sl.Generation,
		RequestedAt: sl.RequestedAt.UTC(), StateChangedAt: sl.StateChangedAt.UTC(), Failure: sl.Failure,
	}
	if sl.UserID != "" {
		item.UserID = &sl.UserID
	}
	if email != "" {
		item.UserEmail = &email
	}
	return item
}

func newInstanceItem(i cluster.Instance) *instanceItem {
	item := &instanceItem{
		ID: i.ID, Node: i.Node, Status: i.Status, Image: i.Image, Restarts: i.Restarts,
		ReservedMemoryMiB: i.Reserved.Memory, MaxMemoryMiB: i.Reserved.MemoryMax, ReservedCPUMHz: i.Reserved.CPU,
	}
	if !i.StartedAt.IsZero() {
		item.StartedAt = &i.StartedAt
	}
	if i.Usage != nil {
		item.MemoryBytes, item.CPUMHz = &i.Usage.Memory, &i.Usage.CPU
	}
	return item
}

func (s *Service) slices(c *gin.Context) {
	q := parseQuery(c.Request)
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
	users := make([]string, 0, len(found))
	for _, sl := range found {
		if sl.UserID != "" {
			users = append(users, sl.UserID)
		}
	}
	seen, err := s.Store.LastSeen(c.Request.Context(), users)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), lookTimeout)
	defer cancel()
	states := make(chan map[int]string, 1)
	go func() { states <- s.whatsApps(ctx, found) }() // ends with ctx at the latest
	instances := s.instancesOf(ctx, found)
	whatsApps := <-states

	out := slicePage{Slices: make([]sliceItem, len(found)), NextCursor: next}
	for n, sl := range found {
		item := newSliceItem(sl, emails[sl.UserID])
		if i, ok := instances[sl.Number]; ok {
			item.Instance = newInstanceItem(i)
		}
		if state, ok := whatsApps[sl.Number]; ok {
			item.WhatsApp = &state
		}
		item.LastActivityAt = seenAt(seen, sl.UserID)
		out.Slices[n] = item
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

// seenAt returns when a user was last seen, nil if that is not known.
func seenAt(seen map[string]time.Time, userID string) *time.Time {
	at, ok := seen[userID]
	if !ok {
		return nil
	}
	at = at.UTC()
	return &at
}

// instancesOf returns what runs of some slices, looked at. It returns nothing
// when Nomad cannot be asked: the list is there all the same.
func (s *Service) instancesOf(ctx context.Context, of []platform.Slice) map[int]cluster.Instance {
	if s.Cluster == nil {
		return nil
	}
	all, err := s.Cluster.Instances(ctx)
	if err != nil {
		s.Log.Warn("the slices' instances are not known", "error", err)
		return nil
	}
	var wanted []cluster.Instance
	for _, sl := range of {
		if i, ok := all[sl.Number]; ok && sl.State != platform.SliceGone {
			wanted = append(wanted, i)
		}
	}
	looked := make(map[int]cluster.Instance, len(wanted))
	for _, i := range s.Cluster.Look(ctx, wanted) {
		looked[i.Slice] = i
	}
	return looked
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
