package slicemetrics

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A slice tells some fifty lines that are of use. One that is broken into
// must not fill Prometheus' disk.
const (
	maxLines = 300     // of use in an answer: samples, HELP and TYPE
	maxLine  = 1 << 10 // bytes
)

const (
	upName     = "slice_up"
	sliceLabel = "slice"
)

// wanted are the metrics that are passed on; of Go's own few, since there are
// many slices. Whether a slice is up is not for itself to say.
func wanted(name string) bool {
	switch name {
	case "process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines":
		return true
	case upName:
		return false
	}
	return strings.HasPrefix(name, "slice_")
}

// read returns the families of use in what the slice with this number said,
// by name, each sample with the slice's number.
func read(text []byte, number string) (families map[string]*dto.MetricFamily, err error) {
	text, err = pick(text)
	if err != nil {
		return nil, err
	}
	defer func() {
		if v := recover(); v != nil { // a fault of the library's must not end the gateway
			families, err = nil, fmt.Errorf("parse: %v", v)
		}
	}()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err = parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for name, f := range families {
		if !wanted(name) {
			delete(families, name)
			continue
		}
		if f.Help != nil {
			f.Help = new(strings.ToValidUTF8(f.GetHelp(), "\uFFFD"))
		}
		if f.Metric, err = labelled(f.Metric, number); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(families) == 0 {
		return nil, errors.New("nothing of use")
	}
	return families, nil
}

// pick returns the lines of use, so that the others cost no more than this.
func pick(text []byte) ([]byte, error) {
	var picked []byte
	lines := 0
	for line := range bytes.Lines(text) {
		trimmed := bytes.TrimLeft(line, " \t")
		end := bytes.IndexAny(trimmed, "{ \t\n")
		if end < 0 {
			end = len(trimmed)
		}
		name := string(trimmed[:min(end, maxLine)])
		if comment, ok := bytes.CutPrefix(trimmed, []byte("#")); ok {
			fields := bytes.Fields(comment[:min(len(comment), maxLine)])
			if len(fields) < 2 || string(fields[0]) != "HELP" && string(fields[0]) != "TYPE" {
				continue
			}
			name = string(fields[1])
		}
		if !wanted(name) {
			continue
		}
		if lines++; lines > maxLines || len(line) > maxLine {
			return nil, errors.New("too much")
		}
		picked = append(picked, line...)
	}
	return picked, nil
}

// labelled returns the samples with the slice's number and in a fixed order,
// without what is in there twice.
func labelled(samples []*dto.Metric, number string) ([]*dto.Metric, error) {
	keys := make(map[*dto.Metric]string, len(samples))
	for _, s := range samples {
		s.TimestampMs = nil // the time is when Prometheus asks
		labels := []*dto.LabelPair{{Name: new(sliceLabel), Value: &number}}
		for _, l := range s.Label {
			switch {
			case strings.HasPrefix(l.GetName(), "__"): // Prometheus' own
				return nil, fmt.Errorf("label %.40q", l.GetName())
			case l.GetName() != sliceLabel && l.GetValue() != "": // an empty one is the same as none
				labels = append(labels, l)
			}
		}
		slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		s.Label = labels
		var key strings.Builder
		for _, l := range labels {
			fmt.Fprintf(&key, "%s=%q,", l.GetName(), l.GetValue())
		}
		keys[s] = key.String()
	}
	slices.SortStableFunc(samples, func(a, b *dto.Metric) int { return strings.Compare(keys[a], keys[b]) })
	return slices.CompactFunc(samples, func(a, b *dto.Metric) bool { return keys[a] == keys[b] }), nil
}
