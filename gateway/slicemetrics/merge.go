package slicemetrics

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// answer is what a slice told, nil for nothing of use.
type answer map[string]*dto.MetricFamily

// merge returns the answers as one text, in the order of names and numbers. A
// family is of the type that most slices say it is, and those of another type
// are left out: one slice cannot spoil what the others tell.
func merge(answers map[int]answer) ([]byte, error) {
	numbers := slices.Sorted(maps.Keys(answers))
	up := &dto.MetricFamily{
		Name: new(upName), Type: dto.MetricType_GAUGE.Enum(),
		Help: new("1 if the slice told its metrics to the gateway that was asked, else 0."),
	}
	votes := make(map[string]map[dto.MetricType]int)
	for _, n := range numbers {
		is := 0.0
		if answers[n] != nil {
			is = 1
		}
		up.Metric = append(up.Metric, &dto.Metric{
			Label: []*dto.LabelPair{{Name: new(sliceLabel), Value: new(strconv.Itoa(n))}}, Gauge: &dto.Gauge{Value: &is},
		})
		for name, f := range answers[n] {
			if votes[name] == nil {
				votes[name] = make(map[dto.MetricType]int)
			}
			votes[name][f.GetType()]++
		}
	}
	merged := make(map[string]*dto.MetricFamily, len(votes)+1)
	for name, types := range votes {
		var most dto.MetricType
		count := 0
		for _, n := range numbers { // of as many votes the first one's
			if f, ok := answers[n][name]; ok && types[f.GetType()] > count {
				most, count = f.GetType(), types[f.GetType()]
			}
		}
		for _, n := range numbers {
			f, ok := answers[n][name]
			switch {
			case !ok || f.GetType() != most:
			case merged[name] == nil:
				merged[name] = f
			default:
				merged[name].Metric = append(merged[name].Metric, f.Metric...)
			}
		}
	}
	if len(numbers) > 0 {
		merged[upName] = up
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		if _, err := expfmt.MetricFamilyToText(&text, merged[name]); err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return text.Bytes(), nil
}
