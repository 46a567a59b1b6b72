package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/caarlos0/env/v11"
)

// Config says which stack runs on this machine and with what. Two stacks with
// different names and ports can run side by side.
type Config struct {
	Name       string `env:"STACK_NAME" envDefault:"dev"`
	StateDir   string `env:"STACK_DIR"`                    // default /var/lib/ipnoelp/<name>
	CacheDir   string `env:"STACK_CACHE_DIR"`              // default the user's cache folder
	PortOffset int    `env:"STACK_PORT_OFFSET"`            // added to every port below
	HTTPSPort  int    `env:"HTTPS_PORT" envDefault:"8443"` // the app

	WarmTarget   int    `env:"WARM_TARGET" envDefault:"1"`
	WhatsAppURL  string `env:"WHATSAPP_URL"` // empty: demo mode, with the stand-in
	AdminEmail   string `env:"ADMIN_EMAIL" envDefault:"admin@example.com"`
	ServerTiming bool   `env:"SERVER_TIMING"` // for benchmarks: what hashing took, in a header

	SourceDir string // the checkout; found from this package's own place
}

// Ports before PortOffset is added.
const (
	consulHTTPPort   = 8500
	consulServerPort = 8300
	consulSerfPort   = 8301
	nomadHTTPPort    = 4646
	nomadRPCPort     = 4647
	nomadSerfPort    = 4648
	postgresPort     = 5442 // beside a PostgreSQL that the machine may have
	whatsappSimPort  = 9080
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)

// ConfigFromEnv reads the configuration and validates it.
func ConfigFromEnv() (Config, error) {
	c, err := env.ParseAs[Config]()
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	return c, c.Validate()
}

// Validate fills what was left empty and returns an error that names the key
// at fault.
func (c *Config) Validate() error {
	if !namePattern.MatchString(c.Name) {
		return fmt.Errorf("STACK_NAME: %q: want a lower-case letter, then up to 19 letters, digits or dashes", c.Name)
	}
	if c.StateDir == "" {
		c.StateDir = filepath.Join("/var/lib/ipnoelp", c.Name)
	}
	if !filepath.IsAbs(c.StateDir) || len(c.StateDir) > 40 {
		// Nomad puts Unix sockets deep below it, whose paths are limited to 108 bytes.
		return fmt.Errorf("STACK_DIR: %q: want an absolute path of at most 40 bytes", c.StateDir)
	}
	if c.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("STACK_CACHE_DIR: %w", err)
		}
		c.CacheDir = filepath.Join(dir, "ipnoelp")
	}
	if c.WarmTarget < 1 || c.WarmTarget > 1000 {
		return fmt.Errorf("WARM_TARGET: %d: want 1 to 1000", c.WarmTarget)
	}
	if c.PortOffset < 0 || c.PortOffset > 40000 {
		return fmt.Errorf("STACK_PORT_OFFSET: %d: want 0 to 40000", c.PortOffset)
	}
	if c.HTTPSPort < 1 || c.HTTPSPort+c.PortOffset > 65535 {
		return fmt.Errorf("HTTPS_PORT: %d: want 1 to 65535", c.HTTPSPort)
	}
	if c.SourceDir == "" {
		_, file, _, ok := runtime.Caller(0)
		if !ok {
			return errors.New("the checkout's place is unknown: build without -trimpath")
		}
		c.SourceDir = filepath.Dir(filepath.Dir(filepath.Dir(file)))
	}
	if _, err := os.Stat(filepath.Join(c.SourceDir, "go.mod")); err != nil {
		return fmt.Errorf("the checkout is not at %s: %w", c.SourceDir, err)
	}
	return nil
}

// Demo reports whether slices open the stand-in instead of WhatsApp.
func (c *Config) Demo() bool { return c.WhatsAppURL == "" }

// Test returns the configuration of the stack that the tests run on: beside a
// development stack, with state of its own.
func Test() Config {
	return Config{Name: "test", PortOffset: 10000, HTTPSPort: 8443, WarmTarget: 1, AdminEmail: "admin@example.com", ServerTiming: true}
}

func (c *Config) port(base int) int { return base + c.PortOffset }

// dynamicPorts is the range from which Nomad takes the ports of slices; it
// differs between stacks on one machine.
func (c *Config) dynamicPorts() (low, high int) {
	const first, size = 20000, 2500 // below the kernel's own range, 32768 up
	slot := min(c.PortOffset/5000, 4)
	return first + slot*size, first + (slot+1)*size - 1
}

func (c *Config) consulAddr() string { return fmt.Sprintf("127.0.0.1:%d", c.port(consulHTTPPort)) }
func (c *Config) nomadAddr() string {
	return fmt.Sprintf("http://127.0.0.1:%d", c.port(nomadHTTPPort))
}

// AppURL is where browsers reach the app.
func (c *Config) AppURL() string { return fmt.Sprintf("https://127.0.0.1:%d", c.port(c.HTTPSPort)) }

// nodeName labels everything that this stack's Nomad agent starts.
func (c *Config) nodeName() string { return "ipnoelp-" + c.Name }

func (c *Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.StateDir}, elem...)...)
}

// Bench returns the configuration of the stack that the benchmarks run on.
func Bench() Config {
	return Config{Name: "bench", PortOffset: 20000, HTTPSPort: 8443, WarmTarget: 1, AdminEmail: "admin@example.com", ServerTiming: true}
}
