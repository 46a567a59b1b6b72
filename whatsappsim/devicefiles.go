package whatsappsim

import (
	"net/http"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// Devices send and fetch files beside their socket, with the same credential.

func bearer(r *http.Request) string {
	credential, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return credential
}

var errNotLinked = platform.Errorf(platform.ErrUnauthenticated, "This device is not linked.")

// uploadFile keeps a file that a message of the device will refer to.
func (s *Server) uploadFile(w http.ResponseWriter, r *http.Request) {
	if !s.world.linkedDevice(bearer(r), nil) {
		problem.Write(w, errNotLinked)
		return
	}
	data, err := readFile(w, r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	hash, err := s.files.put(data)
	if err != nil {
		problem.Write(w, err)
		return
	}
	s.world.linkedDevice(bearer(r), func(a *account) { a.files[hash] = true })
	width, height := pictureSize(data)
	problem.WriteJSON(w, http.StatusCreated, media{Hash: hash, Size: int64(len(data)), Width: width, Height: height})
}

func (s *Server) downloadFile(w http.ResponseWriter, r *http.Request) {
	hash, known, gone := r.PathValue("hash"), false, false
	linked := s.world.linkedDevice(bearer(r), func(a *account) {
		if known = a.files[hash]; known && take(&a.FileFaults) != "" {
			gone = true
			s.world.save(a)
		}
	})
	switch {
	case !linked:
		problem.Write(w, errNotLinked)
	case !known || gone:
		problem.Write(w, errNoFile)
	default:
		s.files.serve(w, r, media{Hash: hash, MIMEType: "application/octet-stream"})
	}
}

// linkedDevice runs f, which may be nil, on the account of this credential; it
// reports false where there is none.
func (w *world) linkedDevice(credential string, f func(*account)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ref, ok := w.devices[hashSecret(credential)]
	if ok && f != nil {
		f(ref.account)
	}
	return ok
}
