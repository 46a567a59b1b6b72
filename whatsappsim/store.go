package whatsappsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// store keeps a world in a JSON file. Changes close together are written once.
type store struct {
	world *world
	path  string
	log   *slog.Logger
	dirty chan struct{} // capacity 1
}

// stateVersion is of the file's form; another one is refused, not guessed at.
const stateVersion = 1

type state struct {
	Version  int                 `json:"version"`
	Accounts map[string]*account `json:"accounts"`
}

func newStore(w *world, path string, log *slog.Logger) *store {
	return &store{world: w, path: path, log: log, dirty: make(chan struct{}, 1)}
}

// changed does not block: it is called while World.mu is held.
func (s *store) changed() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// load fills the world from the file, if there is one.
func (s *store) load() error {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return fmt.Errorf("read the state in %s: %w", s.path, err)
	}
	if st.Version != stateVersion {
		return fmt.Errorf("read the state in %s: version %d, want %d", s.path, st.Version, stateVersion)
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for phone, a := range st.Accounts {
		if a == nil || a.Phone != phone {
			return fmt.Errorf("read the state in %s: account %q is damaged", s.path, phone)
		}
		a.init()
		s.world.accounts[phone] = a
		for id, d := range a.Devices {
			s.world.devices[d.CredentialHash] = deviceRef{a, id}
		}
	}
	return nil
}

// run saves after changes until ctx ends; the caller saves once more then.
func (s *store) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		timer.Reset(saveDelay)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := s.save(); err != nil {
			s.log.Error("the state could not be saved", "error", err)
			s.changed() // tried again after the delay
		}
	}
}

// save replaces the file; a crash leaves the old one or the new one.
func (s *store) save() error {
	s.world.mu.Lock()
	data, err := json.Marshal(state{stateVersion, s.world.accounts})
	s.world.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return nil
}
