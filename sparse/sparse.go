// Package sparse has arrays with gaps: tables of slices by their number.
package sparse

import "iter"

const pageBits = 9 // 512 places, 4 KiB; slices that are in use have numbers close to each other

// Array maps numbers to values. Where numbers are close to each other it has few
// pages, which stay in the processor's cache: what a look-up reads beside them is
// the value's place, where a large map has it read in several. The zero value is
// empty. It is not safe for concurrent use while it is changed.
type Array[T any] struct {
	pages map[int]*page[T]
	count int
}

type page[T any] struct {
	places [1 << pageBits]*T
	count  int
}

func split(number int) (key, place int) { return number >> pageBits, number & (1<<pageBits - 1) }

// Len returns how many values there are.
func (a *Array[T]) Len() int { return a.count }

// Get returns the value of a number, nil if it has none.
func (a *Array[T]) Get(number int) *T {
	key, place := split(number)
	p := a.pages[key]
	if p == nil {
		return nil
	}
	return p.places[place]
}

// Set gives a number a value; nil takes it away.
func (a *Array[T]) Set(number int, value *T) {
	key, place := split(number)
	p := a.pages[key]
	if p == nil {
		if value == nil {
			return
		}
		if a.pages == nil {
			a.pages = make(map[int]*page[T])
		}
		p = new(page[T])
		a.pages[key] = p
	}
	change := 0
	if value != nil {
		change++
	}
	if p.places[place] != nil {
		change--
	}
	p.places[place] = value
	p.count += change
	a.count += change
	if p.count == 0 {
		delete(a.pages, key)
	}
}

// All returns the numbers that have values, in no order to rely on. Values may be
// taken away meanwhile.
func (a *Array[T]) All() iter.Seq2[int, *T] {
	return func(yield func(int, *T) bool) {
		for key, p := range a.pages {
			for place, value := range &p.places { // not a copy
				if value != nil && !yield(key<<pageBits|place, value) {
					return
				}
			}
		}
	}
}
