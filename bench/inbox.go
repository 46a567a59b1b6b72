package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/crm/inbox/inboxtest"
	"ipnoelp.io/platform/whatsappsim"
)

const (
	inboxRequests = 300 // of each kind
	inboxInbound  = 100 // messages
)

type inboxResult struct {
	List    float64 `json:"list_p99_ms"`
	Thread  float64 `json:"thread_p99_ms"`
	Search  float64 `json:"search_p99_ms"`
	Inbound float64 `json:"inbound_p99_ms"`
	N       int     `json:"n"`
}

// What people look for: common and rare words, beginnings, names, numbers.
var searches = []string{"the", "order", "invoice", "t", "th", "entrega", "A0001", "A1", "müller", "ana", "o'brien", "+49 170", "0170 00012", "gmbh",
	"birthday cake", "the zzz", "zzz", "straße", "obrigado encomenda", "e"}

// inboxBench measures the inbox of a large account, from the browser's side of
// the edge: one request after the other, as a person works.
func inboxBench(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	t, err := f.newTenant(ctx, "4915100000003")
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, f.DatabaseURL(platform.SliceDatabase(t.number)))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if err := inboxtest.Fill(ctx, conn, inboxtest.Large); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return nil, err
	}
	if err := waitQuiet(ctx, out); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same requests each time
	var chats inbox.ChatPage
	if err := t.do(ctx, http.MethodGet, "/api/chats?limit=200", nil, &chats); err != nil {
		return nil, err
	}
	filters := []string{"", "status=open", "status=open,pending", "unread=true", "sort=waiting", "group=false"}
	kinds := []struct {
		name string
		path func(i int) string
		took []time.Duration
	}{
		{name: "list", path: func(i int) string { return "/api/chats?" + filters[i%len(filters)] }},
		{name: "thread", path: func(int) string { return "/api/chats/" + chats.Chats[random.IntN(len(chats.Chats))].ID + "/messages" }},
		{name: "search", path: func(i int) string { return "/api/search?q=" + url.QueryEscape(searches[i%len(searches)]) }},
	}
	for i := range inboxRequests {
		for k := range kinds {
			begun := time.Now()
			if err := t.do(ctx, http.MethodGet, kinds[k].path(i), nil, nil); err != nil {
				return nil, err
			}
			kinds[k].took = append(kinds[k].took, time.Since(begun))
		}
	}
	inbound, err := measureInbound(ctx, f, t)
	if err != nil {
		return nil, fmt.Errorf("inbound: %w", err)
	}
	fmt.Fprintf(out, "%d messages, %d contacts; %d requests of each kind through the edge\n\n", inboxtest.Large.Messages, inboxtest.Large.Contacts, inboxRequests)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tp50 ms\tp99 ms\tmax ms\t")
	row := func(name string, d []time.Duration) {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t\n", name, ms(percentile(d, 50)), ms(percentile(d, 99)), ms(percentile(d, 100)))
	}
	for _, k := range kinds {
		row(k.name, k.took)
	}
	row("inbound message to event", inbound)
	w.Flush()
	p99 := func(d []time.Duration) float64 { return ms(percentile(d, 99)) }
	return inboxResult{p99(kinds[0].took), p99(kinds[1].took), p99(kinds[2].took), p99(inbound), inboxRequests}, nil
}

// measureInbound takes the time from a message at the stand-in to its event at
// the client.
func measureInbound(ctx context.Context, f *fixture, t *tenant) ([]time.Duration, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	joined, seen := make(chan struct{}), make(chan string, inboxInbound)
	ended := make(chan error, 1)
	go func() { // ends with ctx
		ended <- t.listen(ctx, func() { close(joined) }, func(name string, data json.RawMessage) {
			var m inbox.Message
			if name == inbox.EventMessage && json.Unmarshal(data, &m) == nil {
				seen <- m.Text
			}
		})
	}()
	select {
	case <-joined:
	case err := <-ended:
		return nil, err
	}
	sim := &whatsappsim.Client{BaseURL: f.SimURL()}
	var took []time.Duration
	for i := range inboxInbound {
		text := fmt.Sprintf("inbound %d", i)
		begun := time.Now()
		if _, err := sim.CustomerWrites(ctx, t.phone, customerPhone(i%soakCustomers), "Customer", text); err != nil {
			return nil, err
		}
		for arrived := ""; arrived != text; {
			select {
			case arrived = <-seen:
			case err := <-ended:
				return nil, err
			case <-time.After(time.Minute):
				return nil, fmt.Errorf("message %d never arrived", i)
			}
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}
