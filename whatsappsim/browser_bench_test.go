//go:build integration

package whatsappsim

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The large account: how long its first sync takes, how long its page takes to
// load after that, what its objects weigh, and what saving it costs.
func BenchmarkLargeAccount(b *testing.B) {
	for b.Loop() {
		measureLargeAccount(b)
	}
}

func measureLargeAccount(b *testing.B) {
	file := filepath.Join(b.TempDir(), "state.json")
	server, err := New(Config{StateFile: file})
	if err != nil {
		b.Fatal(err)
	}
	s := serve(b, server)
	start := time.Now()
	if _, err := s.client.Populate(b.Context(), phoneNumber, Population{Chats: 500, Messages: 50_000, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "populate-ms")

	start = time.Now()
	if err := server.store.save(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "save-ms")
	if info, err := os.Stat(file); err == nil {
		b.ReportMetric(float64(info.Size())/(1<<20), "state-MiB")
	}

	page := startBrowser(b, b.TempDir())
	start = time.Now()
	s.scan(page)
	page.waitFor(ready, 2*time.Minute)
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "sync-ms")
	start = time.Now()
	if err := chromedp.Do(page.ctx, chromedp.Reload()); err != nil {
		b.Fatal(err)
	}
	page.waitFor(ready, 2*time.Minute)
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "load-ms")
	if n := eval[int](page, `(await WPP.chat.list()).length`); n != 500 {
		b.Errorf("%d chats", n)
	}
	b.ReportMetric(eval[float64](page, `(() => { const t = performance.now(); for (let i = 0; i < 20; i++) WPP.chat.list(); return (performance.now() - t) / 20; })()`), "list-ms")
	b.ReportMetric(eval[float64](page, `(() => performance.memory.usedJSHeapSize / 1048576)()`), "heap-MiB")
	b.ReportMetric(0, "ns/op")
}
