package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform/docs/openapi"
)

// useDocument adds what describes the gateway's routes to programs, and holds
// those that are registered after it to their query parameters. A slice has its
// own document, at /api/openapi.json.
func useDocument(r gin.IRouter) error {
	document, err := openapi.Gateway()
	if err != nil {
		return err
	}
	check, err := documented(document)
	if err != nil {
		return err
	}
	r.Use(check)
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
