package sparse

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// An array is what a map is, whatever is done to it.
func TestArrayIsLikeAMap(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	var a Array[int]
	want := make(map[int]*int)
	for range 20_000 {
		number := random.IntN(2000) - 20
		if random.IntN(8) == 0 {
			number *= 1_000_003
		}
		if random.IntN(2) == 0 {
			value := new(int)
			a.Set(number, value)
			want[number] = value
		} else {
			a.Set(number, nil)
			delete(want, number)
		}
		if a.Len() != len(want) || a.Get(number) != want[number] {
			t.Fatalf("number %d: %p of %d, want %p of %d", number, a.Get(number), a.Len(), want[number], len(want))
		}
	}
	if got := maps.Collect(a.All()); !maps.Equal(got, want) {
		t.Errorf("%d are there, want %d", len(got), len(want))
	}
	for number := range a.All() {
		a.Set(number, nil)
	}
	if a.Len() != 0 || len(a.pages) != 0 {
		t.Errorf("%d values and %d pages are left", a.Len(), len(a.pages))
	}
	for number := range want {
		if a.Get(number) != nil {
			t.Errorf("%d is left", number)
		}
	}
}

// What is taken away while all are looked at is not seen any more.
func TestArrayShowsWhatIsThere(t *testing.T) {
	var a Array[int]
	a.Set(1, new(int))
	a.Set(2, new(int))
	for number := range a.All() {
		if a.Get(number) == nil {
			t.Errorf("%d was taken away", number)
		}
		a.Set(3-number, nil)
	}
}

func TestArrayStopsWhenAsked(t *testing.T) {
	var a Array[int]
	a.Set(1, new(int))
	a.Set(2, new(int))
	n := 0
	for range a.All() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d, want 1", n)
	}
}
