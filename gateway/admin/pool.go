package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

type pool struct {
	Target int                         `json:"target"`
	Queued int                         `json:"queued"`
	Slices map[platform.SliceState]int `json:"slices"` // every state is there, also with 0
}

func (s *Service) pool(c *gin.Context) {
	queued, counts, err := s.Store.Pool(c.Request.Context())
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := pool{Target: s.WarmTarget, Queued: queued, Slices: make(map[platform.SliceState]int)}
	for _, st := range platform.SliceStates() {
		out.Slices[st] = counts[st]
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}
