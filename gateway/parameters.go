package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

// documented refuses what the OpenAPI document does not have in the query of an
// account's or admin's route, and what is given twice: a parameter that is
// misspelt, or meant for another route, is not silently left out.
func documented(document map[string]any) (gin.HandlerFunc, error) {
	known, err := queryParameters(document)
	if err != nil {
		return nil, err
	}
	return func(c *gin.Context) {
		switch request.From(c.Request.Context()).Route {
		case request.RouteAuth, request.RouteAdmin:
		default:
			return
		}
		if c.FullPath() == "" { // not found, or another method
			return
		}
		if err := checkQuery(c.Request.URL.RawQuery, known[c.Request.Method+" "+c.FullPath()]); err != nil {
			request.Fail(c.Writer, c.Request, err)
			c.Abort()
		}
	}, nil
}

func checkQuery(raw string, known []string) error {
	values, err := url.ParseQuery(raw)
	var faults []platform.FieldError
	if err != nil {
		faults = append(faults, platform.FieldError{Field: "query", Detail: "is malformed"})
	}
	for name, of := range values {
		switch {
		case !slices.Contains(known, name):
			faults = append(faults, platform.FieldError{Field: strings.ToValidUTF8(name, "\uFFFD"), Detail: "is not a known parameter"})
		case len(of) > 1:
			faults = append(faults, platform.FieldError{Field: name, Detail: "must be given once"})
		}
	}
	if faults == nil {
		return nil
	}
	slices.SortFunc(faults, func(a, b platform.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return platform.Invalid(faults...)
}

// queryParameters returns the names that the document has for each route, by
// method and path as gin writes it.
func queryParameters(document map[string]any) (map[string][]string, error) {
	known := make(map[string][]string)
	paths, _ := document["paths"].(map[string]any)
	for path, item := range paths {
		operations, _ := item.(map[string]any)
		ginPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, operation := range operations {
			fields, _ := operation.(map[string]any)
			parameters, _ := fields["parameters"].([]any)
			for _, p := range parameters {
				parameter, _ := p.(map[string]any)
				name, named := parameter["name"].(string)
				if !named {
					return nil, fmt.Errorf("openapi: %s %s: a parameter without a name", method, path)
				}
				if parameter["in"] == "query" {
					key := strings.ToUpper(method) + " " + ginPath
					known[key] = append(known[key], name)
				}
			}
		}
	}
	return known, nil
}
