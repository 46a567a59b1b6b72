package contacts

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"ipnoelp.io/platform/slice/request"
)

const (
	maxImportBytes = 8 << 20
	maxImportRows  = 20_000
	maxColumns     = 200
	maxRowLabels   = 50
	maxErrors      = 100 // that are told
)

// rowError says what is wrong with a line of a file; line 0 is the file.
type rowError struct {
	Line   int    `json:"line"`
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// row is a line of a file that is right.
type row struct {
	line                                int
	name, waName, phone, email, company string
	labels                              []string
	optedOutAt                          *time.Time
	custom                              map[string]any
}

// parsed is what a file says.
type parsed struct {
	rows    []row
	count   int // rows in all
	invalid int
	ignored []string // columns
	errors  []rowError
}

func (p *parsed) fault(line int, field, detail string) {
	if len(p.errors) < maxErrors {
		p.errors = append(p.errors, rowError{line, field, detail})
	}
}

// fatal is a file that cannot be read on; the rows before it count for nothing.
func (p *parsed) fatal(line int, field, detail string) parsed {
	return parsed{ignored: p.ignored, count: p.count, invalid: 1, errors: []rowError{{line, field, detail}}}
}

// columnNames are the usual names of columns, without case, space and signs.
var columnNames = map[string]string{
	"name": "name", "fullname": "name", "displayname": "name", "whatsappname": "wa_name", "waname": "wa_name",
	"phone": "phone", "phonenumber": "phone", "mobile": "phone", "mobilephone": "phone", "telephone": "phone", "number": "phone", "whatsapp": "phone",
	"email": "email", "emailaddress": "email", "mail": "email",
	"company": "company", "organization": "company", "organisation": "company",
	"labels": "labels", "label": "labels", "tags": "labels",
	"optout": "opt_out", "optedout": "opt_out", "optedoutat": "opt_out", "unsubscribed": "opt_out",
}

var plainName = strings.NewReplacer(" ", "", "_", "", "-", "")

// columnsOf maps the columns of a file: to a name of ours, "custom.key", or "".
func columnsOf(header []string, fields map[string]Field) (targets, ignored []string, err *rowError) {
	byName := make(map[string]string, len(fields))
	for key, f := range fields {
		byName[strings.ToLower(f.Name)] = "custom." + key
	}
	for key := range fields { // a key is surer than a name
		byName[key], byName["custom."+key] = "custom."+key, "custom."+key
	}
	targets, ignored = make([]string, len(header)), []string{}
	used := make(map[string]bool)
	for i, h := range header {
		h = strings.TrimSpace(unescape(h))
		low := strings.ToLower(h)
		t := columnNames[plainName.Replace(low)]
		if t == "" {
			t = byName[low]
		}
		if t == "" {
			if h = strings.ToValidUTF8(h, "?"); h != "" {
				runes := []rune(h)
				ignored = append(ignored, string(runes[:min(len(runes), maxNameChars)]))
			}
			continue
		}
		if used[t] {
			return nil, nil, &rowError{1, t, "is the name of two columns"}
		}
		used[t], targets[i] = true, t
	}
	if !used["name"] && !used["phone"] {
		return nil, nil, &rowError{1, "name", "there is no column name or phone"}
	}
	return targets, ignored, nil
}

// separator returns what the first line is separated by.
func separator(data []byte) rune {
	best, count := ',', 0
	for _, sep := range []rune{',', ';', '\t'} {
		n, quoted := 0, false
		for _, c := range string(data[:min(len(data), 64<<10)]) {
			if c == '"' {
				quoted = !quoted
			} else if c == '\n' && !quoted {
				break
			} else if c == sep && !quoted {
				n++
			}
		}
		if n > count {
			best, count = sep, n
		}
	}
	return best
}

// parseCSV reads a file. It keeps to its limits and never fails: what is wrong
// is in the errors.
func parseCSV(data []byte, fields map[string]Field) (p parsed) {
	p.ignored = []string{}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		valid := data
		for line := 1; ; line++ {
			text, rest, more := bytes.Cut(valid, []byte("\n"))
			if !utf8.Valid(text) || !more {
				return p.fatal(line, "file", "is not UTF-8; save it as CSV UTF-8")
			}
			valid = rest
		}
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator(data), -1, true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return p.fatal(1, "file", "is empty")
	} else if err != nil {
		return p.fatal(lineOf(err), "file", "is not CSV: "+reason(err))
	}
	if len(header) > maxColumns {
		return p.fatal(1, "file", "has too many columns")
	}
	targets, ignored, fault := columnsOf(header, fields)
	if fault != nil {
		return p.fatal(fault.Line, fault.Field, fault.Detail)
	}
	p.ignored = ignored
	phones := make(map[string]bool)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return p
		} else if err != nil {
			return p.fatal(lineOf(err), "file", "is not CSV: "+reason(err))
		}
		line, _ := r.FieldPos(0)
		if len(strings.Join(record, "")) == 0 {
			continue
		}
		if p.count++; p.count > maxImportRows {
			return p.fatal(line, "file", "has more than 20000 rows; split it")
		}
		var faults request.Faults
		row := parseRow(record, targets, fields, &faults)
		row.line = line
		if row.phone != "" && phones[row.phone] {
			faults.Add("phone", "is in an earlier line too")
		}
		if len(faults) > 0 {
			p.invalid++
			for _, f := range faults {
				p.fault(line, f.Field, f.Detail)
			}
			continue
		}
		phones[row.phone] = true
		p.rows = append(p.rows, row)
	}
}

func lineOf(err error) int {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return e.Line
	}
	return 1
}

func reason(err error) string {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return "it cannot be read"
}

func parseRow(record, targets []string, fields map[string]Field, faults *request.Faults) (v row) {
	v.custom = make(map[string]any)
	if len(record) > len(targets) {
		faults.Add("row", "has more fields than the first line")
		return v
	}
	for i, s := range record {
		s = strings.TrimSpace(unescape(s))
		if s == "" {
			continue
		}
		switch t := targets[i]; t {
		case "":
		case "name":
			v.name = checkLine(faults, t, s, maxNameChars)
		case "wa_name":
			v.waName = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
		case "company":
			v.company = checkLine(faults, t, s, maxNameChars)
		case "email":
			v.email = checkEmail(faults, s)
		case "phone":
			v.phone = checkPhone(faults, s)
		case "labels":
			for _, l := range splitLabels(s) {
				v.labels = append(v.labels, checkLine(faults, t, l, maxLabelChars))
			}
			if len(v.labels) > maxRowLabels {
				faults.Add(t, "must be at most %d", maxRowLabels)
			}
		case "opt_out":
			at, err := time.Parse(time.RFC3339, s)
			yes, ok := parseBool(s)
			switch {
			case err == nil && at.Year() >= 1970 && at.Year() < 3000:
				at = at.UTC().Truncate(time.Microsecond)
				v.optedOutAt = &at
			case !ok:
				faults.Add(t, "must be true, false or a time such as 2026-12-31T10:00:00Z")
			case yes:
				now := time.Now().UTC().Truncate(time.Microsecond)
				v.optedOutAt = &now
			}
		default:
			f := fields[strings.TrimPrefix(t, "custom.")]
			v.custom[f.Key] = f.parse(faults, s)
		}
	}
	if len(*faults) == 0 && v.name == "" && v.phone == "" && v.email == "" && v.company == "" && v.waName == "" {
		faults.Add("name", "is required where there is no phone")
	}
	return v
}

// A text that begins with one of these is a formula to a spreadsheet. The
// apostrophe is among them so that one of the text's own is kept.
const formulaStarts = "=+-@\t\r'"

// escape puts an apostrophe before what a spreadsheet would take for a formula.
func escape(s string) string {
	if s != "" && strings.IndexByte(formulaStarts, s[0]) >= 0 {
		return "'" + s
	}
	return s
}

func unescape(s string) string {
	if len(s) > 1 && s[0] == '\'' && strings.IndexByte(formulaStarts, s[1]) >= 0 {
		return s[1:]
	}
	return s
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `;`, `\;`, `,`, `\,`, `|`, `\|`)

func joinLabels(labels []LabelName) string {
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = labelEscaper.Replace(l.Name)
	}
	return strings.Join(names, "; ")
}

func splitLabels(s string) (names []string) {
	var b strings.Builder
	end := func() {
		if name := strings.TrimSpace(b.String()); name != "" {
			names = append(names, name)
		}
		b.Reset()
	}
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			b.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped = true
		case strings.ContainsRune(";,|", c):
			end()
		default:
			b.WriteRune(c)
		}
	}
	end()
	return names
}
