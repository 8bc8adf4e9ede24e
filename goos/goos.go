//go:build tamago

// Package goos is what a Go runtime built by TamaGo asks its machine for. TamaGo
// compiles it in the place of runtime/goos (GOOSPKG=alphaos); a stock toolchain never
// sees it.
//
// The machine is alphaos/amd64, which serves Linux's system calls in ring 0, so nearly every
// hook here makes one of those. Two system calls are for this package alone, in place of
// Linux's futex: see idle and wake.
//
// The hooks run without a goroutine, some before there is a heap: they neither allocate
// nor grow the stack.
package goos

import "unsafe"

// How the heap is addressed. TamaGo 1.26.0 has these numbers built in, later ones read
// them here. The heap thus lies below 4 GiB.
const (
	ArenaBaseOffset     = 0
	HeapAddrBits        = 32
	LogHeapArenaBytes   = 22
	LogPallocChunkPages = 9
	MinPhysPageSize     = 4096
	StackSystem         = 0
)

// The memory of the heap, which grows from Bloc up to the first thread's stack at its
// end: set by CPUInit.
var (
	RamStart       uint
	RamSize        uint
	RamStackOffset uint
	Bloc           uintptr
)

var (
	Exit   func(code int32)                    = exit
	Idle   func(until int64)                   = idle
	Wake   func(procid uint64)                 = wake
	ProcID func() uint64                       = threadID
	Task   func(sp, mp, gp, fn unsafe.Pointer) = newThread
)

// CPUInit is where the machine enters the program, on the first thread, with interrupts
// off: DI and SI hold start and end of the heap's memory.
func CPUInit()

// Hwinit0 tells the machine the thread's FS, which the runtime has just set, and enables
// interrupts.
func Hwinit0()

// Hwinit1 has nothing left to do.
func Hwinit1() {}

// InitRNG has nothing to do.
func InitRNG() {}

// GetRandomData fills b with random bytes.
func GetRandomData(b []byte)

// Nanotime returns the nanoseconds since 1970: to TamaGo the monotonic clock and the
// time of day are one.
func Nanotime() int64

// Printk writes a byte to the machine's log.
func Printk(c byte)

// exit ends the program.
func exit(code int32)

// idle puts the thread, whose P has nothing to run, to sleep until a time, if that is not 0,
// or until wake. It may return earlier, so that the queues of other Ps are looked at again:
// the runtime wakes a thread only for the queue of its own P.
func idle(until int64)

// wake ends a thread's idle: the present one, or the next.
func wake(thread uint64)

// threadID returns the number of this thread.
func threadID() uint64

// newThread starts a thread for an M, which begins in fn on the stack of its g0, gp.
func newThread(sp, mp, gp, fn unsafe.Pointer)
