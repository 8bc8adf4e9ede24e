package llm

import (
	"math"
	"slices"
	"testing"
)

// bareStore is a store of a layer with n experts and as many slots, without a drive.
func bareStore(n int) *expertStore {
	e := &expertStore{t: &stream{inPlace: true}, slots: make([]expertSlot, n)}
	e.changed.L, e.work.L = &e.mu, &e.mu
	l := expertLayer{owner: &experts{each: make([]expert, n)}, wanted: make([]bool, n), guess: make([]int32, n)}
	for range n {
		l.slot, l.use = append(l.slot, -1), append(l.use, math.Inf(-1))
	}
	e.layers = []expertLayer{l}
	return e
}

// TestGuessesThatProveWrong has a router whose first choices come true and whose second ones do not: these are no longer read, until
// they do.
func TestGuessesThatProveWrong(t *testing.T) {
	e := bareStore(8)
	l := &e.layers[0]
	foresee := func(want ...int32) {
		t.Helper()
		e.foresee(0, []int32{0, 1, 2, 3}, 2) // of two tokens
		var got []int32
		for _, id := range e.guess {
			got = append(got, id.expert)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v are read, want %v", got, want)
		}
	}
	foresee(0, 1, 2, 3)
	l.wanted[0], l.wanted[2] = true, true
	for range 100 {
		e.learn(l)
		foresee(0, 2)
	}
	l.wanted[1], l.wanted[3] = true, true
	for range 110 {
		e.learn(l)
		e.foresee(0, []int32{0, 1, 2, 3}, 2)
	}
	foresee(0, 1, 2, 3)
	l.slot[1] = 5
	foresee(0, 2, 3)
	e.foresee(0, []int32{3, 2, 1, 0}, 0) // a prompt's, in no order
	if len(e.guess) != 3 {
		t.Errorf("of a prompt %v are read", e.guess)
	}
}

// TestGuessIsLeft begins to read two guesses, of which one is then wanted and the other not.
func TestGuessIsLeft(t *testing.T) {
	e := bareStore(8)
	l := &e.layers[0]
	e.foresee(0, []int32{4, 6}, 2)
	read := func() int32 { // the slot of the next matrix
		slot := e.next()
		if slot >= 0 {
			e.slots[slot].begun++
			e.slots[slot].reads++
		}
		return slot
	}
	a := read()
	for range 2 {
		if slot := read(); slot != a {
			t.Fatalf("slot %d after %d", slot, a)
		}
	}
	b := read()
	if b == a || l.slot[4] != a || l.slot[6] != b {
		t.Fatalf("slots %d and %d; %v", a, b, l.slot)
	}
	l.wanted[4] = true
	e.cancel(func(id expertID) bool { return l.wanted[id.expert] })
	if e.slots[b].state != slotReading || e.slots[a].wrong {
		t.Fatal("a slot that is being read was given up, or the wrong one")
	}
	// It is wanted after all, while the rest of what was begun still comes.
	l.wanted[6] = true
	e.demand, e.guess = append(e.demand, expertID{0, 6}), nil
	if slot := read(); slot >= 0 {
		t.Fatalf("slot %d is read in place of waiting", slot)
	}
	e.slots[b].reads--
	e.settle(b)
	if l.slot[6] >= 0 || e.slots[b].state != slotEmpty {
		t.Fatal("what was left is kept")
	}
	if slot := read(); slot < 0 || l.slot[6] != slot || e.slots[slot].begun != 1 {
		t.Fatalf("slot %d", slot)
	}
	e.slots[a].reads = 0
	e.settle(a)
	if e.slots[a].state != slotReady || !e.slots[a].pinned || l.owner.each[4].down == nil {
		t.Errorf("%+v", e.slots[a])
	}
}
