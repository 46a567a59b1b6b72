package reports

import (
	"net/http"
	"time"

	"ipnoelp.io/platform/slice/request"
)

const (
	maxDays     = 366
	defaultDays = 30
	firstDate   = "2000-01-01"
	lastDate    = "2999-12-31"
)

// period is a number of days in a time zone.
type period struct {
	From string `json:"from"`
	To   string `json:"to"` // the last day
	Zone string `json:"tz"`

	days   []string
	bounds []time.Time // where each day begins, and where the last one ends
}

func (p period) start() time.Time { return p.bounds[0] }
func (p period) end() time.Time   { return p.bounds[len(p.days)] }

// readPeriod reads from, to and tz from the query; without them it is the last 30
// days in UTC.
func readPeriod(r *http.Request) (period, error) {
	var faults request.Faults
	zone := faults.Zone(r)
	read := func(name string) *time.Time {
		s := faults.Query(r, name, len(time.DateOnly))
		if !r.URL.Query().Has(name) {
			return nil
		}
		day, err := time.Parse(time.DateOnly, s)
		if err != nil || s < firstDate || s > lastDate {
			faults.Add(name, "must be a date from %s to %s", firstDate, lastDate)
			return nil
		}
		return &day
	}
	from, to := read("from"), read("to")
	if err := faults.Err(); err != nil {
		return period{}, err
	}
	if to == nil {
		now := time.Now().In(zone)
		today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
		to = &today
		if from != nil && from.After(today) {
			to = from
		}
	}
	if from == nil {
		day := to.AddDate(0, 0, 1-defaultDays)
		from = &day
	}
	p := period{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Zone: zone.String()}
	switch {
	case from.After(*to):
		faults.Add("from", "must not be after to")
	case to.Sub(*from) >= maxDays*24*time.Hour:
		faults.Add("from", "must be at most %d days before to", maxDays-1)
	}
	if err := faults.Err(); err != nil {
		return period{}, err
	}
	for day := *from; !day.After(*to); day = day.AddDate(0, 0, 1) {
		p.days = append(p.days, day.Format(time.DateOnly))
		p.bounds = append(p.bounds, midnight(day, zone))
	}
	p.bounds = append(p.bounds, midnight(to.AddDate(0, 0, 1), zone))
	return p, nil
}

// midnight is when a day begins in a zone: where clocks go forward at midnight
// that is one o'clock.
func midnight(day time.Time, zone *time.Location) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
	if t.Day() != day.Day() { // before the gap
		_, t = t.ZoneBounds()
	}
	return t
}
