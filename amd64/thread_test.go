package amd64

import "testing"

// TestWhoRuns checks the order in which threads get a processor.
func TestWhoRuns(t *testing.T) {
	fresh, spent, spentTurn = queue{}, queue{}, false
	var c cpu
	run := func(n *thread, since, until int64) {
		n.state, c.current, c.slice = running, addrOf(n), since
		c.yield(until)
	}
	busy, other, quick := &threads[0], &threads[1], &threads[2]
	defer func() { *busy, *other, *quick = thread{}, thread{}, thread{} }()
	run(busy, 0, timeSlice)
	run(other, 0, 3*timeSlice)
	run(quick, 0, timeSlice/10)
	want := func(at int64, next *thread) {
		t.Helper()
		if got := nextThread(at); got != next {
			t.Fatalf("at %d ns the wrong thread runs", at)
		}
	}
	const soon = 4 * timeSlice
	want(soon, quick) // though it came last
	want(soon, busy)
	want(soon, other)
	want(soon, nil)

	if other.ran != 2*timeSlice {
		t.Errorf("a thread is charged with %d ns: it would have to wait that long to be fresh", other.ran)
	}
	// Spent threads get a turn among any number of fresh ones, and no more than one.
	const late = soon + 2*patience
	run(other, soon, soon)
	run(busy, soon, soon)
	run(quick, soon, soon)
	want(late, other)
	want(late, quick)
	run(quick, late, late)
	want(late, busy)
	run(quick, late, late)
	want(late, quick)

	c.current, c.slice = addrOf(quick), late
	quick.ran = 0
	if c.spentAt(late+timeSlice-1) || !c.spentAt(late+timeSlice) {
		t.Error("a thread is not spent after exactly its slice")
	}
}
