package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"ipnoelp.io/platform"
)

// healthWait reads how long a health check waits; 0 when it does not say.
func healthWait(r *http.Request) (time.Duration, error) {
	s := r.URL.Query().Get("wait")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxHealthWait {
		return 0, platform.Invalid(platform.FieldError{Field: "wait", Detail: fmt.Sprintf("must be a duration of at most %v, such as 1500ms", maxHealthWait)})
	}
	return d, nil
}
