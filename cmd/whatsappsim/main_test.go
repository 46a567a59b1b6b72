package main

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"ipnoelp.io/platform/whatsappsim"
)

func TestValidateNamesTheKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config Config
		key    string
	}{
		{Config{ListenAddr: []string{"127.0.0.1:0"}, LogLevel: "info"}, ""},
		{Config{LogLevel: "info"}, "LISTEN_ADDR"},
		{Config{ListenAddr: []string{"9080"}, LogLevel: "info"}, "LISTEN_ADDR"},
		{Config{ListenAddr: []string{":9080"}, LogLevel: "loud"}, "LOG_LEVEL"},
	} {
		err := test.config.Validate()
		if (err == nil) != (test.key == "") || err != nil && !strings.HasPrefix(err.Error(), test.key+":") {
			t.Errorf("%+v: %v", test.config, err)
		}
	}
}

func TestRunServesEveryAddressUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	config := Config{
		ListenAddr: []string{"127.0.0.1:0", "127.0.0.1:0"},
		StateFile:  filepath.Join(t.TempDir(), "state.json"),
		LogLevel:   "error",
	}
	p, err := newProgram(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	for _, l := range p.listeners {
		client := whatsappsim.Client{BaseURL: "http://" + l.Addr().String()}
		if _, err := client.CreateAccount(t.Context(), "4915112345678", "Ana"); err != nil {
			t.Error(err)
		}
		// An open stream must not keep the program from ending.
		resp, err := http.Get(client.BaseURL + "/control/accounts/4915112345678/events")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	again, err := whatsappsim.New(whatsappsim.Config{StateFile: config.StateFile})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	t.Parallel()
	first, err := newProgram(t.Context(), Config{ListenAddr: []string{"127.0.0.1:0"}, LogLevel: "error"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if p, err := newProgram(t.Context(), Config{ListenAddr: []string{first.listeners[0].Addr().String()}, LogLevel: "error"}); err == nil {
		p.Close()
		t.Error("accepted")
	}
}
