package whatsapp

import (
	"log/slog"
	"time"
)

// Config says what an Engine drives.
type Config struct {
	URL          string // the page to open
	BundlePath   string // wa-js, injected where the page has no WPP of its own; "" injects nothing
	ProfileDir   string // Chromium's profile; holds the login
	ChromiumPath string
	Logger       *slog.Logger
	Login        Login // nil keeps no copies
	MemoryLimit  int64 // bytes that this program and the browser may use together; 0 is no limit

	// DisableSandbox is for tests that run as root, where Chromium has no
	// sandbox. Message content is hostile input: never set it in production.
	DisableSandbox bool

	probeEvery   time.Duration // 0 is defaultProbeEvery; tests shorten it
	probeTimeout time.Duration // 0 is evalTimeout; tests shorten it
	copyAfter    time.Duration // 0 is defaultCopyAfter; tests shorten it
	loadTimeout  time.Duration // 0 is defaultLoadTimeout; tests shorten it
	memoryEvery  time.Duration // 0 is memoryEvery; tests shorten it

	memoryOf func(group int) (int64, error) // nil is memoryOf; tests make it up
}

const (
	// defaultProbeEvery is how often a page that says nothing is asked for its
	// state. Rare, because thousands of idle slices share a machine.
	defaultProbeEvery = 10 * time.Second

	// maxFailedProbes in a row mean that the page hangs.
	maxFailedProbes = 2

	evalTimeout        = 10 * time.Second // for one evaluation; a crashed renderer never answers
	launchTimeout      = 30 * time.Second // from exec to the first page; 0.2 s when the machine is idle
	commandTimeout     = 60 * time.Second // until the browser began to load a page
	defaultLoadTimeout = 60 * time.Second // from navigation to WPP being ready
	sendTimeout        = 30 * time.Second // until WhatsApp has a message; it may be slow to connect
	listTimeout        = 30 * time.Second // for lists of chats and messages; large accounts are slow
	closeTimeout       = 4 * time.Second  // for Browser.close, so that IndexedDB is written
	lookTimeout        = 900 * time.Millisecond
	recentLook         = time.Minute     // after a look, codes are kept fresh for this long
	conflictRetry      = 5 * time.Minute // until a session that was opened elsewhere is taken back
	healthyFor         = time.Minute     // a browser that ran this long resets the back-off
	minRestartWait     = 500 * time.Millisecond
	maxRestartWait     = 30 * time.Second

	// failedAfter restarts in a row without a loaded page the state is failed.
	failedAfter = 3
)
