package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// browser is one running Chromium with one page.
type browser struct {
	ctx     context.Context // chromedp's; ends when the browser is gone
	cancel  context.CancelFunc
	target  *chromedp.Target
	group   int    // process group of the whole tree; 0 before the start
	version string // Chromium's major version
	queue   *pageQueue
	files   atomic.Int64 // counts the files that went through the page
	calls   atomic.Int64 // under way
	used    atomic.Int64 // Unix nanoseconds of the latest call or event
}

// launch starts Chromium on the profile and prepares its page, which is still
// blank. The browser outlives ctx, so that close can end it gracefully.
func launch(ctx context.Context, cfg Config, version string) (*browser, error) {
	flags := chromiumFlags(cfg, version)
	b := &browser{queue: newPageQueue(), version: version}
	b.touch()
	var cmd *exec.Cmd
	opts := append(flags,
		chromedp.ExecPath(cfg.ChromiumPath),
		// The browser gets none of our variables: some are secrets.
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+os.TempDir(), "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ="+os.Getenv("TZ")),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			cmd = c
		}))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.WithoutCancel(ctx), opts...)
	bctx, cancelBrowser := chromedp.NewContext(alloc, chromedp.WithListener(b.queue.listen),
		// Details of the protocol may hold message text: they are not logged.
		chromedp.WithLogf(discardf), chromedp.WithErrorf(discardf))
	b.ctx, b.cancel = bctx, func() { cancelBrowser(); cancelAlloc() }

	// The first run starts the browser and ties its life to the context it is
	// given, so the limit is a cancellation from outside.
	limit := time.AfterFunc(launchTimeout, cancelBrowser)
	stop := context.AfterFunc(ctx, cancelBrowser)
	err := chromedp.Do(bctx, chromedp.Func(b.prepare))
	limit.Stop()
	stop()
	if cmd != nil && cmd.Process != nil {
		b.group = cmd.Process.Pid
	}
	if err == nil {
		err = bctx.Err()
	}
	if err != nil {
		b.kill()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return b, nil
}

// prepare sets up the blank page. What chromedp enables for its selectors is
// turned off: it makes Chromium keep copies of the document and of responses.
func (b *browser) prepare(ctx context.Context, t *chromedp.Target) error {
	b.target = t
	steps := []struct {
		method string
		params any
	}{
		{css.Disable.Method, cdp.Empty{}},
		{dom.Disable.Method, cdp.Empty{}},
		{network.Disable.Method, cdp.Empty{}},
		{cdplog.Disable.Method, cdp.Empty{}},
		{target.SetDiscoverTargets.Method, target.SetDiscoverTargetsParams{Discover: false}},
		{page.SetLifecycleEventsEnabled.Method, page.SetLifecycleEventsEnabledParams{Enabled: false}},
		{emulation.SetUserAgentOverride.Method, emulation.SetUserAgentOverrideParams{UserAgent: userAgent(b.version), UserAgentMetadata: clientHints(b.version)}},
		{page.SetBypassCSP.Method, page.SetBypassCSPParams{Enabled: true}},
		{runtime.AddBinding.Method, runtime.AddBindingParams{Name: bindingName}},
		{page.AddScriptToEvaluateOnNewDocument.Method, page.AddScriptToEvaluateOnNewDocumentParams{Source: configScript}},
	}
	for _, s := range steps {
		if err := t.Call(ctx, s.method, s.params, nil); err != nil {
			return fmt.Errorf("%s: %w", s.method, err)
		}
	}
	return nil
}

// touch records that the page is in use.
func (b *browser) touch() { b.used.Store(time.Now().UnixNano()) }

// idleSince returns how long the page has not been in use.
func (b *browser) idleSince(now time.Time) time.Duration {
	if b.calls.Load() > 0 {
		return 0
	}
	return now.Sub(time.Unix(0, b.used.Load()))
}

// close ends the browser gracefully, so that IndexedDB is written, and then
// whatever is left of its processes.
func (b *browser) close() error {
	ctx, cancel := context.WithTimeout(b.ctx, closeTimeout)
	defer cancel()
	var err error
	if b.ctx.Err() == nil {
		if err = chromedp.Cancel(ctx); errors.Is(err, context.Canceled) {
			err = nil // it was gone before it could answer
		}
	}
	b.kill()
	return err
}

// kill ends the browser and all its processes at once.
func (b *browser) kill() {
	if b.group > 0 {
		// The group outlives its leader as long as a member lives.
		syscall.Kill(-b.group, syscall.SIGKILL)
	}
	b.cancel()
}

func discardf(string, ...any) {}
