//go:build tamago

package amd64

import (
	"runtime"
	"runtime/debug"
	"unsafe"

	"alphaos/amd64/paging"
)

// What only a program built by TamaGo needs. Its runtime asks for less than one that takes
// its machine for Linux (see package goos); the machine is the same.
//
// The heap is one piece of identity-mapped memory, set aside at the start, since the
// runtime only ever moves its end, and addresses it with 32 bits. An M keeps its P for
// ever, so Ms without work look for some again and again: see idleThread. A fault
// becomes a call of the function that the runtime's signal handler would call on other
// systems.

const (
	sysIdle = 0x1010
	sysWake = 0x1011

	// The heap gets a share of memory for the program's data, within bounds, and a fixed
	// amount for everything else.
	heapShare           = 4 // of all memory
	heapLeast, heapMost = 64 << 20, 2 << 30
	heapRest            = 160 << 20
	heapStep            = 4 << 20

	fourGiB = 1 << 32
)

// idler is what the kernel knows of a thread that has nothing to do.
type idler struct {
	since int64   // when it began
	seen  int64   // until when it was seen to go on
	woken uintptr // wake was called before idle
}

var idlers [maxThreads]idler

// startRuntime makes the first thread, which enters the Go runtime with the heap's
// bounds. Interrupts are enabled when it has said what its FS is.
func startRuntime(c *cpu) {
	if imageBase+imageSize > fourGiB {
		bootFailed("the firmware loaded it above 4 GiB, where a program built by TamaGo does not run") // it sets only half of FS
	}
	start, end := takeHeap()
	t := newThread()
	if start == 0 || t == nil {
		bootFailed("there is too little free memory in one piece below 4 GiB")
	}
	t.regs.ip = runtimeEntry()
	t.regs.di, t.regs.si = start, end
	t.regs.sp = end - 64
	t.regs.cs, t.regs.ss = selCode, selData
	t.regs.flags = 2
	c.slice = now()
	dispatch(c, t)
}

// takeHeap sets memory aside for the Go heap and the first thread's stack at its end.
func takeHeap() (start, end uintptr) {
	total, _ := paging.Frames()
	want := min(max(total<<paging.FrameShift/heapShare, heapLeast), heapMost) + heapRest
	for n := pageUp(want); n >= heapLeast+heapRest; n -= heapStep {
		if start = paging.AllocRun(n>>paging.FrameShift, fourGiB); start != 0 {
			heapFrames = n >> paging.FrameShift
			return start, start + n
		}
	}
	return 0, 0
}

func otherSyscall(c *cpu, t *thread) uintptr {
	switch t.regs.ax {
	case sysIdle:
		return idleThread(c, t, int64(t.regs.di))
	case sysWake:
		return wakeThread(t.regs.di)
	}
	return unknownSyscall(t.regs.ax, t.regs.si)
}

// idleThread takes the processor from a thread whose P has nothing to run, until a time
// (since 1970) if it is not 0. Work on another P's queue is not announced: with several Ps,
// a thread looks for it all the time at first, and then pauses for as long as it has been
// idle, within bounds.
func idleThread(c *cpu, t *thread, until int64) uintptr {
	const (
		work = 200e3 // ns; a thread that comes back later has worked
		look = 200e3
		most = 1e6
		long = 1e9
	)
	i := &idlers[t.id()-1]
	if i.woken != 0 {
		i.woken = 0
		return 0
	}
	n := now()
	ns := int64(long)
	if threadsTop > 1 {
		if n-i.seen > work {
			i.since = n
		}
		ns = min(n-i.since, most)
		if ns < look {
			ns = 0
		}
	}
	if until != 0 {
		ns = min(ns, until-wallBase-n)
	}
	i.seen = n + ns
	if ns > 0 {
		wait(c, t, waitTime, ns)
	}
	return 0
}

// wakeThread ends a thread's pause, or keeps it from the next one.
func wakeThread(id uintptr) uintptr {
	if id == 0 || id > maxThreads {
		return errno(eINVAL)
	}
	if t := &threads[id-1]; t.state == waitTime {
		wake(t, 0)
	} else {
		idlers[id-1].woken = 1
	}
	return 0
}

// faultToPanic makes the thread go on as if the instruction at fault had called
// runtime.sigpanic, which is how the Go runtime does it elsewhere.
func faultToPanic(t *thread, sig uintptr) bool {
	r := &t.regs
	if sig != sigSEGV || t.fs == 0 || !touch(r.sp-8, 8, true) {
		return false
	}
	// After a call of nothing the return address is on the stack already.
	if start, end, _ := imageSection(0); r.ip >= start && r.ip < end {
		r.sp -= 8
		*at[uintptr](r.sp) = r.ip
	}
	r.ip = panicEntry()
	r.flags = flagsIF | 2
	t.vector = vectorDead
	return true
}

// memoryError is the runtime.Error of a fault.
type memoryError struct{}

func (memoryError) RuntimeError() {}
func (memoryError) Error() string {
	return "runtime error: invalid memory address or nil pointer dereference"
}

func memoryFault() { panic(memoryError{}) }

// exitCause says why the runtime gave up: it has printed that.
func exitCause() CrashCause {
	if !logged(reportAt, "fatal error: out of memory") && !logged(reportAt, "fatal error: runtime: cannot allocate memory") {
		return ErrorInProgram
	}
	tellMemory()
	return OutOfMemory
}

// The runtime has no environment to take GOTRACEBACK from, and counts no processors.
func init() {
	if Booted() {
		useProcessors(1)
		debug.SetTraceback("all")
	}
}

// useProcessors has the runtime use n processors: an M without work for its P does not
// sleep for long, so one more would be in the way.
func useProcessors(n int) { runtime.GOMAXPROCS(n) }

// heapUnused is what of the Go heap's memory the runtime has not taken yet.
func heapUnused(heap uint64) uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return heap - min(heap, m.Sys)
}

// kernelCall makes a system call of this package's own, whose arguments are an address
// and a number. It reports whether there was no error.
//
//go:noescape
func kernelCall(number uintptr, p unsafe.Pointer, n uintptr) (r uintptr, ok bool)

func panicEntry() uintptr
