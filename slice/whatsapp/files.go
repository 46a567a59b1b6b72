package whatsapp

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// MaxFileBytes is the largest file that is sent or fetched. WhatsApp takes
	// documents of 2 GB; a slice has not the memory for it.
	MaxFileBytes = 64 << 20

	maxPictureBytes = 5 << 20 // profile pictures have 640 pixels a side

	// fileChunk is how much of a file is under way at once, in bytes.
	fileChunk = 512 << 10

	fileTimeout = 2 * time.Minute // until WhatsApp has taken or given a whole file
)

// upload hands a file to the page, in pieces, and returns its key there.
func (b *browser) upload(ctx context.Context, data []byte) (key string, err error) {
	key = b.fileKey()
	for len(data) > 0 {
		n := min(len(data), fileChunk)
		if err := b.call(ctx, evalTimeout, nil, "filePart", key, base64.StdEncoding.EncodeToString(data[:n])); err != nil {
			b.closeFile(ctx, key)
			return "", err
		}
		data = data[n:]
	}
	return key, nil
}

// read copies a file of the page to w, in pieces.
func (b *browser) read(ctx context.Context, key string, size int64, w io.Writer) error {
	for offset := int64(0); offset < size; {
		n := min(size-offset, fileChunk)
		var part string
		if err := b.call(ctx, evalTimeout, &part, "readFile", key, offset, n); err != nil {
			return err
		}
		raw, err := base64.StdEncoding.DecodeString(part)
		if err != nil || int64(len(raw)) != n {
			return fmt.Errorf("call readFile: the answer is not the part that was asked for")
		}
		if _, err := w.Write(raw); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		offset += n
	}
	return nil
}

// closeFile lets the page forget a file, even when ctx has ended.
func (b *browser) closeFile(ctx context.Context, key string) {
	_ = b.call(context.WithoutCancel(ctx), evalTimeout, nil, "closeFile", key) // a page that is gone has forgotten
}

// fileKey returns a name for a file in the page that no other has.
func (b *browser) fileKey() string { return fmt.Sprintf("file-%d", b.files.Add(1)) }

// Download copies the file of a message to w and says what it is. Without a
// message or a file it is ErrNotFound, above MaxFileBytes ErrRefused. After an
// error w may have got a part.
func (e *Engine) Download(ctx context.Context, messageID string, w io.Writer) (Media, error) {
	b, err := e.ready()
	if err != nil {
		return Media{}, err
	}
	key := b.fileKey()
	defer b.closeFile(ctx, key)
	var m pageMedia
	if err := b.call(ctx, fileTimeout, &m, "openMedia", messageID, key, MaxFileBytes); err != nil {
		return Media{}, err
	}
	media := m.media()
	if media.Size > MaxFileBytes {
		return Media{}, fmt.Errorf("%w: a file of %d bytes", ErrRefused, media.Size)
	}
	return media, b.read(ctx, key, media.Size, w)
}

// Picture returns the profile picture of a person or a group, nil when there is
// none to see.
func (e *Engine) Picture(ctx context.Context, id string) (*File, error) {
	b, err := e.ready()
	if err != nil {
		return nil, err
	}
	key := b.fileKey()
	defer b.closeFile(ctx, key)
	var m *pageMedia
	if err := b.call(ctx, listTimeout, &m, "openPicture", id, key, maxPictureBytes); err != nil || m == nil {
		return nil, err
	}
	size := m.media().Size
	if size > maxPictureBytes {
		return nil, fmt.Errorf("%w: a picture of %d bytes", ErrRefused, size)
	}
	var data bytes.Buffer
	if err := b.read(ctx, key, size, &data); err != nil {
		return nil, err
	}
	kind := http.DetectContentType(data.Bytes())
	if !strings.HasPrefix(kind, "image/") {
		return nil, fmt.Errorf("%w: the picture is none", ErrNotFound)
	}
	return &File{MIMEType: kind, Data: data.Bytes()}, nil
}
