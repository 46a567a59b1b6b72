package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	sayEvery  = 5 * time.Minute // how often the log tells that traces are lost
	maxAnswer = 64 << 10        // bytes of an answer that are read
)

// client sends spans to a collector: OTLP over HTTP. The library's own one
// (otlptracehttp) would link gRPC: 5 MB more of each program.
type client struct {
	url     *url.URL
	header  http.Header
	timeout time.Duration
	http    *http.Client
	log     *slog.Logger
	closing context.Context
	close   context.CancelFunc // ends what is under way

	mu     sync.Mutex
	lost   int       // guarded by mu; spans since the log told of it
	saidAt time.Time // guarded by mu
	broken bool      // guarded by mu
}

var _ otlptrace.Client = (*client)(nil)

func newClient(c Config, log *slog.Logger) (*client, error) {
	u, key, err := c.endpoint()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	header, key, err := c.headers()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	timeout, key, err := c.timeout()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	header.Set("Content-Type", "application/x-protobuf")
	header.Set("User-Agent", "ipnoelp-platform")
	if u.User != nil {
		password, _ := u.User.Password()
		r := http.Request{Header: header}
		r.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	x := &client{url: u, header: header, timeout: timeout, log: log, http: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: timeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	x.closing, x.close = context.WithCancel(context.Background())
	return x, nil
}

// shown is the endpoint without what it may hold of secrets.
func (c *client) shown() string { return c.url.Scheme + "://" + c.url.Host }

// Start and Stop have nothing to do: connections are made when they are needed.
func (c *client) Start(context.Context) error { return nil }
func (c *client) Stop(context.Context) error  { return nil }

// UploadTraces sends spans once. What a collector does not take is lost: the
// queue behind has a bound, and traces are not worth more than that. It returns
// no error, because the library would write each into the log.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	c.result(spans, c.send(ctx, spans))
	return nil
}

func (c *client) send(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	// On the wire it is what ExportTraceServiceRequest is, whose package needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.header
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // the connection is used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers with %d", res.StatusCode)
	}
	return nil
}

// result tells the log when traces begin to be lost, now and then while they
// are, and when they arrive again.
func (c *client) result(spans []*tracepb.ResourceSpans, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		if c.broken {
			c.log.Info("traces arrive again", "lost", c.lost)
		}
		c.lost, c.broken, c.saidAt = 0, false, time.Time{}
		return
	}
	c.broken = true
	for _, r := range spans {
		for _, s := range r.ScopeSpans {
			c.lost += len(s.Spans)
		}
	}
	if time.Since(c.saidAt) < sayEvery {
		return
	}
	c.log.Warn("traces are lost", "endpoint", c.shown(), "error", err, "spans", c.lost)
	c.saidAt = time.Now()
}
