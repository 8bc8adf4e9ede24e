package amd64

import (
	"unsafe"

	"alphaos/amd64/paging"
)

// The kernel proper: kernel.go, boot.go, smp.go, linux.go or tamago.go, memory.go,
// syscall.go, thread.go, signal.go, firmware.go, clock.go, power.go, pat.go,
// crash.go, log.go, and package paging. See the rules in the package comment.
//
// Invariant: kernel code runs with interrupts off and keeps no state on its stack
// across a return to Go code: trap saves the interrupted registers in the current
// thread at entry, and dispatch starts a thread from its own registers alone. The only
// place where interrupts are enabled is the gate, which runs on the firmware's stack
// with the firmware's tables.

const (
	maxCPUs    = 64
	maxThreads = 512

	kernelStackSize = 40 << 10 // of which up to 8 KiB are lost to the guard page
)

// Segment selectors: ours follow the firmware's, whose descriptors keep their places.
const (
	selCode = 0x200
	selData = 0x208
	selTSS  = 0x210 // two slots
)

// Exception vectors (Intel SDM volume 3, table 6-1).
const (
	vecDE  = 0  // divide error
	vecDB  = 1  // debug
	vecNMI = 2  // non-maskable interrupt
	vecBP  = 3  // breakpoint
	vecOF  = 4  // overflow
	vecUD  = 6  // invalid opcode
	vecNM  = 7  // device not available
	vecDF  = 8  // double fault
	vecSS  = 12 // stack fault
	vecGP  = 13 // general protection
	vecPF  = 14 // page fault
	vecMF  = 16 // x87 error
	vecAC  = 17 // alignment check
	vecMC  = 18 // machine check
	vecXM  = 19 // SIMD error

	faultWrite = 1 << 1 // in the error code of a page fault: the access was a write

	firstInterrupt = 32
	vecSyscall     = 256 // not a vector: the SYSCALL instruction
)

// trapFrame is what every entry stub builds on the stack, lowest address first.
type trapFrame struct {
	r15, r14, r13, r12, r11, r10, r9, r8 uintptr
	bp, di, si, dx, cx, bx, ax           uintptr
	vec, err                             uintptr
	ip, cs, flags, sp, ss                uintptr
}

// cpu is the state of one processor; GS points at it.
type cpu struct {
	self    uintptr // its own address
	stack   uintptr // top of the stack for system calls
	scratch uintptr // the caller's SP, while a system call enters
	g       uintptr // address of kg
	tls     uintptr // FS base in the kernel: g stands 8 bytes below
	xsave   uintptr // where the current thread's vector state is saved; 0: nowhere
	current uintptr // *thread
	slice   int64   // when the current thread's time slice began; see enterFirmware
	expires int64   // when its timer interrupts; 0: never
	apic    uintptr // its local APIC's id
	sibling uintptr // its number among the threads of its core
	chosen  uintptr // it goes on running the program: see chooseProcessors
	mode    cpuMode
	halted  uintptr // in haltHere: there are no registers worth saving
	flush   uint32  // shootDown waits for this processor to flush its TLB
	stale   uintptr // its TLB must be flushed before a thread runs
	gdtr    [2]uint64
	g0      [64]uintptr // all zero: a g whose stack has no limit
	tlsSlot [2]uintptr

	tscOffset uint64 // added to its time-stamp counter
	tscApart  uint64 // what that lacked of the boot processor's when it came up
	tscWithin uint64 // the error bound of that

	// What the processor had when firmware entered the program on it; the gate and leave
	// put it back.
	fwCR0, fwCR3, fwCR4      uintptr
	fwGDTR, fwIDTR           [2]uint64 // 2 bytes limit, 8 bytes base
	fwCS, fwSS, fwTR         uintptr
	fwEFER, fwXCR0           uintptr
	fwMisc                   uintptr // IA32_MISC_ENABLE; 0: it was not changed
	fwSpurious               uint32
	fwTimer, fwDivide        uint32 // of the local APIC's timer, which the boot processor keeps
	fwFSBase, fwGSBase       uintptr
	fwSTAR, fwLSTAR, fwFMASK uintptr
	fwSP                     uintptr // stack for calls
	fwEntrySP                uintptr // stack at entry, registers saved on it

	// What tune found on the processor; untune puts it back.
	fwPAT, fwSpeed uintptr
	speedMSR       uintptr // whose value fwSpeed is; 0: none was changed
	patChanged     uintptr
	mperf, aperf   uint64 // its counters then: see power.go

	call gateCall
	gdt  [96]uint64
	tss  [26]uint32

	stacks [4][kernelStackSize]byte // system calls, exceptions, interrupts, NMI and double fault
}

// cpuBlock is the size of a cpu in whole pages.
const cpuBlock = (unsafe.Sizeof(cpu{}) + paging.FrameSize - 1) &^ (paging.FrameSize - 1)

const (
	stackSyscall = iota
	stackException
	stackInterrupt
	stackEmergency
)

// Set before the Go runtime starts, constant afterwards.
var (
	entryPoint  uintptr // address of efiEntry
	booted      uintptr
	imageHandle uintptr
	systemTable uintptr

	hasXSAVE uintptr
	hasAVX   uintptr // there are processors with XSAVE and without it
)

var (
	bootCPU  cpu
	cpuTable [maxCPUs]uintptr // addresses of the processors in use, the boot processor first
	cpuCount int              // how many those are
	idt      [256][2]uint64

	// kernelLock guards all kernel state. It is released while a processor is halted
	// or in the firmware.
	kernelLock uint32
)

// at returns the address addr as a pointer.
func at[T any](addr uintptr) *T { return *(**T)(unsafe.Pointer(&addr)) }

func addrOf[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// processor returns the ith of the processors in use.
func processor(i int) *cpu { return at[cpu](cpuTable[i]) }

func thisCPU() *cpu { return at[cpu](readGS()) }

func (c *cpu) thread() *thread { return at[thread](c.current) }

// trap is where every entry stub arrives, on a stack of the kernel's own, with
// interrupts off. It does not return.
func trap(f *trapFrame) {
	c := thisCPU()
	ours := own(c, f.vec)
	if ours {
		apicWrite(apicEOI, 0)
	}
	if c.halted != 0 && f.vec >= firstInterrupt {
		if !ours {
			apicWrite(apicEOI, 0) // of the firmware's timer, from before this processor was ours
		}
		c.halted = 0
		lock()
		c.mode = modeKernel
		schedule(c)
	}
	if f.vec != vecSyscall && onKernelStack(c, f.sp) {
		crash(f, "a fault in the kernel")
	}
	if c.current == 0 {
		crash(f, "a fault before the first thread")
	}
	lock()
	answerFlush(c)
	c.mode = modeKernel
	t := c.thread()
	t.regs = *f
	switch {
	case f.vec == vecSyscall:
		t.vector = vectorDead
		t.regs.ax = systemCall(c, t)
	case f.vec >= firstInterrupt:
		t.vector = vectorSaved
		interrupt(c, t, f.vec)
	default:
		t.vector = vectorSaved
		exception(c, t)
	}
	schedule(c)
}

// own reports whether an interrupt is the kernel's. On the boot processor the firmware may use
// the same vectors: that of the timer always, that between processors until it has a handler for it.
func own(c *cpu, vec uintptr) bool {
	if c == &bootCPU {
		return listening && vec == vecIPI
	}
	return vec == vecIPI || vec == vecTimer
}

func onKernelStack(c *cpu, sp uintptr) bool {
	lo := addrOf(&c.stacks)
	return sp >= lo && sp <= lo+unsafe.Sizeof(c.stacks)
}

// interrupt lets the firmware handle its interrupt and ends the thread's slice
// when it is due.
func interrupt(c *cpu, t *thread, vec uintptr) {
	switch {
	case own(c, vec):
	case c == &bootCPU:
		forwardInterrupt(c, vec)
	default: // nothing else is meant for another processor
		apicWrite(apicEOI, 0)
	}
	n := now()
	wakeSleepers(n)
	if n-c.slice >= timeSlice {
		c.yield(n)
	} else if vec == vecTimer {
		armTimer(c, t, n)
	}
}

// exception turns a fault in Go code into demand-zero memory or a signal.
func exception(c *cpu, t *thread) {
	sig, code, addr := uintptr(0), uintptr(0), t.regs.ip
	switch t.regs.vec {
	case vecPF:
		addr = readCR2()
		r := paging.Fault(addr, t.regs.err&faultWrite != 0)
		if done(r) {
			return
		}
		sig, code = sigSEGV, segvMapErr
		if r == paging.NoAccess {
			code = segvAccErr
		}
	case vecDE:
		sig, code = sigFPE, fpeIntDiv
	case vecMF, vecXM:
		sig, code = sigFPE, fpeFltInv
	case vecUD:
		sig, code = sigILL, illIllOpn
	case vecBP, vecDB:
		sig, code = sigTRAP, trapBrkpt
	case vecAC:
		sig, code = sigBUS, busAdrAln
	case vecGP, vecSS:
		sig, code, addr = sigSEGV, siKernel, 0
	default:
		crash(&t.regs, "an exception that no program can cause")
	}
	deliverFault(t, sig, code, addr)
}
