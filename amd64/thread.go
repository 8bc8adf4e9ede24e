package amd64

import "alphaos/amd64/paging"

// Threads and their scheduler. A thread is what the Go runtime calls an M. The runtime
// asks for few of them, and they mostly wait.
//
// Invariant: a thread that is neither current on a processor nor in a run queue is
// waiting for a futex word, a time, the event descriptor or the firmware, and says so in
// its state; whoever makes the condition true moves it to a run queue. A pending signal
// stays in the thread until it next runs, so it cannot be lost.
//
// Who runs: a thread is fresh while it has run for less than a time slice more than it
// has waited since, otherwise spent. Fresh threads run first, and one that wakes up takes the
// processor from a spent one, so that a key or a timer is served at once while all
// processors compute. Spent threads share what is left in slices; the one that has waited
// longest for its turn gets a slice now and then, however many fresh ones there are.

const (
	timeSlice = 10e6 // ns
	// A thread that was given a processor keeps it for at least this long, which is also
	// the shortest time that the processor's timer is set to.
	leastRun = 1e6
	// The longest a spent thread waits for its turn before it goes first.
	patience = 10 * timeSlice
)

type threadState uintptr

const (
	unused threadState = iota
	runnable
	running
	waitFutex
	waitTime
	waitEvent
	waitFirmware
)

// What the thread's vector registers hold when it next runs.
const (
	vectorDead  = iota // nothing: it made a system call, whose callers expect none kept
	vectorSaved        // its save area
)

// thread is one thread. Its first field is known to the assembly.
type thread struct {
	regs     trapFrame
	fs       uintptr
	vector   uintptr // vectorDead or vectorSaved
	xsave    uintptr // 4 KiB for the vector registers
	state    threadState
	next     uintptr // *thread in a queue
	ran      int64   // ns it has run, less those it has waited; see leave and wake
	since    int64   // when it last left a processor
	futex    uintptr // address waited for
	deadline int64   // when waiting ends at the latest; 0: never
	event    uintptr // where epoll_pwait wants its event
	pending  uint64  // signals, bit n-1
	mask     uint64
	altSP    uintptr // sigaltstack
	altSize  uintptr
	altFlags uintptr
	cpu      uintptr  // *cpu on which it runs
	call     gateCall // a firmware call
	callUser uintptr  // and where its result goes
}

var (
	threads    [maxThreads]thread
	threadsTop int // no thread in use at or above

	fresh, spent queue // threads that can run
	spentTurn    bool  // the last thread chosen was one that had lost patience
	nextDeadline int64 // earliest of all; 0: none
)

// queue is a list of threads, first in, first out.
type queue struct{ head, tail uintptr } // *thread

func (q *queue) put(t *thread) {
	t.next = 0
	if q.tail == 0 {
		q.head = addrOf(t)
	} else {
		at[thread](q.tail).next = addrOf(t)
	}
	q.tail = addrOf(t)
}

// get returns nil when the queue is empty.
func (q *queue) get() *thread {
	t := at[thread](q.head)
	if t == nil {
		return nil
	}
	if q.head = t.next; q.head == 0 {
		q.tail = 0
	}
	return t
}

func (t *thread) id() uintptr {
	return (addrOf(t)-addrOf(&threads[0]))/sizeofThread + 1
}

func newThread() *thread {
	for i := range threads {
		t := &threads[i]
		if t.state != unused {
			continue
		}
		xsave := t.xsave
		if xsave == 0 {
			if xsave = paging.AllocFrame(); xsave == 0 {
				return nil
			}
		}
		*t = thread{xsave: xsave, state: runnable}
		if i >= threadsTop {
			threadsTop = i + 1
		}
		return t
	}
	return nil
}

// spentAt reports whether the thread that runs on c has had its share at the time n.
func (c *cpu) spentAt(n int64) bool { return c.thread().ran+n-c.slice >= timeSlice }

// leave takes the current thread off the processor at the time n.
func (c *cpu) leave(n int64) {
	t := c.thread()
	t.ran = min(t.ran+n-c.slice, 2*timeSlice)
	t.since = n
	c.current = 0
}

// yield takes the current thread off the processor; it can go on at any time.
func (c *cpu) yield(n int64) {
	t := c.thread()
	c.leave(n)
	t.state = runnable
	if t.ran < timeSlice {
		fresh.put(t)
	} else {
		spent.put(t)
	}
}

// nextThread returns the thread that is to run, nil when none can.
func nextThread(n int64) *thread {
	if t := at[thread](spent.head); t != nil && !spentTurn && n-t.since > patience {
		spentTurn = true
		return spent.get()
	}
	spentTurn = false
	if t := fresh.get(); t != nil {
		return t
	}
	return spent.get()
}

// wait takes the current thread off the processor until wake, or until ns from
// now when ns is not negative.
func wait(c *cpu, t *thread, state threadState, ns int64) {
	n := now()
	t.state = state
	t.deadline = 0
	c.leave(n)
	if ns < 0 {
		return
	}
	t.deadline = n + ns
	if nextDeadline == 0 || t.deadline < nextDeadline {
		nextDeadline = t.deadline
		if c == &bootCPU {
			keepTime()
		}
	}
}

func wake(t *thread, result uintptr) {
	n := now()
	t.ran = max(0, t.ran-(n-t.since))
	t.since = n
	t.deadline = 0
	t.regs.ax = result
	begin(t, n)
}

// begin makes a thread runnable, on an idle processor if there is one.
func begin(t *thread, n int64) {
	t.state = runnable
	isFresh := t.ran < timeSlice
	if isFresh {
		fresh.put(t)
	} else {
		spent.put(t)
	}
	// The boot processor last: it wakes slowly, and firmware calls wait for it.
	for i := cpuCount - 1; i >= 0; i-- {
		if o := processor(i); o.mode == modeIdle {
			o.mode = modeKernel
			sendIPI(o)
			return
		}
	}
	for i := cpuCount - 1; i >= 0 && isFresh; i-- {
		if o := processor(i); o.mode == modeUser && o.spentAt(n) {
			sendIPI(o)
			return
		}
	}
}

// wakeSleepers wakes the threads whose time has come.
func wakeSleepers(n int64) {
	if nextDeadline == 0 || n < nextDeadline {
		return
	}
	nextDeadline = 0
	for i := 0; i < threadsTop; i++ {
		t := &threads[i]
		switch {
		case t.deadline == 0:
		case t.deadline <= n:
			result := uintptr(0)
			if t.state == waitFutex {
				result = errno(eTIMEDOUT)
			}
			wake(t, result)
		case nextDeadline == 0 || t.deadline < nextDeadline:
			nextDeadline = t.deadline
		}
	}
}

// schedule resumes the current thread, or else the next one that can run; it
// sleeps while there is none. It does not return.
func schedule(c *cpu) {
	for {
		if c == &bootCPU {
			bootDuties(c)
		} else {
			leaveProcessor(c)
		}
		n := now()
		wakeSleepers(n)
		if c.current != 0 && fresh.head != 0 && n-c.slice >= leastRun && c.spentAt(n) {
			c.yield(n)
		}
		if t := c.thread(); t != nil {
			if fresh.head != 0 || nextDeadline != 0 && c.expires > nextDeadline+leastRun {
				armTimer(c, t, n)
			}
			dispatch(c, t)
		}
		if t := nextThread(n); t != nil {
			c.slice = n
			armTimer(c, t, n)
			dispatch(c, t)
		}
		idle(c)
	}
}

// armTimer makes sure that t does not outstay its slice, a sleeper's time or, when a fresh
// thread waits, its share. The boot processor has the firmware's timer for that.
func armTimer(c *cpu, t *thread, n int64) {
	if c == &bootCPU {
		return
	}
	end := c.slice + timeSlice
	if fresh.head != 0 {
		end = c.slice + max(leastRun, timeSlice-t.ran)
	}
	if nextDeadline != 0 {
		end = min(end, nextDeadline)
	}
	setTimer(c, max(end-n, leastRun))
}

// keepTime has another processor's timer wake the next sleeper, which the boot processor has
// put to sleep and has no timer of its own to wake.
func keepTime() {
	if cpuCount < 2 {
		return
	}
	o := processor(1)
	late := o.expires == 0 || o.expires > nextDeadline+leastRun
	if late && (o.mode == modeUser || o.mode == modeIdle) {
		sendIPI(o) // in any other mode it looks at the time by itself
	}
}

// dispatch lets t run on this processor from its registers on.
func dispatch(c *cpu, t *thread) {
	t.state = running
	t.cpu = addrOf(c)
	c.current = addrOf(t)
	c.xsave = t.xsave
	deliverPending(t)
	if c.stale != 0 {
		c.stale = 0
		writeCR3(ownCR3)
	}
	c.mode = modeUser
	unlock()
	resume(t)
}

// idle waits for something to happen. For a short time it polls the clock, for a longer one
// it halts until an interrupt: the boot processor inside the firmware, any other in haltHere,
// from which it does not return.
func idle(c *cpu) {
	const short = 50e3 // ns
	if c != &bootCPU {
		c.xsave = 0 // the last thread may run elsewhere: its registers must not be overwritten
		c.mode = modeIdle
		ns := int64(0)
		if nextDeadline != 0 {
			ns = max(1, nextDeadline-now())
		}
		setTimer(c, ns)
		c.halted = 1
		unlock()
		haltHere()
	}
	if firmwareBroken != 0 || nextDeadline != 0 && nextDeadline-now() < short {
		unlock()
		pause()
		lock()
		return
	}
	c.mode = modeIdle
	unlock()
	haltInFirmware(c)
	lock()
	c.mode = modeKernel
}

// clone is clone(2) as the Go runtime uses it: a thread in the same address space.
func clone(t *thread, flags, stack, tls uintptr) uintptr {
	const (
		cloneVM     = 0x100
		cloneThread = 0x10000
		cloneSetTLS = 0x80000
	)
	if flags&(cloneVM|cloneThread) != cloneVM|cloneThread {
		return errno(eINVAL)
	}
	n := newThread()
	if n == nil {
		return errno(eAGAIN)
	}
	n.regs = t.regs
	n.regs.ax = 0
	n.regs.sp = stack
	n.fs = t.fs
	if flags&cloneSetTLS != 0 {
		n.fs = tls
	}
	n.mask = t.mask
	n.since = now()
	begin(n, n.since)
	return n.id()
}

func exitThread(c *cpu, t *thread) {
	c.leave(now())
	t.state = unused
	t.deadline = 0
	if liveThreads() == 0 {
		exit(0)
	}
}

func liveThreads() int {
	n := 0
	for i := 0; i < threadsTop; i++ {
		if threads[i].state != unused {
			n++
		}
	}
	return n
}

// futex is futex(2), FUTEX_WAIT and FUTEX_WAKE.
func futex(c *cpu, t *thread, addr, op, val, timeout uintptr) uintptr {
	const (
		futexWait    = 0
		futexWake    = 1
		futexPrivate = 128
	)
	switch op &^ futexPrivate {
	case futexWait:
		if !touch(addr, 4, false) {
			return errno(eFAULT)
		}
		if *at[uint32](addr) != uint32(val) {
			return errno(eAGAIN)
		}
		ns := int64(-1)
		if timeout != 0 {
			var ok bool
			if ns, ok = readTimespec(timeout); !ok {
				return errno(eFAULT)
			}
		}
		t.futex = addr
		wait(c, t, waitFutex, ns)
		return 0
	case futexWake:
		n := uintptr(0)
		for i := 0; i < threadsTop && n < val; i++ {
			w := &threads[i]
			if w.state == waitFutex && w.futex == addr {
				wake(w, 0)
				n++
			}
		}
		return n
	}
	return errno(eNOSYS)
}

// The event descriptors. The runtime's network poller makes one epoll instance
// and one eventfd, with which it interrupts its own wait; there is nothing else to poll.
const (
	fdEpoll = 3
	fdEvent = 4
)

var (
	eventCount uint64 // the eventfd's counter
	eventData  uint64 // what epoll_ctl attached to it
	eventAdded uintptr
)

func epollWait(c *cpu, t *thread, events, max uintptr, ms int32) uintptr {
	if max == 0 || !touch(events, 12, true) {
		return errno(eFAULT)
	}
	if eventCount > 0 && eventAdded != 0 {
		return putEvent(events)
	}
	if ms == 0 {
		return 0
	}
	ns := int64(-1)
	if ms > 0 {
		ns = int64(ms) * 1e6
	}
	t.event = events
	wait(c, t, waitEvent, ns)
	return 0
}

func putEvent(events uintptr) uintptr {
	const epollIn = 1
	*at[uint32](events) = epollIn
	*at[uint64](events + 4) = eventData // packed on x86-64
	return 1
}

func eventWrite(n uint64) {
	eventCount += n
	if eventAdded == 0 {
		return
	}
	for i := 0; i < threadsTop; i++ {
		if w := &threads[i]; w.state == waitEvent {
			wake(w, putEvent(w.event))
		}
	}
}
