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

var testCPUs [3]cpu

// TestBegin checks which processor is interrupted for a thread that becomes ready.
func TestBegin(t *testing.T) {
	var registers [1 << 10]uint32 // of a local APIC
	apicRegs, cpuCount = addrOf(&registers), 3
	ready := &threads[3]
	defer func() {
		apicRegs, cpuCount = 0, 0
		cpuTable = [maxCPUs]uintptr{}
		clear(threads[:4])
		fresh, spent = queue{}, queue{}
	}()
	const at = 5 * timeSlice
	// what the processors do: their mode, and whether what they run is spent
	idle, firmware := cpu{mode: modeIdle}, cpu{mode: modeFirmware}
	busy, quick := cpu{mode: modeUser, slice: at - timeSlice}, cpu{mode: modeUser, slice: at}
	for _, c := range []struct {
		name string
		cpus [3]cpu
		ran  int64 // by the thread that becomes ready
		want int   // processor, -1 for none
	}{
		{"idle before busy", [3]cpu{quick, idle, busy}, 0, 1},
		{"the boot processor last", [3]cpu{idle, quick, idle}, 0, 2},
		{"only the boot processor", [3]cpu{idle, quick, busy}, 0, 0},
		{"a spent thread gives way", [3]cpu{quick, busy, quick}, 0, 1},
		{"a fresh one does not", [3]cpu{quick, quick, quick}, 0, -1},
		{"for a spent one none does", [3]cpu{busy, busy, busy}, timeSlice, -1},
		{"even then the idle work", [3]cpu{busy, idle, busy}, timeSlice, 1},
		{"firmware is not disturbed", [3]cpu{firmware, quick, quick}, 0, -1},
	} {
		fresh, spent = queue{}, queue{}
		for i := range c.cpus {
			o := &testCPUs[i]
			*o, cpuTable[i] = c.cpus[i], addrOf(o)
			o.apic, o.current = uintptr(i+1), addrOf(&threads[i])
			threads[i] = thread{state: running}
		}
		clear(registers[:])
		*ready = thread{ran: c.ran}
		begin(ready, at)
		interrupted := -1
		if registers[apicICRLow/4] == uint32(vecIPI) {
			interrupted = int(registers[apicICRHigh/4]>>24) - 1
		}
		if interrupted != c.want {
			t.Errorf("%s: processor %d is interrupted, want %d", c.name, interrupted, c.want)
		}
		if next := nextThread(at); next != ready {
			t.Errorf("%s: the thread is in no queue", c.name)
		}
		if interrupted >= 0 && testCPUs[interrupted].mode == modeIdle {
			t.Errorf("%s: the processor still counts as idle, and will be interrupted again", c.name)
		}
	}
}
