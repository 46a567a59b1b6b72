//go:build integration

package login

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

var key = strings.Repeat("k", MinKeyLength)

func setup(t *testing.T) (*Copies, *pgxpool.Pool) {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	c, err := New(pool, key)
	if err != nil {
		t.Fatal(err)
	}
	return c, pool
}

// profile makes one with a login; large does not compress.
func profile(t *testing.T, large int) string {
	t.Helper()
	dir := t.TempDir()
	random := make([]byte, large)
	rand.Read(random)
	for name, content := range map[string]string{
		"Default/IndexedDB/https_x.indexeddb.leveldb/000003.log": string(random),
		"Default/IndexedDB/https_x.indexeddb.leveldb/CURRENT":    "MANIFEST-000001\n",
		"Default/IndexedDB/https_x.indexeddb.leveldb/LOCK":       "",
		"Default/Local Storage/leveldb/000005.ldb":               "stored",
		"Default/Cache/big": "not a part of it",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents reads what is below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSaveAndRestore(t *testing.T) {
	t.Parallel()
	c, pool := setup(t)
	from, to := profile(t, 3*chunkBytes), t.TempDir()
	if c.Fresh(from) || !c.Fresh(to) {
		t.Error("fresh is wrong")
	}
	if restored, err := c.Restore(t.Context(), to); restored || err != nil {
		t.Errorf("restored without a copy: %t, %v", restored, err)
	}
	if saved, err := c.Save(t.Context(), from); !saved || err != nil {
		t.Fatalf("save: %t, %v", saved, err)
	}
	if saved, err := c.Save(t.Context(), from); saved || err != nil {
		t.Errorf("saved what did not change: %t, %v", saved, err)
	}
	// Another process, with the key.
	other, err := New(pool, key)
	if err != nil {
		t.Fatal(err)
	}
	if restored, err := other.Restore(t.Context(), to); !restored || err != nil {
		t.Fatalf("restore: %t, %v", restored, err)
	}
	want, got := contents(t, from), contents(t, to)
	delete(want, "Default/Cache/big")
	delete(want, "Default/IndexedDB/https_x.indexeddb.leveldb/LOCK")
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	var plain int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM login_chunks WHERE position('MANIFEST'::bytea IN data) > 0`).Scan(&plain); err != nil || plain > 0 {
		t.Errorf("%d chunks can be read, %v", plain, err)
	}
	if err := c.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if restored, err := c.Restore(t.Context(), t.TempDir()); restored || err != nil {
		t.Errorf("restored what is forgotten: %t, %v", restored, err)
	}
}

func TestOnlyTheLatestAreKept(t *testing.T) {
	t.Parallel()
	c, pool := setup(t)
	dir := profile(t, 10)
	for i := range 4 {
		if err := os.WriteFile(filepath.Join(dir, "Default/Local Storage/leveldb/000005.ldb"), bytes.Repeat([]byte("x"), i+1), 0o600); err != nil {
			t.Fatal(err)
		}
		if saved, err := c.Save(t.Context(), dir); !saved || err != nil {
			t.Fatal(saved, err)
		}
	}
	var copies int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM logins`).Scan(&copies); err != nil || copies != keptCopies {
		t.Errorf("%d copies, %v", copies, err)
	}
	// A damaged one is passed over for the one before it.
	if _, err := pool.Exec(t.Context(), `UPDATE login_chunks SET data = set_byte(data, 40, 1 - get_byte(data, 40) % 2) WHERE login_id = (SELECT max(id) FROM logins)`); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if restored, err := c.Restore(t.Context(), to); !restored || err != nil {
		t.Fatalf("restore: %t, %v", restored, err)
	}
	if got := contents(t, to)["Default/Local Storage/leveldb/000005.ldb"]; got != "xxx" {
		t.Errorf("restored %q", got)
	}
}

func TestTamperedCopiesAreRefused(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"a chunk left out":     `DELETE FROM login_chunks WHERE n = 2`,
		"the last left out":    `DELETE FROM login_chunks WHERE n = (SELECT max(n) FROM login_chunks)`,
		"two chunks exchanged": `UPDATE login_chunks SET n = CASE n WHEN 0 THEN 101 WHEN 1 THEN 100 ELSE n END; UPDATE login_chunks SET n = n - 100 WHERE n >= 100`,
		"as another copy":      `INSERT INTO logins (complete) VALUES (true); UPDATE login_chunks SET login_id = 2; DELETE FROM logins WHERE id = 1`,
		"cut off":              `UPDATE login_chunks SET data = substr(data, 1, 5) WHERE n = 0`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, pool := setup(t)
			if _, err := c.Save(t.Context(), profile(t, 3*chunkBytes)); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
			to := t.TempDir()
			if restored, err := c.Restore(t.Context(), to); restored || err == nil {
				t.Errorf("restored: %t, %v", restored, err)
			}
			if !c.Fresh(to) || len(contents(t, to)) > 0 {
				t.Errorf("something is left: %v", contents(t, to))
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		c, pool := setup(t)
		if _, err := c.Save(t.Context(), profile(t, 10)); err != nil {
			t.Fatal(err)
		}
		other, err := New(pool, strings.Repeat("o", MinKeyLength))
		if err != nil {
			t.Fatal(err)
		}
		if restored, err := other.Restore(t.Context(), t.TempDir()); restored || err == nil {
			t.Errorf("restored: %t, %v", restored, err)
		}
	})
}

func TestArchivesWithTricksAreRefused(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]tar.Header{
		"a way out":     {Name: "Default/IndexedDB/../../../x", Typeflag: tar.TypeReg},
		"absolute":      {Name: "/etc/passwd", Typeflag: tar.TypeReg},
		"another place": {Name: "Default/Preferences", Typeflag: tar.TypeReg},
		"a link":        {Name: "Default/IndexedDB/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"too large":     {Name: "Default/IndexedDB/x", Typeflag: tar.TypeReg, Size: maxUnpacked + 1},
	} {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		archive := tar.NewWriter(zip)
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		archive.Flush() //nolint:errcheck // the one that is too large has no content
		zip.Close()
		dir := t.TempDir()
		if err := unpack(&b, dir); err == nil || len(contents(t, dir)) > 0 {
			t.Errorf("%s: %v, %v", name, err, contents(t, dir))
		}
	}
	if _, err := New(nil, "short"); err == nil {
		t.Error("a short key is accepted")
	}
}
