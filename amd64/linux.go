//go:build !tamago

package amd64

import (
	"runtime"
	"syscall"
	"unsafe"

	"alphaos/amd64/paging"
)

// What only a program built with the stock toolchain needs: the way into a runtime that
// takes its machine for Linux. The TamaGo build has tamago.go instead.

const initialStack = 256 << 10

var (
	programName = [8]byte{'p', 'r', 'o', 'g', 'r', 'a', 'm'}
	seed        [16]byte
	// A crash report has the traces of all goroutines.
	environment = [...]byte{'G', 'O', 'T', 'R', 'A', 'C', 'E', 'B', 'A', 'C', 'K', '=', 'a', 'l', 'l', 0}
)

// startRuntime makes the first thread, which enters the Go runtime as a Linux
// process does: with argc, argv, the environment and the auxiliary vector on its stack.
func startRuntime(c *cpu) {
	const (
		atNull   = 0
		atPagesz = 6
		atSecure = 23
		atRandom = 25
	)
	stack := paging.AllocRun(initialStack>>paging.FrameShift, paging.Anywhere)
	t := newThread()
	if stack == 0 || t == nil {
		bootFailed("there is no memory for the first thread")
	}
	random(addrOf(&seed), unsafe.Sizeof(seed))
	sp := stack + initialStack - 128
	*at[[12]uintptr](sp) = [12]uintptr{
		1, addrOf(&programName), 0, // argc, argv
		addrOf(&environment), 0,
		atPagesz, paging.FrameSize,
		atRandom, addrOf(&seed),
		atSecure, 0,
		atNull,
	}
	t.regs.ip = runtimeEntry()
	t.regs.sp = sp
	t.regs.cs, t.regs.ss = selCode, selData
	t.regs.flags = flagsIF | 2
	heapFrames, _ = paging.Frames()
	c.slice = now()
	dispatch(c, t)
}

// kernelCall makes a system call of this package's own, whose arguments are an address
// and a number. It reports whether there was no error.
func kernelCall(number uintptr, p unsafe.Pointer, n uintptr) (uintptr, bool) {
	r, _, errno := syscall.Syscall(number, uintptr(p), n, 0)
	return r, errno == 0
}

// otherSyscall serves the calls that only one kind of runtime makes.
func otherSyscall(_ *cpu, t *thread) uintptr { return unknownSyscall(t.regs.ax, t.regs.si) }

// faultToPanic turns a fault into a Go panic if the runtime does not do so by itself.
func faultToPanic(*thread, uintptr) bool { return false }

// exitCause says why the runtime gave up.
func exitCause() CrashCause { return ErrorInProgram }

// heapUnused is what the Go heap has set aside and does not use yet: nothing, since it takes
// memory only when it needs it.
func heapUnused(uint64) uint64 { return 0 }

func init() {
	if Booted() {
		useProcessors(1)
	}
}

// useProcessors has the runtime use n processors, with one P more than that: goroutines that
// compute keep theirs for 10 ms, and a key must not wait that long. The kernel gives a thread
// that wakes up a processor at once (thread.go).
func useProcessors(n int) { runtime.GOMAXPROCS(n + 1) }
