// Package login keeps an encrypted copy of the browser's login in the slice's own
// database, so that a slice that comes to another machine, without its disk, is
// still linked.
//
// A copy is a compressed archive of the two folders of Chromium's profile that
// the login is in, in chunks, each sealed with AES-256-GCM under a key that only
// the slice has. The number of a chunk, the copy and whether the chunk is the
// last are part of what is sealed: none can be left out, moved or exchanged.
package login

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	chunkBytes = 1 << 20
	maxChunks  = 256 // 256 MiB, compressed
	keptCopies = 2   // the latest, and one before it

	// MinKeyLength is the least length of the text that the key is made from.
	MinKeyLength = 32
)

var errTooLarge = errors.New("the login is too large to be copied")

// Copies are the copies of one slice's login. Methods are not to be called at
// the same time.
type Copies struct {
	pool *pgxpool.Pool
	aead cipher.AEAD
	last [sha256.Size]byte // what the folders looked like when last copied
}

// New returns the copies in a database, under a key of at least MinKeyLength
// characters.
func New(pool *pgxpool.Pool, key string) (*Copies, error) {
	if len(key) < MinKeyLength {
		return nil, fmt.Errorf("login: the key has %d characters, want at least %d", len(key), MinKeyLength)
	}
	hash := sha256.Sum256([]byte("login copy\x00" + key))
	block, err := aes.NewCipher(hash[:])
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return &Copies{pool: pool, aead: aead}, nil
}

// Fresh reports whether a profile has no login of its own.
func (c *Copies) Fresh(profile string) bool { return fresh(profile) }

// Save copies the login of a profile, unless it looks as it did at the last copy.
// It reports whether it made one. A browser may be writing meanwhile.
func (c *Copies) Save(ctx context.Context, profile string) (saved bool, err error) {
	for range saveTries {
		before, err := fingerprint(profile)
		if err != nil {
			return false, fmt.Errorf("copy the login: %w", err)
		}
		if before == c.last {
			return false, nil
		}
		id, err := c.write(ctx, profile)
		if err != nil {
			return false, fmt.Errorf("copy the login: %w", err)
		}
		after, err := fingerprint(profile)
		if err != nil {
			return false, fmt.Errorf("copy the login: %w", err)
		}
		// A copy of what changed meanwhile may be of two halves. While a browser runs
		// and people write, the last try counts all the same: its database's log is
		// read up to where it is whole.
		if err := c.complete(ctx, id); err != nil {
			return false, fmt.Errorf("copy the login: %w", err)
		}
		saved = true
		if before == after {
			c.last = before
			break
		}
	}
	return saved, nil
}

const saveTries = 3

// write stores a copy that does not count yet.
func (c *Copies) write(ctx context.Context, profile string) (id int64, err error) {
	if err := c.pool.QueryRow(ctx, `INSERT INTO logins DEFAULT VALUES RETURNING id`).Scan(&id); err != nil {
		return 0, err
	}
	r, w := io.Pipe()
	packed := make(chan struct{})
	go func() { // ends when all is read, or when r is closed
		defer close(packed)
		w.CloseWithError(pack(profile, w))
	}()
	defer func() { r.CloseWithError(io.ErrClosedPipe); <-packed }()
	chunk, next := make([]byte, chunkBytes), make([]byte, chunkBytes)
	size, err := fill(r, chunk)
	for n := 0; err == nil; n++ {
		if n == maxChunks {
			err = errTooLarge
			break
		}
		var following int
		if following, err = fill(r, next); err != nil {
			break
		}
		sealed := c.seal(id, n, following == 0, chunk[:size])
		if _, err = c.pool.Exec(ctx, `INSERT INTO login_chunks (login_id, n, data) VALUES ($1, $2, $3)`, id, n, sealed); err != nil || following == 0 {
			break
		}
		chunk, next, size = next, chunk, following
	}
	if err != nil {
		c.pool.Exec(context.WithoutCancel(ctx), `DELETE FROM logins WHERE id = $1`, id) //nolint:errcheck // the next copy removes it, too
	}
	return id, err
}

// fill reads until b is full or r has no more, which is no error.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var read int
		read, err = r.Read(b[n:])
		n += read
	}
	if err == io.EOF { //nolint:errorlint // the plain end only
		err = nil
	}
	return n, err
}

// complete makes a copy count and removes older ones.
func (c *Copies) complete(ctx context.Context, id int64) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE logins SET complete = true WHERE id = $1`, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			DELETE FROM logins WHERE id < $1 AND (NOT complete
				OR id NOT IN (SELECT id FROM logins WHERE complete ORDER BY id DESC LIMIT $2))`, id, keptCopies)
		return err
	})
}

// Restore puts the latest copy that can be read into a profile, and reports
// whether there was one.
func (c *Copies) Restore(ctx context.Context, profile string) (bool, error) {
	rows, err := c.pool.Query(ctx, `SELECT id FROM logins WHERE complete ORDER BY id DESC`)
	if err != nil {
		return false, fmt.Errorf("restore the login: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return false, fmt.Errorf("restore the login: %w", err)
	}
	var faults error
	for _, id := range ids {
		if err := c.restore(ctx, id, profile); err != nil {
			faults = errors.Join(faults, fmt.Errorf("restore the login from copy %d: %w", id, err))
			continue
		}
		return true, nil
	}
	return false, faults
}

func (c *Copies) restore(ctx context.Context, id int64, profile string) error {
	r, w := io.Pipe()
	sent := make(chan struct{})
	go func() { // ends when all is read, or when r is closed
		defer close(sent)
		w.CloseWithError(c.open(ctx, id, w))
	}()
	err := unpack(r, profile)
	r.CloseWithError(io.ErrClosedPipe)
	<-sent
	return err
}

// open writes what was packed.
func (c *Copies) open(ctx context.Context, id int64, w io.Writer) error {
	var chunks int
	if err := c.pool.QueryRow(ctx, `SELECT count(*) FROM login_chunks WHERE login_id = $1`, id).Scan(&chunks); err != nil {
		return err
	}
	if chunks == 0 {
		return errors.New("the copy is empty")
	}
	for n := range chunks {
		var sealed []byte
		if err := c.pool.QueryRow(ctx, `SELECT data FROM login_chunks WHERE login_id = $1 AND n = $2`, id, n).Scan(&sealed); err != nil {
			return err
		}
		size := c.aead.NonceSize()
		if len(sealed) < size {
			return errors.New("a chunk is cut off")
		}
		plain, err := c.aead.Open(nil, sealed[:size], sealed[size:], place(id, n, n == chunks-1))
		if err != nil {
			return errors.New("a chunk is damaged, or was sealed with another key")
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copies) seal(id int64, n int, last bool, plain []byte) []byte {
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce)
	return c.aead.Seal(nonce, nonce, plain, place(id, n, last))
}

// place says where a chunk belongs.
func place(id int64, n int, last bool) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(id)) //nolint:gosec // from a sequence
	b = binary.BigEndian.AppendUint32(b, uint32(n))     //nolint:gosec // below maxChunks
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// Forget removes all copies: a login that was ended must not come back.
func (c *Copies) Forget(ctx context.Context) error {
	c.last = [sha256.Size]byte{}
	if _, err := c.pool.Exec(ctx, `DELETE FROM logins`); err != nil {
		return fmt.Errorf("forget the login: %w", err)
	}
	return nil
}
