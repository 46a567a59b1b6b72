package problem

import (
	"encoding/json"
	"net/http"
)

// WriteJSON answers with status and v as JSON, not to be stored by caches: all
// that the platform answers in JSON is somebody's own.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client may be gone; nothing to do then
}
