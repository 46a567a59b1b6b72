package slicemetrics

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"

	"ipnoelp.io/platform"
)

// ContentType is of what Gather returns.
var ContentType = string(expfmt.NewFormat(expfmt.TypeTextPlain))

const (
	gatherTimeout = 8 * time.Second // below Prometheus' scrape_timeout
	pageSize      = 500             // slices that the database is asked for at once
)

// Store knows the slices.
type Store interface {
	// ListSlices returns up to limit slices in a state below number before (0:
	// from the highest), and who has them.
	ListSlices(ctx context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error)
}

// Gatherer gathers the metrics of all slices. It is safe for concurrent use.
type Gatherer struct {
	store  Store
	client *Client
	log    *slog.Logger
	turn   chan struct{} // is full while somebody gathers
}

// NewGatherer returns a gatherer that asks through client.
func NewGatherer(store Store, client *Client, log *slog.Logger) *Gatherer {
	return &Gatherer{store: store, client: client, log: log, turn: make(chan struct{}, 1)}
}

// Gather returns the metrics of all warm and assigned slices as text, with
// slice_up for each that was asked. When the time is over it returns what there
// is. One call gathers at a time; others wait, and get ErrUnavailable if that
// takes too long.
func (g *Gatherer) Gather(ctx context.Context) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-limited.Done():
		return nil, platform.Errorf(platform.ErrUnavailable, "The slices are being asked for somebody else.").WithCause(limited.Err())
	}
	all, err := g.slices(limited)
	if err != nil {
		return nil, err
	}
	// Slow ones can use up the time: not always the same ones shall be left out.
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var mu sync.Mutex
	answers := make(map[int]answer, len(all)) // guarded by mu
	g.client.Each(limited, all, func(sl platform.Slice, text []byte, err error) {
		var told answer
		if err == nil {
			told, err = read(text, strconv.Itoa(sl.Number))
		}
		if err != nil {
			g.log.Debug("a slice tells no metrics", "slice", sl.Number, "error", err)
		}
		mu.Lock()
		defer mu.Unlock()
		answers[sl.Number] = told
	})
	if err := ctx.Err(); err != nil { // nobody is there to read it
		return nil, platform.Errorf(platform.ErrUnavailable, "The request ended.").WithCause(err)
	}
	return merge(answers)
}

// slices returns the warm and assigned slices. One that becomes assigned
// meanwhile is in both lists.
func (g *Gatherer) slices(ctx context.Context) ([]platform.Slice, error) {
	seen := make(map[int]bool)
	var all []platform.Slice
	for _, state := range []platform.SliceState{platform.SliceWarm, platform.SliceAssigned} {
		for before, more := 0, true; more; {
			page, _, err := g.store.ListSlices(ctx, state, before, pageSize)
			if err != nil {
				return nil, fmt.Errorf("gather metrics: %w", err)
			}
			for _, sl := range page {
				if before = sl.Number; !seen[before] {
					seen[before] = true
					all = append(all, sl)
				}
			}
			more = len(page) == pageSize
		}
	}
	return all, nil
}
