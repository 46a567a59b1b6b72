package media

import (
	"mime"
	"path"
	"strings"
	"unicode"

	"github.com/gabriel-vasile/mimetype"
)

// shown are the types that a browser shows by itself without running anything
// that is in them. All others are saved.
var shown = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true,
	"video/mp4": true, "video/webm": true, "video/3gpp": true,
	"audio/mpeg": true, "audio/ogg": true, "audio/mp4": true, "audio/aac": true, "audio/wav": true, "audio/amr": true, "audio/webm": true,
}

const unknownType = "application/octet-stream"

// typeOf is the type of a file by its beginning. What is declared counts only
// where the content cannot tell, and never makes it a type that is shown.
func typeOf(beginning []byte, declared string) string {
	detected := mimetype.Detect(beginning)
	found, _, _ := mime.ParseMediaType(detected.String())
	switch found {
	case "application/ogg", "audio/ogg", "video/ogg":
		return "audio/ogg" // voice messages; WhatsApp has no films of this type
	case "audio/x-m4a":
		return "audio/mp4"
	case "video/x-m4v":
		return "video/mp4"
	case unknownType, "text/plain", "application/zip":
		base, _, err := mime.ParseMediaType(declared)
		if err == nil && !shown[base] && (found != "text/plain" || strings.HasPrefix(base, "text/")) && !active(base) {
			return base
		}
	}
	return found
}

// active says that a browser may run what is in a file of this type.
func active(base string) bool {
	return strings.Contains(base, "html") || strings.Contains(base, "xml") || strings.Contains(base, "script") || strings.Contains(base, "svg")
}

const maxNameRunes = 200

// cleanName makes a name that is no path, has no control characters, and reads
// in one direction.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.TrimSpace(path.Base(strings.ReplaceAll(name, `\`, "/")))
	if name == "." || name == ".." || name == "/" {
		return ""
	}
	if r := []rune(name); len(r) > maxNameRunes {
		ext := []rune(path.Ext(name))
		if len(ext) > 16 {
			ext = nil
		}
		name = string(r[:maxNameRunes-len(ext)]) + string(ext)
	}
	return name
}
