package slice

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func setEnv(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"SLICE_NUMBER": "42", "SLICE_TOKEN": strings.Repeat("t", 43), "DATABASE_URL": "postgres://u:hidden@db/wa_slice_42",
		"WHATSAPP_URL": "https://web.whatsapp.com/", "WA_JS_BUNDLE": "", "LISTEN_ADDR": "", "PROFILE_DIR": "/data/profile",
		"CHROMIUM_PATH": self, "LOG_LEVEL": "", "RECONCILE_EVERY": "", "MEDIA_QUOTA_MIB": "", "MEMORY_LIMIT_MIB": "", "SLICE_SNAPSHOT_KEY": "",
	} {
		t.Setenv(k, v)
		if v == "" {
			os.Unsetenv(k) // Setenv puts it back after the test
		}
	}
}

func TestParseConfig(t *testing.T) {
	setEnv(t)
	c, err := ParseConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.Number != 42 || c.ListenAddr != ":8080" || c.LogLevel != slog.LevelInfo || c.DisableChromiumSandbox {
		t.Errorf("config %+v", c)
	}
	t.Setenv("LOG_LEVEL", "debug")
	if c, err = ParseConfig(); err != nil || c.LogLevel != slog.LevelDebug {
		t.Errorf("log level %v, %v", c.LogLevel, err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	setEnv(t)
	c, err := ParseConfig()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "token", c.Token)
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), log.String()} {
		if strings.Contains(s, "hidden") || strings.Contains(s, "ttt") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestBadConfigNamesTheKey(t *testing.T) {
	for key, value := range map[string]string{
		"SLICE_NUMBER": "0", "SLICE_TOKEN": "short-secret", "DATABASE_URL": "mysql://u:hidden@db", "WHATSAPP_URL": "web.whatsapp.com",
		"WA_JS_BUNDLE": "/nowhere/wa.js", "LISTEN_ADDR": "8080", "PROFILE_DIR": "profile", "CHROMIUM_PATH": "/tmp",
		"RECONCILE_EVERY": "1ms", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318", "MEDIA_QUOTA_MIB": "-1", "MEMORY_LIMIT_MIB": "-1", "SLICE_SNAPSHOT_KEY": "short-secret",
	} {
		t.Run(key, func(t *testing.T) {
			setEnv(t)
			t.Setenv(key, value)
			_, err := ParseConfig()
			if err == nil || !strings.HasPrefix(err.Error(), key+": ") {
				t.Fatalf("%v, want it to name %s", err, key)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	for key, value := range map[string]string{"SLICE_NUMBER": "x", "LOG_LEVEL": "loud", "RECONCILE_EVERY": "often", "MEDIA_QUOTA_MIB": "much", "MEMORY_LIMIT_MIB": "all"} {
		t.Run(key+" of another type", func(t *testing.T) {
			setEnv(t)
			t.Setenv(key, value)
			if _, err := ParseConfig(); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
				t.Fatalf("%v, want it to name %s", err, key)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		setEnv(t)
		t.Setenv("SLICE_NUMBER", "0")
		t.Setenv("PROFILE_DIR", "x")
		if _, err := ParseConfig(); err == nil || !strings.Contains(err.Error(), "SLICE_NUMBER") || !strings.Contains(err.Error(), "PROFILE_DIR") {
			t.Errorf("%v, want it to name both keys", err)
		}
	})
}
