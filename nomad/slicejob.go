package nomad

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// SliceJob is the definition that all slices of a generation share: the job
// file and the values of its variables, apart from each slice's number and
// generation.
type SliceJob struct {
	Source    string         // HCL, such as jobs.Source(jobs.Slice)
	Variables map[string]any // string, int or []string
}

// Fingerprint is the same for definitions that make the same slices. What else
// decides about a slice, such as the version of its database, is extra.
func (j SliceJob) Fingerprint(extra ...string) (string, error) {
	values, err := hclVariables(j.Variables)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, s := range append([]string{j.Source, values}, extra...) {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// variables returns the text of a variables file for one slice.
func (j SliceJob) variables(number int, generation int64) (string, error) {
	shared, err := hclVariables(j.Variables)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("number = %d\ngeneration = %d\n%s", number, generation, shared), nil
}

func hclVariables(values map[string]any) (string, error) {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		v, err := hclValue(values[name])
		if err != nil {
			return "", fmt.Errorf("job variable %s: %w", name, err)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, v)
	}
	return b.String(), nil
}

func hclValue(v any) (string, error) {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v), nil
	case string:
		return hclString(v), nil
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = hclString(s)
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	}
	return "", fmt.Errorf("a %T has no form in HCL", v)
}

// hclString quotes a text that is to be taken literally.
var hclEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", "$${", "%{", "%%{")

func hclString(s string) string { return `"` + hclEscapes.Replace(s) + `"` }
