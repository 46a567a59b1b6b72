package main

import (
	"strings"
	"testing"
)

func TestConfigNamesTheBadKey(t *testing.T) {
	valid := map[string]string{
		"DATABASE_URL": "postgres://gateway:hunter2@127.0.0.1/platform", "PUBLIC_URL": "https://localhost:8443",
		"PLATFORM_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "LISTEN_ADDR": "127.0.0.1:8080",
		"CONSUL_HTTP_ADDR": "127.0.0.1:8500", "WARM_TARGET": "1", "SLICE_REQUESTS": "64", "SLICE_RATE": "100", "SLICE_BURST": "400", "LOG_LEVEL": "info", "DRAIN_DELAY": "2s",
		"ADMIN_EMAIL": "", "ADMIN_PASSWORD": "", "TRUSTED_PROXIES": "127.0.0.0/8", "SERVER_TIMING": "", "CONSUL_HTTP_TOKEN": "",
		"MAIL_FROM": "CRM <crm@example.com>", "MAIL_OUTBOX": "", "SMTP_ADDR": "smtp.example.com:587", "SMTP_TLS": "starttls",
		"SMTP_USERNAME": "crm", "SMTP_PASSWORD": "hunter2",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hunter2",
	}
	cases := []struct{ key, value, named string }{
		{"", "", ""},
		{"PUBLIC_URL", "", "PUBLIC_URL"},
		{"PUBLIC_URL", "localhost:8443", "PUBLIC_URL"},
		{"PUBLIC_URL", "https://localhost/app", "PUBLIC_URL"},
		{"DATABASE_URL", "", "DATABASE_URL"},
		{"DATABASE_URL", "postgres://gateway:hunter2@[", "DATABASE_URL"},
		{"PLATFORM_KEY", "aHVudGVyMg==", "PLATFORM_KEY"},
		{"PLATFORM_KEY", "hunter2!", "PLATFORM_KEY"},
		{"LISTEN_ADDR", "8080", "LISTEN_ADDR"},
		{"WARM_TARGET", "0", "WARM_TARGET"},
		{"SLICE_REQUESTS", "0", "SLICE_REQUESTS"},
		{"SLICE_RATE", "0", "SLICE_RATE"},
		{"SLICE_RATE", "NaN", "SLICE_RATE"},
		{"SLICE_RATE", "Inf", "SLICE_RATE"},
		{"SLICE_BURST", "-1", "SLICE_BURST"},
		{"ADMIN_PASSWORD", "hunter2", "ADMIN_EMAIL"},
		{"DRAIN_DELAY", "2h", "DRAIN_DELAY"},
		{"DRAIN_DELAY", "soon", "DRAIN_DELAY"},
		{"TRUSTED_PROXIES", "nginx", "TRUSTED_PROXIES"},
		{"MAIL_FROM", "nobody", "MAIL_FROM"},
		{"MAIL_OUTBOX", "log", "MAIL_OUTBOX"},
		{"SMTP_ADDR", "smtp.example.com", "SMTP_ADDR"},
		{"SMTP_ADDR", "smtp.example.com:smtp", "SMTP_ADDR"},
		{"SMTP_TLS", "none", "SMTP_TLS"},
		{"SMTP_TLS", "maybe", "SMTP_TLS"},
		{"SMTP_USERNAME", "", "SMTP_USERNAME"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "", ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_TRACES_SAMPLER", "rarely", "OTEL_TRACES_SAMPLER"},
	}
	for _, c := range cases {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			for k, v := range valid {
				t.Setenv(k, v)
			}
			if c.key != "" {
				t.Setenv(c.key, c.value)
			}
			_, err := ParseConfig()
			if c.named == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.named) {
				t.Errorf("error %v, want one that names %s", err, c.named)
			} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVyMg") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
