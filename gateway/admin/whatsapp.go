package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"ipnoelp.io/platform"
)

const (
	askTimeout = 2 * time.Second // for one slice
	askAtOnce  = 16              // slices
	askBytes   = 1 << 20         // of an answer
)

// Resolver finds the address of a slice.
type Resolver interface {
	// Resolve returns "host:port". Returns ErrUnavailable if it has none now.
	Resolve(ctx context.Context, number int) (string, error)
}

// asker asks slices for the state of their WhatsApp session, by their metrics:
// unlike their API these tell neither a code nor whose account it is.
type asker struct {
	resolver Resolver
	key      []byte // slice tokens are derived from it
	client   http.Client
}

// stateMetric is followed by the state's name; its value is 1 for one of them.
const stateMetric = `slice_whatsapp_state{state="`

// whatsApp returns the state that a slice says it is in.
func (a *asker) whatsApp(ctx context.Context, sl platform.Slice) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	addr, err := a.resolver.Resolve(ctx, sl.Number)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set(platform.HeaderSliceNumber, strconv.Itoa(sl.Number))
	req.Header.Set(platform.HeaderSliceToken, platform.SliceToken(a.key, sl.Number, sl.Generation))
	res, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers its metrics with %d", platform.SliceName(sl.Number), res.StatusCode)
	}
	lines := bufio.NewScanner(io.LimitReader(res.Body, askBytes))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), stateMetric)
		if !ok {
			continue
		}
		if state, value, ok := strings.Cut(rest, `"} `); ok && value == "1" && len(state) <= 40 {
			return state, nil
		}
	}
	return "", fmt.Errorf("%s does not tell the state of its session: %w", platform.SliceName(sl.Number), lines.Err())
}

// whatsApps returns the states of those slices that answer, by number. Others
// than warm and assigned ones are not asked: nothing listens there.
func (a *asker) whatsApps(ctx context.Context, all []platform.Slice) map[int]string {
	var mu sync.Mutex
	states := make(map[int]string)
	slots := make(chan struct{}, askAtOnce)
	var wg sync.WaitGroup
	for _, sl := range all {
		if sl.State != platform.SliceWarm && sl.State != platform.SliceAssigned {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if state, err := a.whatsApp(ctx, sl); err == nil {
				mu.Lock()
				defer mu.Unlock()
				states[sl.Number] = state
			}
		})
	}
	wg.Wait()
	return states
}
