package whatsappsim

import (
	"bytes"
	"embed"
	"image/png"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

//go:embed assets
var assets embed.FS

// pagePolicy allows what the pages themselves bring and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; " +
	"connect-src 'self' blob: data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		serveAsset(w, r, name)
	}
}

// webPage is the one that stands in for WhatsApp Web. A fault that it is to
// play comes with it.
func (s *Server) webPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", pagePolicy)
	fault := s.world.takePageFault()
	if fault == "" {
		serveAsset(w, r, "index.html")
		return
	}
	html, err := assets.ReadFile("assets/index.html")
	if err != nil {
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(bytes.Replace(html, []byte("<body "), []byte(`<body data-fault="`+fault+`" `), 1))
}

func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if strings.HasSuffix(name, ".html") {
		name = "" // pages have their own addresses
	}
	serveAsset(w, r, name)
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	path := "assets/" + name
	if info, err := fs.Stat(assets, path); err != nil || info.IsDir() {
		problem.Write(w, errNothing)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, assets, path) //nolint:gosec // an embed.FS has no way out
}

var errNothing = platform.Errorf(platform.ErrNotFound, "There is nothing at this path.")

// startTime stands for when embedded and generated things were last changed.
var startTime = time.Now()

// qrPixels is the width of the picture; browsers scale it.
const qrPixels = 512

// qrPicture draws the text of a code.
func qrPicture(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("text")
	if text == "" || len(text) > maxQRBytes {
		problem.Write(w, platform.Invalid(platform.FieldError{Field: "text", Detail: "must have 1 to 512 bytes"}))
		return
	}
	code, err := qr.Encode(text, qr.L, qr.Auto)
	if err == nil {
		code, err = barcode.Scale(code, qrPixels, qrPixels)
	}
	var picture bytes.Buffer
	if err == nil {
		err = png.Encode(&picture, code)
	}
	if err != nil {
		problem.Write(w, platform.Errorf(platform.ErrInvalid, "This text cannot be drawn as a QR code.").WithCause(err))
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(picture.Bytes())
}
