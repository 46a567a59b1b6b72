package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/admin"
	"ipnoelp.io/platform/tracing"
)

// Config of the gateway.
type Config struct {
	ListenAddr      string     `env:"LISTEN_ADDR" envDefault:"127.0.0.1:8080"`
	DatabaseURL     string     `env:"DATABASE_URL"` // as role gateway; secret
	ConsulHTTPAddr  string     `env:"CONSUL_HTTP_ADDR" envDefault:"127.0.0.1:8500"`
	ConsulHTTPToken string     `env:"CONSUL_HTTP_TOKEN"` // reads services slice-*; secret
	NomadAddr       string     `env:"NOMAD_ADDR"`        // where admins' views come from; none of them when empty
	NomadToken      string     `env:"NOMAD_TOKEN"`       // policy nomad/policies/gateway.hcl; secret
	NomadUIURL      string     `env:"NOMAD_UI_URL"`      // where admins find Nomad's UI; optional
	PlatformKey     string     `env:"PLATFORM_KEY"`      // base64, at least 32 bytes; secret
	PublicURL       string     `env:"PUBLIC_URL"`        // https://host[:port], where browsers find the app
	WarmTarget      int        `env:"WARM_TARGET" envDefault:"1"`
	AdminEmail      string     `env:"ADMIN_EMAIL"`    // with ADMIN_PASSWORD: made an admin while there is none
	AdminPassword   string     `env:"ADMIN_PASSWORD"` // secret
	LogLevel        slog.Level `env:"LOG_LEVEL" envDefault:"INFO"`
	ServerTiming    bool       `env:"SERVER_TIMING"` // sign-ups tell how long the password hash took
	HashSocket      string     `env:"HASH_SOCKET"`   // Unix socket of a gateway hash-passwords; the gateway starts one for itself when empty

	// Proxies whose X-Forwarded-For and X-Request-Id are believed.
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" envDefault:"127.0.0.0/8,::1/128"`

	// What one slice may be sent: requests at once, requests a second, and how
	// many may come at once after a pause.
	SliceRequests int     `env:"SLICE_REQUESTS" envDefault:"64"`
	SliceRate     float64 `env:"SLICE_RATE" envDefault:"100"`
	SliceBurst    int     `env:"SLICE_BURST" envDefault:"400"`

	// DrainDelay lets load balancers notice that the gateway is not ready
	// before it refuses connections.
	DrainDelay time.Duration `env:"DRAIN_DELAY" envDefault:"2s"`

	Mail   MailConfig
	Traces tracing.Config

	publicURL   *url.URL
	nomadUI     *url.URL // nil for none
	platformKey []byte
}

// ParseConfig reads the environment and validates it.
func ParseConfig() (Config, error) {
	cfg, err := env.ParseAs[Config]()
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", named(err))
	}
	if err := cfg.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// named says which variables could not be parsed; package env says which
// fields.
func named(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var errs []error
	for _, e := range all.Errors {
		var p env.ParseError
		if errors.As(e, &p) {
			if f, ok := reflect.TypeFor[Config]().FieldByName(p.Name); ok {
				e = fmt.Errorf("%s: %w", f.Tag.Get("env"), p.Err)
			}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// Validate names every key that is wrong. It never shows the value of a secret.
func (c *Config) Validate() error {
	var errs []error
	fault := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if _, _, err := net.SplitHostPort(c.ListenAddr); err != nil {
		fault("LISTEN_ADDR", "%q is not host:port", c.ListenAddr)
	}
	if c.DatabaseURL == "" {
		fault("DATABASE_URL", "is required")
	} else if _, err := pgxpool.ParseConfig(c.DatabaseURL); err != nil {
		fault("DATABASE_URL", "is not a PostgreSQL URL")
	}
	if c.ConsulHTTPAddr == "" {
		fault("CONSUL_HTTP_ADDR", "is required")
	}
	if key, err := platform.ParsePlatformKey(c.PlatformKey); err != nil {
		fault("PLATFORM_KEY", "%v", err)
	} else {
		c.platformKey = key
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		fault("PUBLIC_URL", "%q is not https://host[:port]", c.PublicURL)
	} else {
		c.publicURL = u
	}
	if u, err := admin.ParseNomadUI(c.NomadUIURL); err != nil {
		fault("NOMAD_UI_URL", "%q is not http[s]://host[:port]", c.NomadUIURL)
	} else {
		c.nomadUI = u
	}
	if _, err := admin.ParseNomadUI(c.NomadAddr); err != nil {
		fault("NOMAD_ADDR", "%q is not http[s]://host[:port]", c.NomadAddr)
	}
	if c.WarmTarget < 1 {
		fault("WARM_TARGET", "%d is below 1", c.WarmTarget)
	}
	if (c.AdminEmail == "") != (c.AdminPassword == "") {
		fault("ADMIN_EMAIL", "ADMIN_EMAIL and ADMIN_PASSWORD go together")
	} else if c.AdminEmail != "" {
		first := platform.Credentials{Email: c.AdminEmail, Password: c.AdminPassword}
		var invalid *platform.Error
		if errors.As(first.Validate(), &invalid) {
			for _, f := range invalid.Fields {
				fault(map[string]string{"email": "ADMIN_EMAIL", "password": "ADMIN_PASSWORD"}[f.Field], "%s", f.Detail)
			}
		}
	}
	if c.SliceRequests < 1 {
		fault("SLICE_REQUESTS", "%d is below 1", c.SliceRequests)
	}
	if !(c.SliceRate > 0) || math.IsInf(c.SliceRate, 1) {
		fault("SLICE_RATE", "%g is not a number above 0", c.SliceRate)
	}
	if c.SliceBurst < 1 {
		fault("SLICE_BURST", "%d is below 1", c.SliceBurst)
	}
	if c.DrainDelay < 0 || c.DrainDelay > time.Minute {
		fault("DRAIN_DELAY", "%s is not between 0 and 1m", c.DrainDelay)
	}
	c.Mail.validate(fault)
	c.Traces.Validate(fault)
	return errors.Join(errs...)
}
