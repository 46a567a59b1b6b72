// Package openapi holds the OpenAPI documents of the HTTP APIs. The slice's is
// kept in parts, one for each part of the CRM; a reference in a part is one into
// the whole.
package openapi

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml"
)

//go:embed *.yaml slice/*.yaml
var files embed.FS

// Slice returns the whole document of the slice's API, as what JSON has.
func Slice() (map[string]any, error) {
	whole, err := read("slice.yaml")
	if err != nil {
		return nil, err
	}
	parts, err := fs.Glob(files, "slice/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	for _, name := range parts {
		part, err := read(name)
		if err != nil {
			return nil, err
		}
		if err := merge(whole, part, name); err != nil {
			return nil, err
		}
	}
	return whole, nil
}

// Gateway returns the document of the gateway's API, as what JSON has.
func Gateway() (map[string]any, error) { return read("gateway.yaml") }

func read(name string) (map[string]any, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", name, err)
	}
	return m, nil
}

// merge adds what part has. Only maps meet; lists are joined.
func merge(whole, part map[string]any, where string) error {
	for key, v := range part {
		here := where + ": " + key
		switch has := whole[key].(type) {
		case nil:
			whole[key] = v
		case map[string]any:
			m, ok := v.(map[string]any)
			if !ok {
				return fmt.Errorf("openapi: %s is not a map", here)
			}
			if err := merge(has, m, here); err != nil {
				return err
			}
		case []any:
			l, ok := v.([]any)
			if !ok {
				return fmt.Errorf("openapi: %s is not a list", here)
			}
			whole[key] = append(has, l...)
		default:
			return fmt.Errorf("openapi: %s is there already", here)
		}
	}
	return nil
}
