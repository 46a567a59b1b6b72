package contacts

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
)

func TestPhone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"+49 151 1234-5678": "+4915112345678", "0049 (151) 12345678": "+4915112345678", "+49 (0)151/12345678": "+4915112345678",
		"+1 (212) 555.0100": "+12125550100", "+4915": "", "0151 12345678": "", "+49 151 1234567890123": "", "+0491511234567": "",
		"+49151x1234567": "", "": "", "+": "", "+49\x00151123456": "", "++4915112345678": "",
	} {
		if got, ok := Phone(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, ok, want)
		}
	}
}

var testFields = map[string]Field{
	"size": {Key: "size", Name: "Shoe size", Type: "number"}, "born": {Key: "born", Name: "Born", Type: "date"},
	"vip": {Key: "vip", Name: "VIP", Type: "boolean"}, "tier": {Key: "tier", Name: "Tier", Type: "choice", Choices: []string{"gold", "-1"}},
	"memo": {Key: "memo", Name: "Memo", Type: "text"},
}

func TestParseCSV(t *testing.T) {
	t.Parallel()
	p := parseCSV([]byte("\xef\xbb\xbfFull name;Mobile Phone;Fax;SHOE SIZE;vip;labels\r\n\"Ana; \"\"A\"\"\";0049 151 12345678;7;42.5;yes;\"a\\;b, c\"\r\n\r\n'=1+1;;;;;\r\n"), testFields)
	if len(p.errors) > 0 || len(p.rows) != 2 || len(p.ignored) != 1 || p.ignored[0] != "Fax" {
		t.Fatalf("%+v", p)
	}
	if r := p.rows[0]; r.name != `Ana; "A"` || r.phone != "+4915112345678" || r.custom["size"] != 42.5 || r.custom["vip"] != true || strings.Join(r.labels, "|") != "a;b|c" {
		t.Errorf("%+v", r)
	}
	if p.rows[1].name != "=1+1" || p.rows[1].line != 4 {
		t.Errorf("%+v", p.rows[1])
	}
	for in, want := range map[string]rowError{
		"":                                       {1, "file", ""},
		"\xef\xbb\xbf":                           {1, "file", ""},
		"fax\n1":                                 {1, "name", ""},
		"name,full name\n1,2":                    {1, "name", ""},
		"name\na\n\xff\xfe":                      {3, "file", ""},
		"name\n\"a":                              {2, "file", ""},
		"name\na\"b":                             {2, "file", ""},
		"name\na,b":                              {2, "row", ""},
		"name\n\na\x00":                          {3, "name", ""},
		"phone\n0151 123456":                     {2, "phone", ""},
		"phone\n+4915112345678\n004915112345678": {3, "phone", ""},
		"name,email\na,b@":                       {2, "email", ""},
		"name,opt out\na,perhaps":                {2, "opt_out", ""},
		"name,born\na,31.12.2026":                {2, "custom.born", ""},
		"name,custom.size\na,NaN":                {2, "custom.size", ""},
		"name,tier\na,silver":                    {2, "custom.tier", ""},
		"name\n" + strings.Repeat("x", 201):      {2, "name", ""},
		"name" + strings.Repeat(",", 300):        {1, "file", ""},
	} {
		p := parseCSV([]byte(in), testFields)
		if len(p.errors) != 1 || p.errors[0].Line != want.Line || p.errors[0].Field != want.Field || len(p.rows) > 1 {
			t.Errorf("%.60q: %+v, want %+v", in, p.errors, want)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"name,phone\nAna,+4915112345678\n", "\xef\xbb\xbfname;email\r\n\"A \"\"B\"\"\";a@b.de\r\n", "name\tlabels\nA\ta\\;b; c\n", "name,name\n",
		"phone\n0049 151 12345678\n", "name\n'=1+1\n", "name\n\"a\nb\"\n", "name,memo\na,\"x\r\ny\"\n", "name\n\xff\n", "name,vip,size,born,tier\na,yes,-2.5,2026-01-01,-1\n",
		"name,opt_out\na,2026-01-01T10:00:00Z\n", "\"", "name\n''a\n", "name,company\na,b,c\n",
	} {
		f.Add([]byte(seed))
	}
	fields := []Field{testFields["size"], testFields["born"], testFields["vip"], testFields["tier"], testFields["memo"]}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := parseCSV(data, testFields)
		for _, e := range p.errors {
			if e.Line < 1 || e.Line > 1+bytes.Count(data, []byte("\n")) || e.Field == "" || e.Detail == "" {
				t.Fatalf("%+v", e)
			}
		}
		if len(p.errors) > maxErrors || (p.invalid == 0) != (len(p.errors) == 0) {
			t.Fatalf("%d errors, %d invalid", len(p.errors), p.invalid)
		}
		if len(p.rows) == 0 {
			return
		}
		// What is right comes back the same from an export.
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		header := []string{"name", "whatsapp_name", "phone", "email", "company", "labels", "opt_out"}
		for _, f := range fields {
			header = append(header, f.name())
		}
		w.Write(header)
		for _, r := range p.rows {
			c := Contact{Name: r.name, WhatsAppName: r.waName, Email: r.email, Company: r.company, OptedOutAt: r.optedOutAt, Custom: make(map[string]json.RawMessage)}
			if r.phone != "" {
				c.Phone = &r.phone
			}
			for _, l := range r.labels {
				c.Labels = append(c.Labels, LabelName{Name: l})
			}
			for k, v := range r.custom {
				c.Custom[k], _ = json.Marshal(v)
			}
			w.Write(record(c, fields))
		}
		w.Flush()
		again := parseCSV(b.Bytes(), testFields)
		if len(again.errors) > 0 || len(again.rows) != len(p.rows) {
			t.Fatalf("%q: %+v", b.String(), again.errors)
		}
		for i, r := range again.rows {
			r.line = p.rows[i].line
			got, _ := json.Marshal([]any{r.name, r.waName, r.phone, r.email, r.company, r.labels, r.optedOutAt, r.custom})
			r = p.rows[i]
			want, _ := json.Marshal([]any{r.name, r.waName, r.phone, r.email, r.company, r.labels, r.optedOutAt, r.custom})
			if !bytes.Equal(got, want) {
				t.Fatalf("%s\n%s\n%q", got, want, b.String())
			}
		}
	})
}
