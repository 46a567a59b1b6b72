package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/net/http/httpguts"
)

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
)

// Config is OpenTelemetry's own environment, as far as it is used here: traces,
// sent as protobuf over HTTP. The variables of traces go before the general ones.
type Config struct {
	Endpoint       string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`        // base URL of the collector; "" is off
	TracesEndpoint string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"` // whole URL
	Protocol       string `env:"OTEL_EXPORTER_OTLP_PROTOCOL"`        // http/protobuf, the only one
	TracesProtocol string `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"`
	Headers        Secret `env:"OTEL_EXPORTER_OTLP_HEADERS"` // name=value,…
	TracesHeaders  Secret `env:"OTEL_EXPORTER_OTLP_TRACES_HEADERS"`
	Timeout        string `env:"OTEL_EXPORTER_OTLP_TIMEOUT"` // ms; 10000
	TracesTimeout  string `env:"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"`
	Exporter       string `env:"OTEL_TRACES_EXPORTER"` // otlp, or none
	Disabled       string `env:"OTEL_SDK_DISABLED"`    // true is off
	ServiceName    string `env:"OTEL_SERVICE_NAME"`    // else the program's
	Sampler        string `env:"OTEL_TRACES_SAMPLER"`  // else parentbased_always_on
	SamplerArg     string `env:"OTEL_TRACES_SAMPLER_ARG"`
}

// Secret is a text that is not printed.
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

func (c *Config) on() bool {
	return (c.Endpoint != "" || c.TracesEndpoint != "") && c.Exporter != "none" && !strings.EqualFold(c.Disabled, "true")
}

// Validate names every variable that is wrong, and shows no secret. Where
// tracing is off nothing is wrong.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	if !c.on() {
		return
	}
	if c.Exporter != "" && c.Exporter != "otlp" {
		fault("OTEL_TRACES_EXPORTER", "%q is neither otlp nor none", c.Exporter)
	}
	for _, p := range []struct{ key, value string }{
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", c.TracesProtocol}, {"OTEL_EXPORTER_OTLP_PROTOCOL", c.Protocol},
	} {
		if p.value != "" && p.value != "http/protobuf" {
			fault(p.key, "%q is not http/protobuf, the only one that is spoken here", p.value)
		}
	}
	if _, key, err := c.endpoint(); err != nil {
		fault(key, "%v", err)
	}
	if _, key, err := c.headers(); err != nil {
		fault(key, "%v", err)
	}
	if _, key, err := c.timeout(); err != nil {
		fault(key, "%v", err)
	}
	if _, err := c.sampler(); err != nil {
		key := "OTEL_TRACES_SAMPLER"
		if errors.Is(err, errRatio) {
			key = "OTEL_TRACES_SAMPLER_ARG"
		}
		fault(key, "%v", err)
	}
	if _, err := c.resource(); err != nil {
		fault("OTEL_RESOURCE_ATTRIBUTES", "is not name=value, separated by commas")
	}
}

// endpoint is where the spans go, and the variable that says it.
func (c *Config) endpoint() (_ *url.URL, key string, err error) {
	key, value := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.TracesEndpoint
	if value == "" {
		key, value = "OTEL_EXPORTER_OTLP_ENDPOINT", c.Endpoint
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, key, errors.New("is not http[s]://host[:port], such as http://127.0.0.1:4318") // it may hold a password
	}
	if c.TracesEndpoint == "" {
		u = u.JoinPath("v1/traces")
	}
	return u, key, nil
}

func (c *Config) headers() (_ http.Header, key string, err error) {
	key, text := "OTEL_EXPORTER_OTLP_TRACES_HEADERS", string(c.TracesHeaders)
	if text == "" {
		key, text = "OTEL_EXPORTER_OTLP_HEADERS", string(c.Headers)
	}
	h := http.Header{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, key, errors.New("is not name=value, separated by commas")
		}
		h.Add(name, value)
	}
	return h, key, nil
}

func (c *Config) timeout() (_ time.Duration, key string, err error) {
	key, text := "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", c.TracesTimeout
	if text == "" {
		key, text = "OTEL_EXPORTER_OTLP_TIMEOUT", c.Timeout
	}
	if text == "" {
		return defaultTimeout, key, nil
	}
	ms, err := strconv.Atoi(text)
	if d := time.Duration(ms) * time.Millisecond; err == nil && d > 0 && d <= maxTimeout {
		return d, key, nil
	}
	return 0, key, fmt.Errorf("%q is not a number of milliseconds from 1 to %d", text, maxTimeout.Milliseconds())
}

var errRatio = errors.New("is not a number from 0 to 1")

// sampler decides which traces are kept. Those that begin with parentbased_ go
// by what the program before decided: a trace is whole or not there.
func (c *Config) sampler() (sdktrace.Sampler, error) {
	name, ofParent := strings.CutPrefix(c.Sampler, "parentbased_")
	var root sdktrace.Sampler
	switch {
	case c.Sampler == "":
		root, ofParent = sdktrace.AlwaysSample(), true
	case name == "always_on":
		root = sdktrace.AlwaysSample()
	case name == "always_off":
		root = sdktrace.NeverSample()
	case name == "traceidratio":
		ratio := 1.0
		if c.SamplerArg != "" {
			var err error
			if ratio, err = strconv.ParseFloat(c.SamplerArg, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
				return nil, fmt.Errorf("%q %w", c.SamplerArg, errRatio)
			}
		}
		root = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("%q is none of always_on, always_off, traceidratio, and these with parentbased_ before", c.Sampler)
	}
	if ofParent {
		return sdktrace.ParentBased(root), nil
	}
	return root, nil
}

// resource is what the environment says of this process.
func (c *Config) resource() (*resource.Resource, error) {
	return resource.New(context.Background(), resource.WithFromEnv(), resource.WithTelemetrySDK())
}
