package whatsappsim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"strings"
)

// The files of made-up messages: a few, in many messages.

const (
	stockPictures = 6
	stockVoices   = 3
)

func makeStock(files *fileStore) ([]media, error) {
	var stock []media
	put := func(m media, data []byte) error {
		var err error
		m.Hash, err = files.put(data)
		m.Size = int64(len(data))
		stock = append(stock, m)
		return err
	}
	for i := range stockPictures {
		data, err := photo(uint64(i))
		if err != nil {
			return nil, err
		}
		if err := put(media{MIMEType: "image/jpeg", Width: photoWidth, Height: photoHeight}, data); err != nil {
			return nil, err
		}
	}
	for i := range stockVoices {
		if err := put(media{MIMEType: "audio/ogg; codecs=opus", Seconds: 3 + 7*i}, voice(i)); err != nil {
			return nil, err
		}
	}
	return stock, put(media{MIMEType: "application/pdf", Name: "Invoice 2026-017.pdf"}, invoice())
}

// fileKind is the type of message that a file of the stock comes in.
func fileKind(m media) string {
	switch {
	case strings.HasPrefix(m.MIMEType, "image/"):
		return typeImage
	case strings.HasPrefix(m.MIMEType, "audio/"):
		return typeVoice
	}
	return typeDocument
}

const (
	photoWidth  = 800
	photoHeight = 600
)

// photo has colours that flow into each other, and grain: about as large as a
// photo that WhatsApp has made smaller.
func photo(seed uint64) ([]byte, error) {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // made-up data
	from := [3]int{r.IntN(200), r.IntN(200), r.IntN(200)}
	to := [3]int{r.IntN(200), r.IntN(200), r.IntN(200)}
	picture := image.NewRGBA(image.Rect(0, 0, photoWidth, photoHeight))
	for y := range photoHeight {
		for x := range photoWidth {
			var c [3]uint8
			grain := r.IntN(24)
			for i := range c {
				c[i] = uint8(from[i] + (to[i]-from[i])*(x+y)/(photoWidth+photoHeight) + grain) //nolint:gosec // below 224
			}
			picture.SetRGBA(x, y, color.RGBA{c[0], c[1], c[2], 255})
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 75}); err != nil {
		return nil, fmt.Errorf("draw a picture: %w", err)
	}
	return out.Bytes(), nil
}

// voice begins as an Opus recording does; there is silence in it.
func voice(n int) []byte {
	data := append([]byte("OggS\x00\x02"), make([]byte, 20)...)
	data = append(data, 1, 19)
	data = append(data, "OpusHead\x01\x01"...)
	data = binary.LittleEndian.AppendUint16(data, 312)
	data = binary.LittleEndian.AppendUint32(data, 48_000)
	data = append(data, 0, 0, 0)
	return append(data, bytes.Repeat([]byte{0xf8, 0xff, 0xfe}, 4000*(n+1))...)
}

func invoice() []byte {
	return []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Resources<<>>>>endobj\n" +
		"trailer<</Root 1 0 R>>\n%%EOF\n")
}
