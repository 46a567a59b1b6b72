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
	var in struct {
		From     string `json:"from"`
		FromName string `json:"from_name"`
		Text     string `json:"text"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	id, err := s.world.customerWrites(r.PathValue("phone"), in.From, in.FromName, in.Text)
	if err != nil {
		problem.Write(w, err)
		return
	}
	problem.WriteJSON(w, http.StatusCreated, struct {
		ID string `json:"id"`
	}{id})
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
	var in struct {
		Fault string `json:"fault"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, s.world.fault(r.PathValue("phone"), in.Fault))
}

func noContent(w http.ResponseWriter, err error) {
	if err != nil {
		problem.Write(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
