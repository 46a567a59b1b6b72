package httpapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// Session is the link to WhatsApp. Its errors are those of package whatsapp.
type Session interface {
	// Look returns the status for a person; it may refresh the QR code first.
	Look(ctx context.Context) whatsapp.Status
	// Refresh replaces the QR code.
	Refresh(ctx context.Context) (whatsapp.Status, error)
	// RequestPairingCode asks for a code that is typed on the phone of a number.
	RequestPairingCode(ctx context.Context, phone string) (whatsapp.Status, error)
	// CancelPairingCode goes back to the QR code.
	CancelPairingCode(ctx context.Context) (whatsapp.Status, error)
	// AnswerPasskey hands over what a passkey signed.
	AnswerPasskey(ctx context.Context, a whatsapp.Assertion) error
	// RefusePasskey says that there is no passkey.
	RefusePasskey(ctx context.Context) error
	// Logout ends the link to the phone.
	Logout(ctx context.Context) error
	// Stats counts what happened, for the metrics.
	Stats() whatsapp.Stats
}

// sessionPath is below which nothing needs the database.
const sessionPath = "/api/whatsapp"

func registerSession(mux *http.ServeMux, s Session) {
	a := session{s}
	mux.Handle("GET "+sessionPath, request.Func(a.look))
	mux.Handle("POST "+sessionPath+"/refresh", request.Func(a.refresh))
	mux.Handle("POST "+sessionPath+"/pairing-code", request.Func(a.pair))
	mux.Handle("DELETE "+sessionPath+"/pairing-code", request.Func(a.cancelPairing))
	mux.Handle("POST "+sessionPath+"/passkey", request.Func(a.answerPasskey))
	mux.Handle("DELETE "+sessionPath+"/passkey", request.Func(a.refusePasskey))
	mux.Handle("POST "+sessionPath+"/logout", request.Func(a.logout))
}

type session struct{ Session }

func (s session) look(w http.ResponseWriter, r *http.Request) error {
	problem.WriteJSON(w, http.StatusOK, s.Look(r.Context()))
	return nil
}

func (s session) refresh(w http.ResponseWriter, r *http.Request) error {
	status, err := s.Refresh(r.Context())
	return answerStatus(w, status, err, "WhatsApp gave no new QR code. Try again in a moment.")
}

func (s session) pair(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Phone *string `json:"phone"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	phone, ok := phoneDigits(body.Phone)
	if !ok {
		return platform.Invalid(platform.FieldError{Field: "phone", Detail: "must be a phone number with the country's code, such as +49 151 12345678"})
	}
	status, err := s.RequestPairingCode(r.Context(), phone)
	return answerStatus(w, status, err, "WhatsApp gave no code for this number. Check it and try again later.")
}

func (s session) cancelPairing(w http.ResponseWriter, r *http.Request) error {
	status, err := s.CancelPairingCode(r.Context())
	return answerStatus(w, status, err, "The pairing could not be ended. Try again in a moment.")
}

func (s session) answerPasskey(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Credential *whatsapp.Assertion `json:"credential"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	if body.Credential == nil {
		return platform.Invalid(platform.FieldError{Field: "credential", Detail: "is required"})
	}
	var fields []platform.FieldError
	for _, name := range body.Credential.Faults() {
		fields = append(fields, platform.FieldError{Field: "credential." + name, Detail: "must be base64url without padding"})
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return done(w, s.AnswerPasskey(r.Context(), *body.Credential), "WhatsApp Web did not take the passkey.")
}

func (s session) refusePasskey(w http.ResponseWriter, r *http.Request) error {
	return done(w, s.RefusePasskey(r.Context()), "WhatsApp Web did not answer.")
}

func (s session) logout(w http.ResponseWriter, r *http.Request) error {
	return done(w, s.Logout(r.Context()), "WhatsApp did not end the link. Try again, or end it on the phone.")
}

func answerStatus(w http.ResponseWriter, status whatsapp.Status, err error, failed string) error {
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, status)
	}
	return sessionError(err, failed)
}

func done(w http.ResponseWriter, err error, failed string) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return sessionError(err, failed)
}

// sessionError gives an error of the session its code; failed is said when it
// was WhatsApp that failed.
func sessionError(err error, failed string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, whatsapp.ErrNotReady):
		return platform.Errorf(platform.ErrUnavailable, "WhatsApp Web is still starting. Try again in a moment.").WithCause(err)
	case errors.Is(err, whatsapp.ErrRefused):
		return platform.Errorf(platform.ErrConflict, "This is not possible in the present state of the link.").WithCause(err)
	}
	return platform.Errorf(platform.ErrBadGateway, "%s", failed).WithCause(err)
}

var (
	phoneSeparators = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "/", "")
	e164            = regexp.MustCompile(`^\+?[1-9][0-9]{6,14}$`)
)

// maxPhoneInput is in bytes, with all the separators that people write.
const maxPhoneInput = 40

// phoneDigits returns a phone number as WhatsApp wants it.
func phoneDigits(phone *string) (string, bool) {
	if phone == nil || len(*phone) > maxPhoneInput {
		return "", false
	}
	digits := phoneSeparators.Replace(*phone)
	return strings.TrimPrefix(digits, "+"), e164.MatchString(digits)
}
