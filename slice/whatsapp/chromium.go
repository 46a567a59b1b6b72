package whatsapp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromiumFlags are chosen for memory. In process, the GPU's and the network's
// parts save 10 MB and more each; without a software rasterizer it is 10 MB
// again, without the second zygote, which nothing uses here, 8 MB, and without
// V8's middle compiler 6 MB of a large account's page. Measured without gain: low-end
// mode, V8 optimised for size, small young generations, one malloc arena. Not among them, on purpose: --no-sandbox, --single-process,
// --disable-web-security, --ignore-certificate-errors.
func chromiumFlags(cfg Config, version string) []chromedp.ExecAllocatorOption {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(cfg.ProfileDir),
		chromedp.UserAgent(userAgent(version)),
		chromedp.WindowSize(800, 600), // nobody sees it, and frames take memory
		chromedp.Flag("no-sandbox", cfg.DisableSandbox),
		chromedp.Flag("lang", "en-US"),
	}
	for _, name := range []string{
		"disable-gpu", "in-process-gpu", "disable-software-rasterizer", "disable-site-isolation-trials",
		"disable-background-networking", "disable-background-timer-throttling",
		"disable-backgrounding-occluded-windows", "disable-renderer-backgrounding",
		"disable-breakpad", "disable-crash-reporter", "disable-client-side-phishing-detection",
		"disable-component-update", "disable-default-apps", "disable-dev-shm-usage",
		"disable-domain-reliability", "disable-extensions", "disable-hang-monitor",
		"disable-popup-blocking", "disable-prompt-on-repost", "disable-sync", "no-pings", "no-unsandboxed-zygote",
		"metrics-recording-only", "disable-notifications", "disable-speech-api",
	} {
		opts = append(opts, chromedp.Flag(name, true))
	}
	return append(opts,
		chromedp.Flag("renderer-process-limit", "1"),
		chromedp.Flag("enable-features", "NetworkServiceInProcess2"),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("js-flags", "--no-maglev"),
		chromedp.Flag("disk-cache-size", "67108864"), // bytes; the page's own files, not the login
		chromedp.Flag("disable-features", strings.Join([]string{
			"BackForwardCache", "MediaRouter", "OptimizationHints", "Translate", "InterestFeedContentSuggestions",
			"AutofillServerCommunication", "CertificateTransparencyComponentUpdater", "DialMediaRouteProvider",
			"SpareRendererForSitePerProcess",
		}, ",")),
	)
}

var chromiumVersion = regexp.MustCompile(`([0-9]+)\.[0-9]+\.[0-9]+\.[0-9]+`)

// chromiumMajor asks Chromium for its major version, which takes 50 ms.
func chromiumMajor(ctx context.Context, path string) (string, error) {
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
	return string(m[1]), nil
}

// userAgent returns what a desktop Chrome of the same version sends. Headless
// Chromium names itself in it, and WhatsApp Web refuses that.
func userAgent(version string) string {
	return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + version + ".0.0.0 Safari/537.36"
}

// clientHints say in another form what the user agent says.
func clientHints(version string) *emulation.UserAgentMetadata {
	return &emulation.UserAgentMetadata{
		Brands: []*emulation.UserAgentBrandVersion{
			{Brand: "Chromium", Version: version},
			{Brand: "Google Chrome", Version: version},
			{Brand: "Not:A-Brand", Version: "8"},
		},
		Platform:     "Linux",
		Architecture: "x86",
		Bitness:      "64",
	}
}
