package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform/docs/openapi"
)

// registerDocument adds what describes the gateway's routes to programs. A
// slice has its own, at /api/openapi.json.
func registerDocument(r gin.IRouter) error {
	document, err := openapi.Gateway()
	if err != nil {
		return err
	}
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	r.GET("/openapi.json", func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, "application/json", text)
	})
	return nil
}
