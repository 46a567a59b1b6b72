package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/provisioner"
	"ipnoelp.io/platform/tracing"
)

// Config of the provisioner.
type Config struct {
	ListenAddr      string     `env:"LISTEN_ADDR" envDefault:"127.0.0.1:8081"` // /healthz, /readyz, /metrics
	DatabaseURL     string     `env:"DATABASE_URL"`                            // as role provisioner; secret
	NomadAddr       string     `env:"NOMAD_ADDR" envDefault:"http://127.0.0.1:4646"`
	NomadToken      string     `env:"NOMAD_TOKEN"` // policy nomad/policies/provisioner.hcl; secret
	ConsulHTTPAddr  string     `env:"CONSUL_HTTP_ADDR" envDefault:"127.0.0.1:8500"`
	ConsulHTTPToken string     `env:"CONSUL_HTTP_TOKEN"` // policy consul/policies/provisioner.hcl; secret
	PlatformKey     string     `env:"PLATFORM_KEY"`      // base64, at least 32 bytes; secret
	LogLevel        slog.Level `env:"LOG_LEVEL" envDefault:"INFO"`

	WarmTarget       int           `env:"WARM_TARGET" envDefault:"1"`        // slices kept warm beside those for the queue
	Concurrency      int           `env:"CONCURRENCY" envDefault:"4"`        // slices being changed at once
	MaxStarting      int           `env:"MAX_STARTING" envDefault:"8"`       // slices on their way to warm at once
	ProvisionTimeout time.Duration `env:"PROVISION_TIMEOUT" envDefault:"2m"` // then a slice has failed

	SliceImage           string   `env:"SLICE_IMAGE"`
	SliceDatabaseHost    string   `env:"SLICE_DATABASE_HOST"`                        // host:port at which slices reach PostgreSQL
	SliceDatabaseSSLMode string   `env:"SLICE_DATABASE_SSLMODE" envDefault:"prefer"` // disable, prefer, require, verify-full
	SliceDatacenters     []string `env:"SLICE_DATACENTERS" envDefault:"*"`           // where slices may run
	SliceCPU             int      `env:"SLICE_CPU" envDefault:"50"`                  // MHz
	SliceMemory          int      `env:"SLICE_MEMORY" envDefault:"256"`              // MiB reserved
	SliceMemoryMax       int      `env:"SLICE_MEMORY_MAX" envDefault:"1024"`         // MiB where the machine has them
	WhatsAppURL          string   `env:"WHATSAPP_URL" envDefault:"https://web.whatsapp.com/"`
	SeccompProfile       string   `env:"SECCOMP_PROFILE"` // path on every Nomad client
	AppURL               string   `env:"APP_URL"`         // for the link in the Nomad UI; optional

	// Where slices send traces, as OTEL_EXPORTER_OTLP_ENDPOINT, and the part of
	// what they begin themselves that is kept.
	SliceOTLPEndpoint string `env:"SLICE_OTLP_ENDPOINT"` // "" for none
	SliceTraceRatio   string `env:"SLICE_TRACE_RATIO" envDefault:"1"`

	// InstanceID names this process and no other one that runs at the same
	// time. One that Nomad starts again in its place has the same, and carries
	// on at once where it was killed.
	InstanceID string `env:"INSTANCE_ID"` // the Nomad allocation, or random, unless set

	// LeaderKey is the lock in Consul; installations that share one differ in
	// what they add to it.
	LeaderKey string `env:"LEADER_KEY" envDefault:"platform/provisioner/leader"`

	Traces tracing.Config

	// FaultPoint ends the process at that step, for tests.
	FaultPoint string `env:"FAULT_POINT"`

	platformKey []byte
}

// ParseConfig reads the environment and validates it.
func ParseConfig() (Config, error) {
	cfg, err := env.ParseAs[Config]()
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if cfg.InstanceID == "" {
		cfg.InstanceID = os.Getenv("NOMAD_ALLOC_ID")
	}
	if cfg.InstanceID == "" {
		cfg.InstanceID = uuid.NewString()
	}
	if err := cfg.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// Validate names every key that is wrong. It never shows the value of a secret.
func (c *Config) Validate() error {
	var errs []error
	fault := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	for key, addr := range map[string]string{"LISTEN_ADDR": c.ListenAddr, "SLICE_DATABASE_HOST": c.SliceDatabaseHost} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fault(key, "%q is not host:port", addr)
		}
	}
	if c.DatabaseURL == "" {
		fault("DATABASE_URL", "is required")
	} else if _, err := pgxpool.ParseConfig(c.DatabaseURL); err != nil {
		fault("DATABASE_URL", "is not a PostgreSQL URL")
	}
	for key, s := range map[string]string{"NOMAD_ADDR": c.NomadAddr, "WHATSAPP_URL": c.WhatsAppURL, "APP_URL": c.AppURL} {
		if u, err := url.Parse(s); (s != "" || key != "APP_URL") && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
			fault(key, "%q is not an http or https URL", s)
		}
	}
	if c.ConsulHTTPAddr == "" {
		fault("CONSUL_HTTP_ADDR", "is required")
	}
	if key, err := platform.ParsePlatformKey(c.PlatformKey); err != nil {
		fault("PLATFORM_KEY", "%v", err)
	} else {
		c.platformKey = key
	}
	for key, n := range map[string]int{"WARM_TARGET": c.WarmTarget, "CONCURRENCY": c.Concurrency, "MAX_STARTING": c.MaxStarting,
		"SLICE_CPU": c.SliceCPU, "SLICE_MEMORY": c.SliceMemory} {
		if n < 1 {
			fault(key, "%d is below 1", n)
		}
	}
	if c.SliceMemoryMax < c.SliceMemory {
		fault("SLICE_MEMORY_MAX", "%d is below SLICE_MEMORY, %d", c.SliceMemoryMax, c.SliceMemory)
	}
	if c.ProvisionTimeout < time.Second {
		fault("PROVISION_TIMEOUT", "%s is below 1s", c.ProvisionTimeout)
	}
	if name := c.SliceImage[strings.LastIndex(c.SliceImage, "/")+1:]; !strings.ContainsAny(name, ":@") || strings.HasSuffix(name, ":latest") {
		fault("SLICE_IMAGE", "%q does not name a version: want name:tag, and not the tag latest", c.SliceImage)
	}
	if modes := []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}; !slices.Contains(modes, c.SliceDatabaseSSLMode) {
		fault("SLICE_DATABASE_SSLMODE", "%q is none of %s", c.SliceDatabaseSSLMode, strings.Join(modes, ", "))
	}
	if c.SeccompProfile == "" {
		fault("SECCOMP_PROFILE", "is required")
	}
	if len(c.SliceDatacenters) == 0 {
		fault("SLICE_DATACENTERS", "is required")
	}
	if !strings.HasPrefix(c.LeaderKey, consul.LeaderKey) {
		fault("LEADER_KEY", "%q does not begin with %s, where the provisioner has rights", c.LeaderKey, consul.LeaderKey)
	}
	c.Traces.Validate(fault)
	ofSlices := tracing.Config{Endpoint: c.SliceOTLPEndpoint, Sampler: "traceidratio", SamplerArg: c.SliceTraceRatio}
	ofSlices.Validate(func(key, format string, args ...any) {
		fault(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "SLICE_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG": "SLICE_TRACE_RATIO"}[key], format, args...)
	})
	if c.FaultPoint != "" && !slices.Contains(faultSteps(), provisioner.Step(c.FaultPoint)) {
		fault("FAULT_POINT", "%q is not among those that -fault-points lists", c.FaultPoint)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// jobVariables are those of jobs/slice.nomad.hcl that all slices share.
func (c *Config) jobVariables() map[string]any {
	return map[string]any{
		"image":           c.SliceImage,
		"datacenters":     c.SliceDatacenters,
		"whatsapp_url":    c.WhatsAppURL,
		"seccomp_profile": c.SeccompProfile,
		"cpu":             c.SliceCPU,
		"memory":          c.SliceMemory,
		"memory_max":      c.SliceMemoryMax,
		"app_url":         c.AppURL,
		"otlp_endpoint":   c.SliceOTLPEndpoint,
		"trace_ratio":     c.SliceTraceRatio,
	}
}
