package whatsappsim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// store keeps a world in a JSON file. Changes close together are written once.
type store struct {
	world *world
	path  string
	log   *slog.Logger
	dirty chan struct{} // capacity 1

	saving sync.Mutex    // one at a time
	took   time.Duration // the last save; guarded by saving
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
		timer.Reset(s.delay())
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

// delay keeps saving a small part of the work, however large the state is.
func (s *store) delay() time.Duration {
	s.saving.Lock()
	defer s.saving.Unlock()
	return max(saveDelay, saveShare*s.took)
}

// snapshot copies what has to be encoded, so that the world goes on meanwhile.
func (s *store) snapshot() (accounts map[string][]byte, changed map[string]*account) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	accounts = make(map[string][]byte, len(s.world.accounts))
	changed = make(map[string]*account)
	for phone, a := range s.world.accounts {
		accounts[phone] = a.saved
		if a.unsaved {
			a.unsaved = false
			changed[phone] = a.copy()
		}
	}
	return accounts, changed
}

// keep remembers what an account is in the file.
func (s *store) keep(encoded map[string][]byte) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for phone, data := range encoded {
		if a := s.world.accounts[phone]; a != nil {
			a.saved = data
		}
	}
}

// again marks accounts as unsaved after a failure.
func (s *store) again(changed map[string]*account) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for phone := range changed {
		s.world.accounts[phone].unsaved = true
	}
}

// copy is deep enough for encoding.
func (a *account) copy() *account {
	c := *a
	c.Chats = copied(a.Chats)
	c.Contacts = copied(a.Contacts)
	c.Devices = copied(a.Devices)
	c.Faults, c.SendFaults = slices.Clone(a.Faults), slices.Clone(a.SendFaults)
	c.LinkFaults, c.FileFaults = slices.Clone(a.LinkFaults), slices.Clone(a.FileFaults)
	messages := make([]message, 0, len(a.Messages)+len(a.held))
	for _, m := range a.Messages {
		messages = append(messages, *m)
	}
	for _, m := range a.held { // they arrive with the restart
		held := *m
		held.Seq = m.Order
		messages = append(messages, held)
	}
	c.Messages = make([]*message, len(messages))
	for i := range messages {
		c.Messages[i] = &messages[i]
	}
	return &c
}

func copied[K comparable, V any](m map[K]*V) map[K]*V {
	c := make(map[K]*V, len(m))
	for k, v := range m {
		value := *v
		c[k] = &value
	}
	return c
}

// save replaces the file; a crash leaves the old one or the new one.
func (s *store) save() (err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	start := time.Now()
	defer func() { s.took = time.Since(start) }()
	accounts, changed := s.snapshot()
	defer func() {
		if err != nil {
			s.again(changed)
		}
	}()
	encoded := make(map[string][]byte, len(changed))
	for phone, a := range changed {
		if encoded[phone], err = json.Marshal(a); err != nil {
			return fmt.Errorf("encode the state: %w", err)
		}
	}
	s.keep(encoded)
	maps.Copy(accounts, encoded)
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	err = write(f, accounts)
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

// write puts the accounts, which are encoded already, into a state.
func write(w io.Writer, accounts map[string][]byte) error {
	out := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprintf(out, `{"version":%d,"accounts":{`, stateVersion)
	for i, phone := range slices.Sorted(maps.Keys(accounts)) {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, "%q:", phone)    // digits
		_, _ = out.Write(accounts[phone]) // Flush tells
	}
	fmt.Fprint(out, "}}")
	return out.Flush() // the first error of all of them
}
