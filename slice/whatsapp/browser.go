package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// browser is one running Chromium with one page.
type browser struct {
	ctx    context.Context // chromedp's; ends when the browser is gone
	cancel context.CancelFunc
	target *chromedp.Target
	group  int // process group of the whole tree; 0 before the start
	queue  *pageQueue
}

// launch starts Chromium on the profile and prepares its page, which is still
// blank. The browser outlives ctx, so that close can end it gracefully.
func launch(ctx context.Context, cfg Config) (*browser, error) {
	flags, err := chromiumFlags(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &browser{queue: newPageQueue()}
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
	err = chromedp.Do(bctx, chromedp.Func(b.prepare))
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

// chromiumFlags are chosen for memory: see the numbers in docs. Not among them,
// on purpose: --no-sandbox, --single-process, --disable-web-security,
// --ignore-certificate-errors.
func chromiumFlags(ctx context.Context, cfg Config) ([]chromedp.ExecAllocatorOption, error) {
	agent, err := userAgent(ctx, cfg.ChromiumPath)
	if err != nil {
		return nil, err
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(cfg.ProfileDir),
		chromedp.UserAgent(agent),
		chromedp.WindowSize(1280, 800),
		chromedp.Flag("no-sandbox", cfg.DisableSandbox),
		chromedp.Flag("lang", "en-US"),
	}
	for _, name := range []string{
		"disable-gpu", "in-process-gpu", "disable-site-isolation-trials",
		"disable-background-networking", "disable-background-timer-throttling",
		"disable-backgrounding-occluded-windows", "disable-renderer-backgrounding",
		"disable-breakpad", "disable-crash-reporter", "disable-client-side-phishing-detection",
		"disable-component-update", "disable-default-apps", "disable-dev-shm-usage",
		"disable-domain-reliability", "disable-extensions", "disable-hang-monitor",
		"disable-popup-blocking", "disable-prompt-on-repost", "disable-sync", "no-pings",
		"metrics-recording-only", "disable-notifications", "disable-speech-api",
	} {
		opts = append(opts, chromedp.Flag(name, true))
	}
	return append(opts,
		chromedp.Flag("renderer-process-limit", "1"),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("disk-cache-size", "67108864"), // bytes; the page's own files, not the login
		chromedp.Flag("disable-features", strings.Join([]string{
			"BackForwardCache", "MediaRouter", "OptimizationHints", "Translate", "InterestFeedContentSuggestions",
			"AutofillServerCommunication", "CertificateTransparencyComponentUpdater", "DialMediaRouteProvider",
			"SpareRendererForSitePerProcess",
		}, ",")),
	), nil
}

var chromiumVersion = regexp.MustCompile(`([0-9]+)\.[0-9]+\.[0-9]+\.[0-9]+`)

// userAgent returns what a desktop Chrome of the same version sends. Headless
// Chromium names itself in it, and WhatsApp Web refuses that.
func userAgent(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{"HOME=" + os.TempDir(), "PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask Chromium for its version: %w", err)
	}
	m := chromiumVersion.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("ask Chromium for its version: no version in its answer")
	}
	return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + string(m[1]) + ".0.0.0 Safari/537.36", nil
}
