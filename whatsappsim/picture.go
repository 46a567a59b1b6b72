package whatsappsim

import (
	"bytes"
	"crypto/sha256"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"

	"ipnoelp.io/platform/problem"
)

// A profile picture is drawn from the contact's id: five by five fields, the
// same on both sides.
const (
	pictureFields = 5
	pictureField  = 64 // pixels
)

func drawPicture(id string) image.Image {
	sum := sha256.Sum256([]byte(id))
	ground := color.RGBA{210 + sum[0]%40, 210 + sum[1]%40, 210 + sum[2]%40, 255}
	ink := color.RGBA{40 + sum[3]%130, 40 + sum[4]%130, 40 + sum[5]%130, 255}
	const side = pictureFields * pictureField
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{ground, ink})
	for y := range side {
		for x := range side {
			row, column := y/pictureField, x/pictureField
			column = min(column, pictureFields-1-column)
			if sum[8+3*row+column]&1 == 1 {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	return picture
}

func profilePicture(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(r.PathValue("id"), ".png")
	if !ok || chatFault(id) != "" {
		problem.Write(w, errNothing)
		return
	}
	var out bytes.Buffer
	if err := png.Encode(&out, drawPicture(id)); err != nil {
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Write(out.Bytes())
}
