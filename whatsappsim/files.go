package whatsappsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // for the size of a picture
	_ "image/jpeg" // for the size of a picture
	_ "image/png"  // for the size of a picture
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// fileStore keeps the content of messages' files under its hash: beside the
// state file or, without one, in memory.
type fileStore struct {
	dir string // "" is memory

	mu   sync.Mutex // guards the following fields
	used int64
	data map[string][]byte // in memory
}

func newFileStore(stateFile string) *fileStore {
	s := &fileStore{data: make(map[string][]byte)}
	if stateFile != "" {
		s.dir = stateFile + ".files"
	}
	return s
}

// open prepares the directory and removes what no message refers to.
func (s *fileStore) open(keep func(hash string) bool) error {
	if s.dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the place for files: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read the place for files: %w", err)
	}
	for _, e := range entries {
		if !keep(e.Name()) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return fmt.Errorf("remove a file that no message has: %w", err)
			}
			continue
		}
		if info, err := e.Info(); err == nil {
			s.used += info.Size()
		}
	}
	return nil
}

var errFull = platform.Errorf(platform.ErrTooMany, "The stand-in keeps %d MiB of files already.", maxFilesBytes>>20)

// put keeps data and returns its hash.
func (s *fileStore) put(data []byte) (hash string, err error) {
	sum := sha256.Sum256(data)
	hash = hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.get(hash); err == nil {
		return hash, nil
	}
	if s.used+int64(len(data)) > maxFilesBytes {
		return "", errFull
	}
	if s.dir == "" {
		s.data[hash] = data
	} else if err := s.write(hash, data); err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	s.used += int64(len(data))
	return hash, nil
}

func (s *fileStore) write(hash string, data []byte) error {
	f, err := os.CreateTemp(s.dir, "new.*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(s.dir, hash))
}

// get needs mu.
func (s *fileStore) get(hash string) (io.ReadSeekCloser, error) {
	if s.dir != "" {
		return os.Open(filepath.Join(s.dir, filepath.Base(hash)))
	}
	data, ok := s.data[hash]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return nopCloser{bytes.NewReader(data)}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

var errNoFile = platform.Errorf(platform.ErrNotFound, "There is no such file.")

// serve answers with a file as its sender named it. Files are strangers'
// input: whatever they hold, nothing in them runs.
func (s *fileStore) serve(w http.ResponseWriter, r *http.Request, m media) {
	s.mu.Lock()
	f, err := s.get(m.Hash)
	s.mu.Unlock()
	if err != nil {
		problem.Write(w, errNoFile.WithCause(err))
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", m.MIMEType)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Cache-Control", "private, max-age=3600")
	if !shownInline(m.MIMEType) {
		w.Header().Set("Content-Disposition", "attachment")
	}
	http.ServeContent(w, r, "", startTime, f)
}

func shownInline(mimeType string) bool {
	switch essence, _, _ := strings.Cut(mimeType, ";"); essence {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	default:
		return strings.HasPrefix(essence, "audio/") || strings.HasPrefix(essence, "video/")
	}
}

// readFile reads a request's body, which is a file.
func readFile(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFileBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, platform.Errorf(platform.ErrTooLarge, "The file is larger than %d bytes.", maxFileBytes)
	case err != nil:
		return nil, platform.Errorf(platform.ErrInvalid, "The file could not be read.").WithCause(err)
	case len(data) == 0:
		return nil, platform.Errorf(platform.ErrInvalid, "The file is empty.")
	}
	return data, nil
}

// pictureSize is 0, 0 for what is no picture that is known here.
func pictureSize(data []byte) (width, height int) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return 0, 0
	}
	return c.Width, c.Height
}
