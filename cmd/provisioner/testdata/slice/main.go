// Command slice keeps as much of the slice contract as the provisioner needs:
// it is healthy once it has all that it was to be given, unless it is told
// never to be.
package main

import (
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	healthy := len(os.Args) == 1
	for _, key := range []string{"SLICE_NUMBER", "SLICE_TOKEN", "DATABASE_URL", "SLICE_SNAPSHOT_KEY", "WHATSAPP_URL", "PROFILE_DIR"} {
		healthy = healthy && os.Getenv(key) != ""
	}
	for _, dir := range []string{os.Getenv("PROFILE_DIR"), "/tmp"} {
		healthy = healthy && os.MkdirAll(dir, 0o700) == nil && os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) == nil
	}
	healthy = healthy && os.WriteFile("/file", nil, 0o600) != nil // the root is read-only
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.ListenAndServe(os.Getenv("LISTEN_ADDR"), nil)
}
