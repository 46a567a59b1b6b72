package slicemetrics

import (
	"bytes"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Whatever a slice says, what comes of it can be parsed, is named as it may be
// and is this slice's.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"# HELP slice_a x\n# TYPE slice_a gauge\nslice_a{state=\"b\",slice=\"1\"} 1 2\n",
		"# TYPE slice_h histogram\nslice_h_bucket{le=\"+Inf\"} 1\nslice_h_sum 1\nslice_h_count 1\n",
		"# TYPE slice_s summary\nslice_s{quantile=\"0.5\"} NaN\n", "slice_up+5\ngo_goroutines 1e9\n", "# TYPE slice_g gaugehistogram\nslice_g_gcount 1\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		families, err := read(text, "7")
		if err != nil {
			return
		}
		out, err := merge(map[int]answer{7: families})
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		again, err := parser.TextToMetricFamilies(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		for name, family := range again {
			if !wanted(name) && name != upName {
				t.Errorf("%s is passed on", name)
			}
			for _, m := range family.Metric {
				of := ""
				for _, l := range m.Label {
					if l.GetName() == sliceLabel {
						of += l.GetValue() + ","
					}
				}
				if of != "7," || m.TimestampMs != nil {
					t.Errorf("%s of %q at %v", name, of, m.TimestampMs)
				}
			}
		}
	})
}
