package whatsappsim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// parameters reads a request's query; one that is not known is refused.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, platform.Invalid(platform.FieldError{Field: name, Detail: "is not a known parameter"})
		}
	}
	return query, nil
}

// customerSendsFile takes the file as the body, and what belongs to it in the
// query: the fields of a CustomerMessage, type, name, width, height, seconds.
func (s *Server) customerSendsFile(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "from", "from_name", "text", "group", "quoted", "lid", "business", "picture", "saved_name",
		"type", "name", "width", "height", "seconds")
	if err != nil {
		problem.Write(w, err)
		return
	}
	in := CustomerMessage{From: q.Get("from"), FromName: q.Get("from_name"), Text: q.Get("text"), Group: q.Get("group"),
		Quoted: q.Get("quoted"), SavedAs: q.Get("saved_name")}
	file := media{MIMEType: r.Header.Get("Content-Type"), Name: q.Get("name")}
	var f faults
	for field, v := range map[string]*bool{"lid": &in.LID, "business": &in.Business, "picture": &in.Picture} {
		if q.Has(field) {
			var perr error
			if *v, perr = strconv.ParseBool(q.Get(field)); perr != nil {
				f.check(field, "must be true or false")
			}
		}
	}
	for field, v := range map[string]*int{"width": &file.Width, "height": &file.Height, "seconds": &file.Seconds} {
		if q.Has(field) {
			var perr error
			if *v, perr = strconv.Atoi(q.Get(field)); perr != nil || *v < 0 {
				*v = 0
				f.check(field, "must be a number that is not negative")
			}
		}
	}
	kind := q.Get("type")
	if !slices.Contains(fileTypes, kind) {
		f.check("type", "must be one of "+strings.Join(fileTypes, ", "))
	}
	if !mimePattern.MatchString(file.MIMEType) {
		f.check("Content-Type", "must be a type such as image/jpeg")
	} else {
		f.check("name", mediaFault(file))
	}
	if err := f.err(); err != nil {
		problem.Write(w, err)
		return
	}
	data, err := readFile(w, r)
	if err != nil {
		problem.Write(w, err)
		return
	}
	file.Size = int64(len(data))
	if file.Width == 0 && file.Height == 0 {
		file.Width, file.Height = pictureSize(data)
	}
	if file.Hash, err = s.files.put(data); err != nil {
		problem.Write(w, err)
		return
	}
	id, err := s.world.customerSends(r.PathValue("phone"), in, kind, &file)
	created(w, id, err)
}

// file answers with the file of the message that the query names.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "message")
	if err != nil {
		problem.Write(w, err)
		return
	}
	var file media
	err = s.world.with(r.PathValue("phone"), func(a *account) error {
		m, err := a.message("message", q.Get("message"))
		switch {
		case err != nil:
			return err
		case m.Media == nil:
			return errNoFile
		}
		file = *m.Media
		return nil
	})
	if err != nil {
		problem.Write(w, err)
		return
	}
	s.files.serve(w, r, file)
}

// do decodes a body and answers with no content, or with what went wrong.
func do[T any](w http.ResponseWriter, r *http.Request, f func(phone string, in T) error) {
	var in T
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	noContent(w, f(r.PathValue("phone"), in))
}

func (s *Server) customerEdits(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Message string `json:"message"`
		Text    string `json:"text"`
	}
	do(w, r, func(phone string, in input) error { return s.world.customerEdits(phone, in.Message, in.Text) })
}

func (s *Server) customerDeletes(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Message string `json:"message"`
	}
	do(w, r, func(phone string, in input) error { return s.world.customerDeletes(phone, in.Message) })
}

func (s *Server) customerPlays(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Message string `json:"message"`
	}
	do(w, r, func(phone string, in input) error { return s.world.customerPlays(phone, in.Message) })
}

func (s *Server) customerReacts(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Message string `json:"message"`
		From    string `json:"from"`
		Emoji   string `json:"emoji"`
	}
	do(w, r, func(phone string, in input) error {
		return s.world.customerReacts(phone, in.Message, in.From, in.Emoji)
	})
}

func (s *Server) customerTypes(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Chat   string `json:"chat"`
		From   string `json:"from"`
		Typing bool   `json:"typing"`
	}
	do(w, r, func(phone string, in input) error { return s.world.customerTypes(phone, in.Chat, in.From, in.Typing) })
}

func (s *Server) createGroup(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name    string        `json:"name"`
		Members []GroupMember `json:"members"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	id, err := s.world.createGroup(r.PathValue("phone"), in.Name, in.Members)
	created(w, id, err)
}

func (s *Server) phoneWrites(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Chat string `json:"chat"`
		Text string `json:"text"`
	}
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	id, err := s.world.phoneWrites(r.PathValue("phone"), in.Chat, in.Text)
	created(w, id, err)
}

func (s *Server) phoneReads(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Chat string `json:"chat"`
	}
	do(w, r, func(phone string, in input) error { return s.world.phoneReads(phone, in.Chat) })
}

func (s *Server) populate(w http.ResponseWriter, r *http.Request) {
	var in Population
	if err := problem.DecodeJSON(w, r, maxControlBody, &in); err != nil {
		problem.Write(w, err)
		return
	}
	made, err := s.world.populate(r.PathValue("phone"), in, s.files)
	if err != nil {
		problem.Write(w, err)
		return
	}
	problem.WriteJSON(w, http.StatusCreated, made)
}

func (s *Server) typeCode(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Code string `json:"code"`
	}
	do(w, r, func(phone string, in input) error { return s.world.typeCode(phone, in.Code) })
}

func (s *Server) passkey(w http.ResponseWriter, r *http.Request) {
	type input struct {
		Pass bool `json:"pass"`
	}
	do(w, r, func(phone string, in input) error { return s.world.passkey(phone, in.Pass) })
}
