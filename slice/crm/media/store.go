package media

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	chunkBytes = 256 << 10
	maxBytes   = whatsapp.MaxFileBytes

	// DefaultQuota is what a slice may keep of files that can be fetched again.
	DefaultQuota = 512 << 20 // bytes

	usedEvery = time.Hour // how exact the time of a file's last use is

	// uploadedFor is how long a file is kept that nothing refers to yet: somebody
	// still writes the message that it is for.
	uploadedFor = time.Hour
)

var errNoFile = platform.Errorf(platform.ErrNotFound, "There is no such file.")

// Store keeps files. Methods are safe for concurrent use.
type Store struct {
	pool  *pgxpool.Pool
	quota int64
}

// NewStore returns a store on a pool that somebody else closes. A quota of 0 is
// DefaultQuota.
func NewStore(pool *pgxpool.Pool, quota int64) *Store {
	if quota <= 0 {
		quota = DefaultQuota
	}
	return &Store{pool: pool, quota: quota}
}

// File is a file as clients see it.
type File struct {
	ID       int64  `json:"id,string"`
	Name     string `json:"name"`
	MIMEType string `json:"mime_type"`
	Size     int64  `json:"size"`
	sha256   []byte
}

// Create stores what r gives, a chunk at a time. Its type is found from its
// beginning.
func (s *Store) Create(ctx context.Context, name, declared string, r io.Reader) (File, error) {
	first, err := readChunk(r)
	if err != nil {
		return File{}, err
	}
	if len(first) == 0 {
		return File{}, platform.Errorf(platform.ErrInvalid, "The file is empty.")
	}
	f := File{Name: cleanName(name), MIMEType: typeOf(first, declared)}
	err = s.pool.QueryRow(ctx, `INSERT INTO files (name, mime_type, size, sha256) VALUES ($1, $2, 1, '') RETURNING id`, f.Name, f.MIMEType).Scan(&f.ID)
	if err != nil {
		return File{}, fmt.Errorf("create file: %w", err)
	}
	if err = s.fill(ctx, &f, first, r); err != nil {
		s.Delete(context.WithoutCancel(ctx), f.ID) //nolint:errcheck // what is incomplete is removed with the next eviction, too
		return File{}, err
	}
	return f, s.evict(ctx)
}

// fill writes the chunks, and the file counts once all are there.
func (s *Store) fill(ctx context.Context, f *File, chunk []byte, r io.Reader) error {
	hash := sha256.New()
	for n := 0; len(chunk) > 0; n++ {
		if f.Size += int64(len(chunk)); f.Size > maxBytes {
			return platform.Errorf(platform.ErrTooLarge, "The file is larger than %d MiB.", maxBytes>>20)
		}
		hash.Write(chunk)
		if _, err := s.pool.Exec(ctx, `INSERT INTO file_chunks (file_id, n, data) VALUES ($1, $2, $3)`, f.ID, n, chunk); err != nil {
			return fmt.Errorf("write file %d: %w", f.ID, err)
		}
		if len(chunk) < chunkBytes {
			break
		}
		var err error
		if chunk, err = readChunk(r); err != nil {
			return err
		}
	}
	f.sha256 = hash.Sum(nil)
	_, err := s.pool.Exec(ctx, `UPDATE files SET size = $2, sha256 = $3, complete = true WHERE id = $1`, f.ID, f.Size, f.sha256)
	if err != nil {
		return fmt.Errorf("complete file %d: %w", f.ID, err)
	}
	return nil
}

// readChunk reads until the chunk is full or r has no more. Only the plain io.EOF
// is an end: what failed on the way must not look like one.
func readChunk(r io.Reader) ([]byte, error) {
	chunk := make([]byte, chunkBytes)
	n := 0
	for n < len(chunk) {
		read, err := r.Read(chunk[n:])
		n += read
		if err == io.EOF { //nolint:errorlint // see above
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
	}
	return chunk[:n], nil
}

// Get returns what is known of a file, and notes that it is used.
func (s *Store) Get(ctx context.Context, id int64) (File, error) {
	f := File{ID: id}
	var used time.Time
	err := s.pool.QueryRow(ctx, `SELECT name, mime_type, size, sha256, used_at FROM files WHERE id = $1 AND complete`, id).
		Scan(&f.Name, &f.MIMEType, &f.Size, &f.sha256, &used)
	if errors.Is(err, pgx.ErrNoRows) {
		return File{}, errNoFile
	}
	if err == nil && time.Since(used) > usedEvery {
		_, err = s.pool.Exec(ctx, `UPDATE files SET used_at = now() WHERE id = $1`, id)
	}
	if err != nil {
		return File{}, fmt.Errorf("get file %d: %w", id, err)
	}
	return f, nil
}

// Read returns a whole file, for a message that is sent with it.
func (s *Store) Read(ctx context.Context, id int64) (whatsapp.File, error) {
	f, err := s.Get(ctx, id)
	if err != nil {
		return whatsapp.File{}, err
	}
	data := make([]byte, f.Size)
	if _, err := io.ReadFull(s.open(ctx, f), data); err != nil {
		return whatsapp.File{}, fmt.Errorf("read file %d: %w", id, err)
	}
	return whatsapp.File{Name: f.Name, MIMEType: f.MIMEType, Data: data}, nil
}

// Delete removes a file.
func (s *Store) Delete(ctx context.Context, id int64) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM files WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete file %d: %w", id, err)
	}
	return nil
}

// incompleteFor is how long a file may be written to.
const incompleteFor = time.Hour

// evict removes what was used longest ago until the rest is within the quota,
// and what was never completed. What a message waits to be sent with, or a quick
// reply, a scheduled message or a broadcast refers to, stays.
func (s *Store) evict(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `
		WITH ranked AS (SELECT id, created_at, sum(size) OVER (ORDER BY used_at DESC, id DESC) AS upto FROM files WHERE complete)
		DELETE FROM files WHERE NOT complete AND created_at < $2 OR id IN (
			SELECT f.id FROM ranked f
			WHERE f.upto > $1 AND (f.created_at < $3 OR EXISTS (SELECT FROM messages m WHERE m.file_id = f.id))
			  AND NOT EXISTS (SELECT FROM messages m WHERE m.file_id = f.id AND m.outbox IS NOT NULL)
			  AND NOT EXISTS (SELECT FROM quick_replies q WHERE q.file_id = f.id)
			  AND NOT EXISTS (SELECT FROM scheduled_messages q WHERE q.file_id = f.id AND q.status = 'scheduled')
			  AND NOT EXISTS (SELECT FROM broadcasts q WHERE q.file_id = f.id AND q.status NOT IN ('done', 'cancelled')))`,
		s.quota, time.Now().Add(-incompleteFor), time.Now().Add(-uploadedFor))
	if err != nil {
		return fmt.Errorf("evict files: %w", err)
	}
	return nil
}

// open returns a reader that can seek. It holds one chunk.
func (s *Store) open(ctx context.Context, f File) io.ReadSeeker {
	return &reader{ctx: ctx, pool: s.pool, file: f, n: -1}
}

type reader struct {
	ctx    context.Context //nolint:containedctx // io.Reader has none; the reader lives as long as a request
	pool   *pgxpool.Pool
	file   File
	offset int64
	n      int64 // of the chunk that is held; -1 for none
	chunk  []byte
}

func (r *reader) Read(p []byte) (int, error) {
	if r.offset >= r.file.Size {
		return 0, io.EOF
	}
	if n := r.offset / chunkBytes; n != r.n {
		err := r.pool.QueryRow(r.ctx, `SELECT data FROM file_chunks WHERE file_id = $1 AND n = $2`, r.file.ID, n).Scan(&r.chunk)
		if err != nil {
			return 0, fmt.Errorf("read chunk %d: %w", n, err)
		}
		r.n = n
	}
	n := copy(p, r.chunk[r.offset%chunkBytes:])
	r.offset += int64(n)
	return n, nil
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.file.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the file")
	}
	r.offset = offset
	return offset, nil
}
