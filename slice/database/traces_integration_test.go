//go:build integration

package database_test

import (
	"strings"
	"testing"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/tracing"
	"ipnoelp.io/platform/tracing/tracingtest"
)

func TestQueriesOfATrace(t *testing.T) {
	collector := tracingtest.New(t)
	p := collector.Provider(t, "slice")
	pool, err := database.OpenTraced(databasetest.URL(t), p.Tracer())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), "CREATE TABLE filled (x text)"); err != nil { // in the background: no trace
		t.Fatal(err)
	}
	ctx, span := tracing.Start(t.Context(), p.Tracer(), "request")
	var n int
	if err := pool.QueryRow(ctx, "\n\t\tselect length($1)\n\t\t  AS n", "a secret").Scan(&n); err != nil || n != 8 {
		t.Fatal(n, err)
	}
	if _, err := pool.Exec(ctx, "INSERT INTO missing VALUES ($1)", "a secret"); err == nil {
		t.Fatal("it works")
	}
	tracing.End(span, nil)
	pool.Exec(ctx, "DELETE FROM missing") // after the end of the request
	p.Close()

	request, read, failed := collector.Named(t, "request"), collector.Named(t, "SELECT"), collector.Named(t, "INSERT")
	if read.Parent != request.SpanID || read.Failed || read.Attributes["db.query.text"] != "select length($1) AS n" || read.Kind != "SPAN_KIND_CLIENT" {
		t.Errorf("%+v", read)
	}
	if failed.Parent != request.SpanID || !failed.Failed {
		t.Errorf("%+v", failed)
	}
	if n := len(collector.Spans()); n != 3 {
		t.Errorf("%d spans: %+v", n, collector.Spans())
	}
	for _, s := range collector.Spans() {
		if strings.Contains(s.Text, "secret") || request.Failed {
			t.Errorf("%s", s.Text)
		}
	}
}
