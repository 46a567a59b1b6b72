package main

import (
	"log/slog"
	"strconv"
	"time"
)

// appendPlain appends an event as slog's JSONHandler writes it, for less than half
// of the time, if it is of numbers and of text that needs no escaping, or else
// reports false.
func appendPlain(b []byte, r slog.Record) (_ []byte, ok bool) {
	b = append(b, `{"time":"`...)
	b = r.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","msg":`...)
	b, ok = appendText(b, r.Message)
	ok = ok && !r.Time.IsZero()
	r.Attrs(func(a slog.Attr) bool {
		if !ok {
			return false
		}
		b = append(b, ',')
		b, ok = appendText(b, a.Key)
		b = append(b, ':')
		switch a.Value.Kind() {
		case slog.KindString:
			var plain bool
			b, plain = appendText(b, a.Value.String())
			ok = ok && plain
		case slog.KindInt64:
			b = strconv.AppendInt(b, a.Value.Int64(), 10)
		case slog.KindDuration:
			b = strconv.AppendInt(b, int64(a.Value.Duration()), 10)
		default:
			ok = false
		}
		return ok
	})
	return append(b, "}\n"...), ok
}

// appendText appends a string of printable ASCII in quotation marks.
func appendText(b []byte, s string) (_ []byte, ok bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return b, false
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), true
}
