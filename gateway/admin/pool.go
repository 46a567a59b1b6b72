package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// historySpan is how far back the pool's history goes.
const historySpan = 24 * time.Hour

type pool struct {
	Target int                         `json:"target"`
	Queued int                         `json:"queued"`
	Slices map[platform.SliceState]int `json:"slices"` // every state is there, also with 0
	Claims claims                      `json:"claims"`
}

// claims are those of the last day.
type claims struct {
	Since   time.Time   `json:"since"`
	Total   int         `json:"total"`
	Hits    int         `json:"hits"` // a warm slice was there at sign-up
	Misses  int         `json:"misses"`
	WaitP50 *float64    `json:"wait_p50_seconds"` // of the misses; null without any
	WaitP95 *float64    `json:"wait_p95_seconds"`
	WaitMax *float64    `json:"wait_max_seconds"`
	Hours   []claimHour `json:"hours"` // those with claims, oldest first
}

type claimHour struct {
	At     time.Time `json:"at"`
	Total  int       `json:"total"`
	Hits   int       `json:"hits"`
	Misses int       `json:"misses"`
}

func (s *Service) pool(c *gin.Context) {
	out, err := s.readPool(c)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

func (s *Service) readPool(c *gin.Context) (pool, error) {
	ctx := c.Request.Context()
	target, queued, counts, err := s.poolNow(ctx)
	if err != nil {
		return pool{}, err
	}
	since := time.Now().Add(-historySpan).UTC()
	h, err := s.Store.ClaimHistory(ctx, since)
	if err != nil {
		return pool{}, err
	}
	return pool{Target: target, Queued: queued, Slices: everyState(counts), Claims: newClaims(since, h)}, nil
}

func (s *Service) poolNow(ctx context.Context) (target, queued int, slices map[platform.SliceState]int, err error) {
	queued, slices, err = s.Store.Pool(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	set, err := s.Store.Settings(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	target = s.WarmTarget
	if set.WarmTarget != nil {
		target = *set.WarmTarget
	}
	return target, queued, slices, nil
}

func everyState(counts map[platform.SliceState]int) map[platform.SliceState]int {
	all := make(map[platform.SliceState]int)
	for _, st := range platform.SliceStates() {
		all[st] = counts[st]
	}
	return all
}

func newClaims(since time.Time, h platform.ClaimHistory) claims {
	out := claims{Since: since, Total: h.Claims, Hits: h.Hits, Misses: h.Claims - h.Hits, Hours: make([]claimHour, len(h.Hours))}
	if out.Misses > 0 {
		p50, p95, most := h.WaitP50.Seconds(), h.WaitP95.Seconds(), h.WaitMax.Seconds()
		out.WaitP50, out.WaitP95, out.WaitMax = &p50, &p95, &most
	}
	for i, hour := range h.Hours {
		out.Hours[i] = claimHour{hour.At.UTC(), hour.Claims, hour.Hits, hour.Claims - hour.Hits}
	}
	return out
}
