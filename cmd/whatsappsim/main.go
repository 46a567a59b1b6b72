// Command whatsappsim runs the WhatsApp stand-in.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"ipnoelp.io/platform/whatsappsim"
)

// Config is the program's environment.
type Config struct {
	ListenAddr []string `env:"LISTEN_ADDR" envSeparator:"," envDefault:"127.0.0.1:9080"` // host:port, or several with commas between
	StateFile  string   `env:"STATE_FILE"`                                               // keeps accounts, devices and messages; empty: they end with the program
	LogLevel   string   `env:"LOG_LEVEL" envDefault:"info"`                              // debug, info, warn, error
}

// Validate returns an error that names the key at fault.
func (c Config) Validate() error {
	if len(c.ListenAddr) == 0 {
		return errors.New("LISTEN_ADDR: is empty")
	}
	for _, addr := range c.ListenAddr {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("LISTEN_ADDR: %q is not host:port", addr)
		}
	}
	if _, err := c.level(); err != nil {
		return fmt.Errorf("LOG_LEVEL: %q is not debug, info, warn or error", c.LogLevel)
	}
	return nil
}

func (c Config) level() (level slog.Level, err error) {
	err = level.UnmarshalText([]byte(c.LogLevel))
	return level, err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "whatsappsim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := env.ParseAs[Config]()
	if err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	p, err := newProgram(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(p.Run(ctx), p.Close())
}

const (
	readHeaderTimeout = 10 * time.Second // cuts off clients that send headers slowly
	readTimeout       = 30 * time.Second // of a whole request; sockets are not bound by it
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second // for requests that are being answered
)

type program struct {
	log       *slog.Logger
	sim       *whatsappsim.Server
	http      *http.Server
	listeners []net.Listener
	serving   sync.WaitGroup // one goroutine per listener, started by Run
}

func newProgram(ctx context.Context, config Config) (*program, error) {
	level, err := config.level()
	if err != nil {
		return nil, err
	}
	p := &program{log: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
	p.sim, err = whatsappsim.New(whatsappsim.Config{StateFile: config.StateFile, Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.http = &http.Server{
		Handler:           p.sim,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	var listen net.ListenConfig
	for _, addr := range config.ListenAddr {
		l, err := listen.Listen(ctx, "tcp", strings.TrimSpace(addr))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: %w", addr, err), p.Close())
		}
		p.listeners = append(p.listeners, l)
	}
	return p, nil
}

// Run serves until ctx ends or a listener fails.
func (p *program) Run(ctx context.Context) error {
	failed := make(chan error, len(p.listeners))
	for _, l := range p.listeners {
		p.log.Info("listening", "address", l.Addr().String())
		p.serving.Go(func() { failed <- p.http.Serve(l) })
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	}
}

// Close ends what runs and saves the state.
func (p *program) Close() error {
	for _, l := range p.listeners {
		l.Close() // Serve may never have been called for it
	}
	err := p.sim.Close() // first: it ends sockets and streams, which Shutdown would wait for
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err = errors.Join(err, p.http.Shutdown(ctx))
	p.serving.Wait()
	return err
}
