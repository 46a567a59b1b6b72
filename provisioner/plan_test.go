package provisioner_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
	. "ipnoelp.io/platform/provisioner"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	current = 2 // the generation of all slices below but "older" ones
	older   = 1
	timeout = time.Minute
)

// scene builds a Snapshot.
type scene struct{ Snapshot }

// world has a warm target of 1 and nothing else.
func world() *scene {
	return &scene{Snapshot{
		Pool:       Pool{Now: epoch},
		Generation: current, WarmTarget: 1, MaxStarting: 8, Timeout: timeout,
		Jobs: map[int]Job{}, Variables: map[int]bool{}, Databases: map[int]bool{}, Roles: map[int]bool{},
		Passing: map[int]bool{}, Busy: map[int]bool{},
	}}
}

type option func(*scene, *platform.Slice)

// slice adds a record of the current generation that just changed, whose parts
// are all there and whose job runs.
func (w *scene) slice(number int, state platform.SliceState, opts ...option) *scene {
	s := platform.Slice{Number: number, State: state, Generation: current, RequestedAt: epoch, StateChangedAt: epoch}
	switch state {
	case platform.SliceAssigned, platform.SliceSuspended:
		s.UserID = fmt.Sprint("user-", number)
	}
	w.parts(number)
	for _, o := range opts {
		o(w, &s)
	}
	w.Slices = append(w.Slices, s)
	return w
}

func (w *scene) parts(number int) *scene {
	w.Jobs[number] = Job{Number: number}
	w.Variables[number], w.Databases[number], w.Roles[number] = true, true, true
	return w
}

func (w *scene) with(f func(*Snapshot)) *scene {
	f(&w.Snapshot)
	return w
}

func stopped(w *scene, s *platform.Slice)  { w.Jobs[s.Number] = Job{Number: s.Number, Stopped: true} }
func purged(w *scene, s *platform.Slice)   { delete(w.Jobs, s.Number) }
func dropped(w *scene, s *platform.Slice)  { delete(w.Databases, s.Number) }
func passing(w *scene, s *platform.Slice)  { w.Passing[s.Number] = true }
func busy(w *scene, s *platform.Slice)     { w.Busy[s.Number] = true }
func ofOlder(_ *scene, s *platform.Slice)  { s.Generation = older }
func ofUser(_ *scene, s *platform.Slice)   { s.UserID = fmt.Sprint("user-", s.Number) }
func timedOut(_ *scene, s *platform.Slice) { s.StateChangedAt = epoch.Add(-timeout) }
func bare(w *scene, s *platform.Slice) {
	delete(w.Jobs, s.Number)
	for _, m := range []map[int]bool{w.Variables, w.Databases, w.Roles} {
		delete(m, s.Number)
	}
}

const (
	requested    = platform.SliceRequested
	provisioning = platform.SliceProvisioning
	warm         = platform.SliceWarm
	assigned     = platform.SliceAssigned
	suspended    = platform.SliceSuspended
	held         = platform.SliceHeld
	failed       = platform.SliceFailed
	retiring     = platform.SliceRetiring
	gone         = platform.SliceGone
)

func TestPlan(t *testing.T) {
	const request = "request"
	cases := []struct {
		name string
		s    *scene
		want []string // actions in short, in order
	}{
		// Warm capacity.
		{"nothing yet", world(), []string{request}},
		{"enough", world().slice(1, warm), nil},
		{"a target below 1 is 1", world().with(func(s *Snapshot) { s.WarmTarget = -3 }), []string{request}},
		{"one was claimed", world().slice(1, assigned), []string{request}},
		{"for the queue too", world().slice(1, warm).with(func(s *Snapshot) { s.Queued = 2 }), []string{request, request}},
		{"those that are coming count", world().slice(1, provisioning).slice(2, requested, bare).with(func(s *Snapshot) { s.Queued = 1 }), []string{"make 2"}},
		{"others do not", world().slice(1, held, stopped).slice(2, suspended, stopped).slice(3, failed), []string{request, "remove 3"}},
		{"surplus stays", world().slice(1, warm).slice(2, warm), nil},
		{"not too many at once", world().slice(1, provisioning).with(func(s *Snapshot) { s.WarmTarget, s.MaxStarting = 10, 3 }), []string{request, request}},

		// On the way to warm.
		{"requested", world().slice(1, requested, bare), []string{"make 1"}},
		{"half-made", world().slice(1, provisioning, purged), []string{"make 1"}},
		{"registered", world().slice(1, provisioning), nil},
		{"passing", world().slice(1, provisioning, passing), []string{"1 provisioning→warm"}},
		{"passing, but not registered by us", world().slice(1, requested, passing), []string{"make 1"}},
		{"passing in the last moment", world().slice(1, provisioning, passing, timedOut), []string{"1 provisioning→warm"}},
		{"timed out", world().slice(1, provisioning, timedOut), []string{"1 provisioning→failed"}},
		{"never begun", world().slice(1, requested, timedOut, bare), []string{"1 requested→failed"}},
		{"stopped on the way", world().slice(1, provisioning, stopped), []string{"1 provisioning→failed"}},
		{"overtaken by a generation", world().slice(1, provisioning, ofOlder, passing), []string{"1 provisioning→retiring", request}},

		// Taking down.
		{"failed", world().slice(1, failed).slice(2, warm), []string{"remove 1"}},
		{"retiring", world().slice(1, retiring, bare).slice(2, warm), []string{"remove 1"}},
		{"gone", world().slice(1, gone, bare).slice(2, warm), nil},
		{"gone, and something left", world().slice(1, gone, purged).slice(2, warm), []string{"remove 1"}},

		// Generations.
		{"an older warm slice waits for a newer one", world().slice(1, warm, ofOlder), []string{request}},
		{"as long as none is warm", world().slice(1, warm, ofOlder).slice(2, provisioning), nil},
		{"and goes then", world().slice(1, warm, ofOlder).slice(2, warm), []string{"1 warm→retiring"}},
		{"in the same moment", world().slice(1, warm, ofOlder).slice(2, provisioning, passing), []string{"2 provisioning→warm", "1 warm→retiring"}},
		{"not while the target is missed", world().slice(1, warm, ofOlder).slice(2, warm).with(func(s *Snapshot) { s.WarmTarget = 2 }), []string{request}},
		{"users keep theirs", world().slice(1, assigned, ofOlder).slice(2, held, stopped, ofOlder, ofUser).slice(3, warm), nil},

		// Operators.
		{"stopped", world().slice(1, assigned, stopped).slice(2, warm), []string{"1 assigned→held"}},
		{"stopped, warm", world().slice(1, warm, stopped), []string{"1 warm→held", request}},
		{"held", world().slice(1, held, stopped, ofUser).slice(2, warm), nil},
		{"started", world().slice(1, held, ofUser).slice(2, warm), []string{"1 held→assigned"}},
		{"started, without a user", world().slice(1, held).slice(2, warm), []string{"1 held→warm"}},
		{"purged", world().slice(1, assigned, purged).slice(2, warm), []string{"restore 1"}},
		{"purged, held", world().slice(1, held, purged, ofUser).slice(2, warm), []string{"restore 1"}},
		{"purged, without a user", world().slice(1, warm, purged), []string{"1 warm→retiring", request}},
		{"purged, held, without a user", world().slice(1, held, purged).slice(2, warm), []string{"1 held→retiring"}},
		{"purged, and no database", world().slice(1, assigned, purged, dropped).slice(2, warm), []string{"report 1"}},
		{"suspended", world().slice(1, suspended, stopped).slice(2, suspended, purged).slice(3, warm), nil},

		// Parts without a record may be a customer's data.
		{"unknown", world().slice(1, warm).parts(7), []string{"report 7"}},
		{"an unknown database", world().slice(1, warm).with(func(s *Snapshot) { s.Databases[7] = true }), []string{"report 7"}},

		// Busy slices count as what they are.
		{"busy", world().slice(1, requested, busy, bare), nil},
		{"busy and timed out", world().slice(1, provisioning, busy, timedOut), nil},
		{"busy retiring", world().slice(1, retiring, busy).slice(2, warm), nil},
		{"busy and older", world().slice(1, warm, busy, ofOlder).slice(2, warm), nil},

		// Urgent first.
		{"order", world().slice(1, retiring).slice(2, provisioning, passing).slice(3, requested, bare).
			slice(4, assigned, stopped).slice(5, assigned, purged).parts(6).with(func(s *Snapshot) { s.Queued = 3 }),
			[]string{"2 provisioning→warm", "4 assigned→held", "restore 5", "make 3", request, request, "remove 1", "report 6"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			actions := Plan(c.s.Snapshot)
			if got := short(actions); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
			for range 10 {
				if again := Plan(c.s.Snapshot); !slices.Equal(again, actions) {
					t.Fatalf("not deterministic: %v, then %v", actions, again)
				}
			}
			for _, a := range actions {
				checkSafe(t, c.s.Snapshot, a)
			}
		})
	}
}

// short gives actions as the table has them.
func short(actions []Action) []string {
	var words []string
	for _, a := range actions {
		switch a.Kind {
		case Transition:
			words = append(words, fmt.Sprintf("%d %s→%s", a.Number, a.From, a.To))
		case Request:
			words = append(words, "request")
		default:
			words = append(words, fmt.Sprintf("%s %d", a.Kind, a.Number))
		}
	}
	return words
}

// checkSafe holds for every Plan: only what no user can have is removed.
func checkSafe(t *testing.T, s Snapshot, a Action) {
	t.Helper()
	i := slices.IndexFunc(s.Slices, func(sl platform.Slice) bool { return sl.Number == a.Number })
	switch {
	case a.Kind == Request || a.Kind == Report:
	case i < 0:
		t.Errorf("%v: without a record", a)
	case a.From != s.Slices[i].State:
		t.Errorf("%v: the record is %s", a, s.Slices[i].State)
	case a.Kind == Remove && !slices.Contains([]platform.SliceState{failed, retiring, gone}, a.From):
		t.Errorf("%v: removes what may be in use", a)
	case (a.To == retiring || a.To == failed) && s.Slices[i].UserID != "":
		t.Errorf("%v: takes it from its user", a)
	}
}

func TestPlanBacksOff(t *testing.T) {
	after := func(failures int, ago time.Duration) *scene {
		return world().with(func(s *Snapshot) {
			s.WarmTarget, s.Failures, s.LastFailure = 3, failures, epoch.Add(-ago)
		})
	}
	cases := []struct {
		failures int
		ago      time.Duration
		requests int
	}{
		{0, 0, 3},
		{1, 4 * time.Second, 0},
		{1, 6 * time.Second, 1}, // one alone: it would likely fail, too
		{2, 8 * time.Second, 0},
		{2, 12 * time.Second, 1},
		{5, 70 * time.Second, 0},
		{5, 90 * time.Second, 1},
		{1000, 4 * time.Minute, 0},
		{1000, 6 * time.Minute, 1}, // never later than this
	}
	for _, c := range cases {
		s := after(c.failures, c.ago)
		if got := len(Plan(s.Snapshot)); got != c.requests {
			t.Errorf("%d failures, the last %v ago: %d requests, want %d", c.failures, c.ago, got, c.requests)
		}
		s.slice(1, provisioning)
		if got := len(Plan(s.Snapshot)); c.failures > 0 && got != 0 {
			t.Errorf("%d failures, one on its way: %d requests, want 0", c.failures, got)
		}
		// NextDeadline names the moment at which there is one.
		s = after(c.failures, c.ago)
		if next, ok := NextDeadline(s.Snapshot); ok != (c.failures > 0 && c.requests == 0) {
			t.Errorf("%d failures, the last %v ago: deadline %v", c.failures, c.ago, ok)
		} else if ok {
			s.Now = next
			if len(Plan(s.Snapshot)) != 1 {
				t.Errorf("%d failures, the last %v ago: nothing is due at the deadline", c.failures, c.ago)
			}
		}
	}
}

// While slices are left, those who sign up together get the machine first.
func TestPlanRefillsAfterABurst(t *testing.T) {
	claimed := func(ago ...time.Duration) *scene {
		w := world().with(func(s *Snapshot) { s.WarmTarget = 4 })
		for i, d := range ago {
			w.slice(10+i, assigned)
			w.Slices[i].StateChangedAt = epoch.Add(-d)
		}
		return w
	}
	const lately, earlier, before = 100 * time.Millisecond, time.Second, 10 * time.Second
	cases := []struct {
		name     string
		world    *scene
		requests int
	}{
		{"one just claimed", claimed(lately).slice(1, warm).slice(2, warm).slice(3, warm), 0},
		{"one claimed, and no other since", claimed(earlier).slice(1, warm).slice(2, warm).slice(3, warm), 1},
		{"claims go on", claimed(earlier, lately).slice(1, warm).slice(2, warm), 0},
		{"claims go on for long", claimed(before, lately).slice(1, warm).slice(2, warm), 2},
		{"the pool is empty", claimed(lately, lately, lately, lately), 4},
		{"somebody waits", claimed(lately).slice(1, warm).slice(2, warm).slice(3, warm).with(func(s *Snapshot) { s.Queued = 1 }), 2},
		{"the target was raised", claimed(lately).slice(1, warm), 3},
	}
	for _, c := range cases {
		if got := len(Plan(c.world.Snapshot)); got != c.requests {
			t.Errorf("%s: %d requests, want %d", c.name, got, c.requests)
		}
		if c.requests > 0 {
			continue
		}
		next, ok := NextDeadline(c.world.Snapshot)
		if !ok {
			t.Errorf("%s: no deadline", c.name)
			continue
		}
		c.world.Now = next
		if len(Plan(c.world.Snapshot)) == 0 {
			t.Errorf("%s: nothing is due at the deadline", c.name)
		}
	}
}

func TestNextDeadlineOfTimeouts(t *testing.T) {
	w := world().slice(1, provisioning).slice(2, warm)
	next, ok := NextDeadline(w.Snapshot)
	if want := epoch.Add(timeout); !ok || !next.Equal(want) {
		t.Fatalf("deadline %v (%v), want %v", next, ok, want)
	}
	w.Now = next
	if got := short(Plan(w.Snapshot)); !slices.Equal(got, []string{"1 provisioning→failed"}) {
		t.Errorf("at the deadline: %v", got)
	}
	if _, ok := NextDeadline(world().slice(1, warm).Snapshot); ok {
		t.Error("a settled pool has a deadline")
	}
}

// FuzzPlan plans for arbitrary worlds: whatever is there, nobody loses a slice.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, queued uint8) {
		w := world().with(func(s *Snapshot) { s.Queued = int(queued) })
		opts := []option{stopped, purged, dropped, passing, busy, ofOlder, ofUser, timedOut, bare}
		for i := 0; i+2 < len(data) && i < 90; i += 3 {
			number, state := i/3+1, platform.SliceStates()[int(data[i])%len(platform.SliceStates())]
			if data[i+2]&4 != 0 {
				w.parts(number)
				continue
			}
			var chosen []option
			for bit, o := range opts {
				if (int(data[i+1])|int(data[i+2]&3)<<8)&(1<<bit) != 0 {
					chosen = append(chosen, o)
				}
			}
			w.slice(number, state, chosen...)
			s := &w.Slices[len(w.Slices)-1]
			if slices.Contains([]platform.SliceState{requested, provisioning, warm, failed}, s.State) {
				s.UserID = "" // as the schema has it
			}
		}
		requests := 0
		for _, a := range Plan(w.Snapshot) {
			checkSafe(t, w.Snapshot, a)
			if w.Busy[a.Number] {
				t.Errorf("%v: busy", a)
			}
			if a.Kind == Request {
				requests++
			}
		}
		if requests > min(1+int(queued), w.MaxStarting) {
			t.Errorf("%d requests", requests)
		}
	})
}
