package whatsappsim

import (
	"net/http"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

func (s *Server) listAccounts(w http.ResponseWriter, r *http.Request) {
	problem.WriteJSON(w, http.StatusOK, struct {
		Accounts []AccountInfo `json:"accounts"`
	}{s.world.listAccounts()})
}

func (s *Server) createAccount(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Phone string `json:"phone"`
		Name  string `json:"name"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	info, created, err := s.world.createAccount(in.Phone, in.Name)
	if err != nil {
		problem.Write(w, err)
		return
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	problem.WriteJSON(w, status, info)
}

func (s *Server) scan(w http.ResponseWriter, r *http.Request) {
	var in struct {
		QR string `json:"qr"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, s.world.scan(r.PathValue("phone"), in.QR))
}

func (s *Server) customerWrites(w http.ResponseWriter, r *http.Request) {
	var in CustomerMessage
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	id, err := s.world.customerSends(r.PathValue("phone"), in, "", nil)
	created(w, id, err)
}

func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name := range query {
		if name != "chat" {
			problem.Write(w, platform.Invalid(platform.FieldError{Field: name, Detail: "is not a known parameter"}))
			return
		}
	}
	ms, err := s.world.messages(r.PathValue("phone"), query.Get("chat"))
	if err != nil {
		problem.Write(w, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, struct {
		Messages []MessageInfo `json:"messages"`
	}{ms})
}

func (s *Server) customerReads(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Chat string `json:"chat"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, s.world.customerReads(r.PathValue("phone"), in.Chat))
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	noContent(w, s.world.logout(r.PathValue("phone")))
}

func (s *Server) fault(w http.ResponseWriter, r *http.Request) {
	in := faultInput{Count: 1}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, s.world.fault(r.PathValue("phone"), in.Fault, in.Count))
}

func (s *Server) pageFault(w http.ResponseWriter, r *http.Request) {
	in := faultInput{Count: 1}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, s.world.pageFault(in.Fault, in.Count))
}

type faultInput struct {
	Fault string `json:"fault"`
	Count int    `json:"count"` // how often, for a fault that waits; 1 unless it is said
}

func created(w http.ResponseWriter, id string, err error) {
	if err != nil {
		problem.Write(w, err)
		return
	}
	problem.WriteJSON(w, http.StatusCreated, struct {
		ID string `json:"id"`
	}{id})
}

func noContent(w http.ResponseWriter, err error) {
	if err != nil {
		problem.Write(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
