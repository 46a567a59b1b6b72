package slice

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"ipnoelp.io/platform/slice/login"
	"ipnoelp.io/platform/tracing"
)

// Config is a slice's configuration. String and log output never hold its
// secrets.
type Config struct {
	Number         int           `env:"SLICE_NUMBER"`
	Token          Secret        `env:"SLICE_TOKEN"`
	DatabaseURL    Secret        `env:"DATABASE_URL"`
	SnapshotKey    Secret        `env:"SLICE_SNAPSHOT_KEY"` // "" keeps no copies of the login
	WhatsAppURL    string        `env:"WHATSAPP_URL"`
	BundlePath     string        `env:"WA_JS_BUNDLE"`
	ListenAddr     string        `env:"LISTEN_ADDR" envDefault:":8080"`
	ProfileDir     string        `env:"PROFILE_DIR"`
	ChromiumPath   string        `env:"CHROMIUM_PATH" envDefault:"/usr/lib/chromium/chromium-headless-shell"`
	LogLevel       slog.Level    `env:"LOG_LEVEL" envDefault:"INFO"`
	ReconcileEvery time.Duration `env:"RECONCILE_EVERY"`  // 0 is inbox.DefaultReconcileEvery
	MediaQuota     int64         `env:"MEDIA_QUOTA_MIB"`  // 0 is media.DefaultQuota
	MemoryLimit    int64         `env:"MEMORY_LIMIT_MIB"` // of the container; 0 is none
	Traces         tracing.Config

	// DisableChromiumSandbox is for tests that run as root. It is not read from
	// the environment, so that no deployment can set it.
	DisableChromiumSandbox bool `env:"-"`
}

// Secret is a text that is not printed.
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

const (
	minTokenLength    = 32          // characters; a derived token has 43
	minReconcileEvery = time.Second // below it the comparison would never rest
)

// ParseConfig reads the configuration from the environment and validates it.
func ParseConfig() (Config, error) {
	var c Config
	if err := env.Parse(&c); err != nil {
		return Config{}, parseFault(err)
	}
	return c, c.Validate()
}

// parseFault names the keys at fault and leaves out their values.
func parseFault(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return errors.New("configuration cannot be read")
	}
	var faults []error
	for _, e := range all.Errors {
		var p env.ParseError
		if errors.As(e, &p) {
			faults = append(faults, fmt.Errorf("%s: not a %s", keyOf(p.Name), p.Type))
		} else {
			faults = append(faults, errors.New("configuration cannot be read"))
		}
	}
	return errors.Join(faults...)
}

// keyOf returns the environment variable of a field that has to be parsed.
func keyOf(field string) string {
	switch field {
	case "Number":
		return "SLICE_NUMBER"
	case "LogLevel":
		return "LOG_LEVEL"
	case "MediaQuota":
		return "MEDIA_QUOTA_MIB"
	case "MemoryLimit":
		return "MEMORY_LIMIT_MIB"
	case "ReconcileEvery":
		return "RECONCILE_EVERY"
	}
	return field
}

// Validate returns an error that names every key at fault.
func (c Config) Validate() error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Number < 1 {
		fault("SLICE_NUMBER", "must be a number from 1 on")
	}
	if len(c.Token) < minTokenLength {
		fault("SLICE_TOKEN", "must have at least %d characters", minTokenLength)
	}
	if n := len(c.SnapshotKey); n > 0 && n < login.MinKeyLength {
		fault("SLICE_SNAPSHOT_KEY", "must have at least %d characters", login.MinKeyLength)
	}
	if u, err := url.Parse(string(c.DatabaseURL)); err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		fault("DATABASE_URL", "must be a postgres:// URL")
	}
	if u, err := url.Parse(c.WhatsAppURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		fault("WHATSAPP_URL", "must be an http or https URL")
	}
	if c.BundlePath != "" {
		if err := readable(c.BundlePath); err != nil {
			fault("WA_JS_BUNDLE", "%v", err)
		}
	}
	if !strings.Contains(c.ListenAddr, ":") {
		fault("LISTEN_ADDR", "must be host:port")
	}
	if !strings.HasPrefix(c.ProfileDir, "/") {
		fault("PROFILE_DIR", "must be an absolute path")
	}
	if err := readable(c.ChromiumPath); err != nil {
		fault("CHROMIUM_PATH", "%v", err)
	}
	if c.ReconcileEvery != 0 && c.ReconcileEvery < minReconcileEvery {
		fault("RECONCILE_EVERY", "must be at least %v", minReconcileEvery)
	}
	if c.MediaQuota < 0 {
		fault("MEDIA_QUOTA_MIB", "must not be negative")
	}
	if c.MemoryLimit < 0 {
		fault("MEMORY_LIMIT_MIB", "must not be negative")
	}
	c.Traces.Validate(fault)
	return errors.Join(faults...)
}

func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return errors.New("is not the path of a file that can be read")
	case info.IsDir():
		return errors.New("is a folder, not a file")
	}
	return nil
}
