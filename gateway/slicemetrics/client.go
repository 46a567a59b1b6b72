// Package slicemetrics asks slices for their metrics and joins them into one
// answer for Prometheus, which has no slice's token. What a slice says is
// hostile until it has been looked at.
package slicemetrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ipnoelp.io/platform"
)

const (
	askTimeout     = 2 * time.Second // for one slice
	askAtOnce      = 16              // slices
	maxAnswer      = 1 << 20         // bytes
	maxHeaderBytes = 16 << 10
)

// Resolver finds the address of a slice.
type Resolver interface {
	// Resolve returns "host:port". Returns ErrUnavailable if it has none now.
	Resolve(ctx context.Context, number int) (string, error)

	// Invalidate says that addr proved wrong: the next Resolve looks again.
	Invalidate(number int, addr string)
}

// Client asks slices. It is safe for concurrent use.
type Client struct {
	resolver Resolver
	key      []byte // slice tokens are derived from it
	http     http.Client
}

// NewClient returns a client that proves itself with tokens made from key.
func NewClient(resolver Resolver, key []byte) *Client {
	return &Client{resolver: resolver, key: key, http: http.Client{
		// A slice does not send the gateway elsewhere: it can reach what slices cannot.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives:      true, // asked too rarely
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}}
}

// Get returns what a slice says its metrics are.
func (c *Client) Get(ctx context.Context, sl platform.Slice) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	text, moved, err := c.get(ctx, sl)
	if moved {
		text, _, err = c.get(ctx, sl)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", platform.SliceName(sl.Number), err)
	}
	return text, nil
}

// get asks once. moved is true if something else, or nothing, was at the
// slice's address.
func (c *Client) get(ctx context.Context, sl platform.Slice) (text []byte, moved bool, err error) {
	addr, err := c.resolver.Resolve(ctx, sl.Number)
	if err != nil {
		return nil, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set(platform.HeaderSliceNumber, strconv.Itoa(sl.Number))
	req.Header.Set(platform.HeaderSliceToken, platform.SliceToken(c.key, sl.Number, sl.Generation))
	res, err := c.http.Do(req)
	if err != nil {
		if moved = ctx.Err() == nil; moved {
			c.resolver.Invalidate(sl.Number, addr)
		}
		return nil, moved, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusMisdirectedRequest:
		c.resolver.Invalidate(sl.Number, addr)
		return nil, true, fmt.Errorf("another slice is at %s", addr)
	default:
		return nil, false, fmt.Errorf("status %d", res.StatusCode)
	}
	text, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	return text, false, err
}

// Each asks those of the slices that are warm or assigned, several at once, and
// calls use with each answer, from several goroutines. On others nothing
// listens. It returns when all calls have; once ctx is done it asks no further.
func (c *Client) Each(ctx context.Context, slices []platform.Slice, use func(sl platform.Slice, text []byte, err error)) {
	slots := make(chan struct{}, askAtOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, sl := range slices {
		if sl.State != platform.SliceWarm && sl.State != platform.SliceAssigned {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			text, err := c.Get(ctx, sl)
			use(sl, text, err)
		})
	}
}
