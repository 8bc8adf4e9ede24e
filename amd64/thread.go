package amd64

// Threads and their scheduler. A thread is what the Go runtime calls an M: the
// runtime asks for few, and they mostly wait.
//
// Invariant: a thread that is neither current on a processor nor in the run queue is
// waiting for a futex word, a time, or the event descriptor, and says so in its state;
// whoever makes the condition true moves it to the run queue. A pending signal is kept
// in the thread until it next runs: it cannot be lost.

const timeSlice = 10e6 // ns

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
	regs     frame
	fs       uintptr
	vector   uintptr // vectorDead or vectorSaved
	xsave    uintptr // 4 KiB for the vector registers
	state    threadState
	next     uintptr // *thread in the run queue
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

	runqHead, runqTail uintptr // *thread
	nextDeadline       int64   // earliest of all; 0: none
)

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
			if xsave = allocFrame(); xsave == 0 {
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

func runqPut(t *thread) {
	t.next = 0
	if runqTail == 0 {
		runqHead = addrOf(t)
	} else {
		at[thread](runqTail).next = addrOf(t)
	}
	runqTail = addrOf(t)
}

func runqGet() *thread {
	t := at[thread](runqHead)
	if t == nil {
		return nil
	}
	if runqHead = t.next; runqHead == 0 {
		runqTail = 0
	}
	return t
}

// wait takes the current thread off the processor until wake, or until ns from
// now when ns is not negative.
func wait(c *cpu, t *thread, state threadState, ns int64) {
	t.state = state
	t.deadline = 0
	if ns >= 0 {
		t.deadline = now() + ns
		if nextDeadline == 0 || t.deadline < nextDeadline {
			nextDeadline = t.deadline
		}
	}
	c.current = 0
}

func wake(t *thread, result uintptr) {
	t.state = runnable
	t.deadline = 0
	t.regs.ax = result
	runqPut(t)
	kickIdle()
}

// wakeSleepers wakes the threads whose time has come and reports whether there was one.
func wakeSleepers() bool {
	if nextDeadline == 0 {
		return false
	}
	n := now()
	if n < nextDeadline {
		return false
	}
	woken := false
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
			woken = true
		case nextDeadline == 0 || t.deadline < nextDeadline:
			nextDeadline = t.deadline
		}
	}
	return woken
}

// schedule resumes the current thread, or else the next one that can run; it
// sleeps while there is none. It does not return.
func schedule(c *cpu) {
	for {
		if c == &cpus[0] {
			bootDuties(c)
		} else {
			leaveProcessor(c)
		}
		if t := c.thread(); t != nil {
			dispatch(c, t)
		}
		wakeSleepers()
		if t := runqGet(); t != nil {
			c.slice = now()
			armTimer(c)
			dispatch(c, t)
		}
		idle(c)
	}
}

// armTimer sees to it that a thread on another than the boot processor, where the
// firmware's timer interrupts, does not outstay its slice or a sleeper's time.
func armTimer(c *cpu) {
	if c == &cpus[0] {
		return
	}
	ns := int64(timeSlice)
	if nextDeadline != 0 {
		const least = 1e6
		ns = max(least, min(ns, nextDeadline-now()))
	}
	setTimer(ns)
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

// idle waits for something to happen: with short waits it looks at the clock, with
// long ones it halts until an interrupt: the boot processor inside the firmware, another
// one where it stands, from where it does not return.
func idle(c *cpu) {
	const short = 50e3 // ns
	if c != &cpus[0] {
		c.xsave = 0 // the last thread's registers are its own affair now
		c.mode = modeIdle
		ns := int64(0)
		if nextDeadline != 0 {
			ns = max(1, nextDeadline-now())
		}
		setTimer(ns)
		c.halted = 1
		unlock()
		haltHere()
	}
	if nextDeadline != 0 && nextDeadline-now() < short {
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
	runqPut(n)
	kickIdle()
	return n.id()
}

func exitThread(c *cpu, t *thread) {
	t.state = unused
	t.deadline = 0
	c.current = 0
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
