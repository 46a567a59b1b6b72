package admin

import (
	"encoding/json"
	"net/http"

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

// settingsPatch has a nil for each field that stays as it is.
type settingsPatch struct {
	WarmTarget json.RawMessage `json:"warm_target"` // a number or null
	NodeCost   *int64          `json:"node_cost"`
	Price      *int64          `json:"price"`
	Currency   *string         `json:"currency"`

	DeletionGraceDays *int  `json:"deletion_grace_days"`
	SignUpByMail      *bool `json:"sign_up_by_mail"`
}

func (p *settingsPatch) apply(set *platform.Settings) error {
	if p.WarmTarget != nil {
		set.WarmTarget = nil
		if err := json.Unmarshal(p.WarmTarget, &set.WarmTarget); err != nil {
			return platform.Invalid(platform.FieldError{Field: "warm_target", Detail: "must be a number or null"})
		}
	}
	if p.NodeCost != nil {
		set.NodeCost = *p.NodeCost
	}
	if p.Price != nil {
		set.Price = *p.Price
	}
	if p.Currency != nil {
		set.Currency = *p.Currency
	}
	if p.DeletionGraceDays != nil {
		set.DeletionGraceDays = *p.DeletionGraceDays
	}
	if p.SignUpByMail != nil {
		set.SignUpByMail = *p.SignUpByMail
	}
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
