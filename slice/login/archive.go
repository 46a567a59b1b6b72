package login

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folders of the profile that the login is in.
var folders = []string{"Default/IndexedDB", "Default/Local Storage"}

// maxUnpacked bounds what a copy may become, in bytes.
const maxUnpacked = 1 << 30

func fresh(profile string) bool {
	_, err := os.Stat(filepath.Join(profile, folders[0]))
	return errors.Is(err, fs.ErrNotExist)
}

// walk calls f for each file of the folders, in order. One that goes away
// meanwhile is left out: LevelDB removes what it has compacted.
func walk(profile string, f func(name string, info fs.FileInfo) error) error {
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(profile, folder), func(path string, d fs.DirEntry, err error) error {
			var info fs.FileInfo
			if err == nil && d.Type().IsRegular() {
				info, err = d.Info()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || info == nil || info.Name() == "LOCK" {
				return err
			}
			name, err := filepath.Rel(profile, path)
			if err != nil {
				return err
			}
			return f(filepath.ToSlash(name), info)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fingerprint changes when a file does.
func fingerprint(profile string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = walk(profile, func(name string, info fs.FileInfo) error {
		fmt.Fprintln(h, name, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}

// pack writes the folders as a compressed archive.
func pack(profile string, w io.Writer) error {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zip)
	if err := walk(profile, func(name string, info fs.FileInfo) error { return packFile(archive, profile, name, info) }); err != nil {
		return err
	}
	return errors.Join(archive.Close(), zip.Close())
}

func packFile(archive *tar.Writer, profile, name string, info fs.FileInfo) error {
	file, err := os.Open(filepath.Join(profile, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	// It may have grown since, which is left for the next copy. Files of LevelDB do
	// not shrink.
	if _, err := io.CopyN(archive, file, info.Size()); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

// unpack puts an archive's files into a profile: all of them, or none.
func unpack(r io.Reader, profile string) (err error) {
	parent := filepath.Join(profile, "Default")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	part, err := os.MkdirTemp(profile, ".restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	zip, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(part) // no name leads out of it
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written to it
	archive, total := tar.NewReader(zip), int64(0)
	for {
		h, err := archive.Next()
		if err == io.EOF { //nolint:errorlint // the plain end only
			break
		}
		if err != nil {
			return err
		}
		if total += h.Size; total > maxUnpacked {
			return errTooLarge
		}
		if err := unpackFile(root, h, archive); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(zip, maxUnpacked)); err != nil { // to the last chunk, so that none is missing
		return err
	}
	for _, folder := range folders {
		from, to := filepath.Join(part, folder), filepath.Join(profile, folder)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(os.RemoveAll(to), os.Rename(from, to)); err != nil {
			return err
		}
	}
	return nil
}

func unpackFile(root *os.Root, h *tar.Header, r io.Reader) error {
	ours := false
	for _, folder := range folders {
		ours = ours || strings.HasPrefix(h.Name, folder+"/")
	}
	if h.Typeflag != tar.TypeReg || !ours || !filepath.IsLocal(h.Name) {
		return errors.New("is no file of a login")
	}
	if err := root.MkdirAll(filepath.Dir(h.Name), 0o700); err != nil {
		return err
	}
	file, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r) //nolint:gosec // bounded by the header's size, which is added up
	return errors.Join(err, file.Close())
}
