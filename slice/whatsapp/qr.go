package whatsapp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/boombuler/barcode/qr"
)

const (
	qrModulePixels = 6 // a code of 240 characters is about 440 pixels wide
	qrQuietModules = 4 // the margin that ISO 18004 asks for
)

// qrImage draws text as a QR code with its quiet zone, as a PNG data URI.
func qrImage(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("encode QR code: %w", err)
	}
	modules := code.Bounds().Dx()
	side := (modules + 2*qrQuietModules) * qrModulePixels
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			mx, my := x/qrModulePixels-qrQuietModules, y/qrModulePixels-qrQuietModules
			if mx < 0 || my < 0 || mx >= modules || my >= modules {
				continue
			}
			if r, _, _, _ := code.At(mx, my).RGBA(); r == 0 {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
