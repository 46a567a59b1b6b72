package admin

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

func (s *Service) settings(c *gin.Context) {
	set, err := s.Store.Settings(c.Request.Context())
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, set)
}

// settingsPatch is what of the settings is to be another.
type settingsPatch struct {
	WarmTarget orNull[int]   `json:"warm_target"`
	NodeCost   given[int64]  `json:"node_cost"`
	Price      given[int64]  `json:"price"`
	Currency   given[string] `json:"currency"`

	DeletionGraceDays given[int]   `json:"deletion_grace_days"`
	SignUpByMail      orNull[bool] `json:"sign_up_by_mail"`
}

// given is a field that may be left out, and may not be null.
type given[T any] struct{ value *T }

// UnmarshalJSON refuses null, which encoding/json takes for nothing at all.
func (g *given[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return &json.UnmarshalTypeError{Value: "null", Type: reflect.TypeFor[T]()}
	}
	return json.Unmarshal(b, &g.value)
}

func (g given[T]) set(v *T) {
	if g.value != nil {
		*v = *g.value
	}
}

// orNull is a field that may be left out, and may be null.
type orNull[T any] struct {
	isGiven bool
	value   *T
}

func (o *orNull[T]) UnmarshalJSON(b []byte) error {
	o.isGiven = true
	return json.Unmarshal(b, &o.value)
}

func (o orNull[T]) set(v **T) {
	if o.isGiven {
		*v = o.value
	}
}

func (p *settingsPatch) apply(set *platform.Settings) error {
	p.WarmTarget.set(&set.WarmTarget)
	p.NodeCost.set(&set.NodeCost)
	p.Price.set(&set.Price)
	p.Currency.set(&set.Currency)
	p.DeletionGraceDays.set(&set.DeletionGraceDays)
	p.SignUpByMail.set(&set.SignUpByMail)
	return set.Validate()
}

func (s *Service) changeSettings(c *gin.Context) {
	var in settingsPatch
	if err := problem.DecodeJSON(c.Writer, c.Request, maxBody, &in); err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	ctx := c.Request.Context()
	set, err := s.Store.UpdateSettings(ctx, in.apply, request.Audit(ctx, "settings.change", "settings", "platform"))
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, set)
}
