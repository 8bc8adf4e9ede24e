package amd64

// Signals, as the Go runtime knows them on Linux: faults become SIGSEGV, SIGFPE and
// the like for the thread that caused them; tgkill sends SIGURG, with which the runtime
// preempts a goroutine that does not yield. The frame that a handler sees is
// Linux's rt_sigframe (arch/x86/include/asm/sigframe.h).

const (
	sigILL  = 4
	sigTRAP = 5
	sigABRT = 6
	sigBUS  = 7
	sigFPE  = 8
	sigKILL = 9
	sigSEGV = 11

	illIllOpn  = 2
	trapBrkpt  = 1
	busAdrAln  = 1
	fpeIntDiv  = 1
	fpeFltInv  = 7
	segvMapErr = 1
	segvAccErr = 2
	siKernel   = 0x80
	siTKill    = 1<<64 - 6

	maxSignal = 64

	saSiginfo  = 0x4
	saOnStack  = 0x08000000
	saNoDefer  = 0x40000000
	ssOnStack  = 1
	ssDisable  = 2
	sigIgnore  = 1
	sigDefault = 0
)

// sigaction has the layout of the kernel's struct of that name.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

var actions [maxSignal + 1]sigaction

// sigcontext is struct sigcontext of x86-64.
type sigcontext struct {
	r8, r9, r10, r11, r12, r13, r14, r15 uintptr
	di, si, bp, bx, dx, ax, cx, sp, ip   uintptr
	flags                                uintptr
	cs, gs, fs, ss                       uint16
	err, trapno, oldmask, cr2, fpstate   uintptr
	reserved                             [8]uintptr
}

// sigframe is struct rt_sigframe: what stands at SP when a handler begins.
type sigframe struct {
	restorer uintptr
	uc       ucontext
	info     siginfo
}

type ucontext struct {
	flags, link uintptr
	stackSP     uintptr
	stackFlags  uintptr
	stackSize   uintptr
	mc          sigcontext
	mask        uint64
}

type siginfo struct {
	signo, errno, code int32
	_                  int32
	addr               uintptr
	_                  [13]uintptr
}

func bit(sig uintptr) uint64 { return 1 << (sig - 1) }

// deliverFault delivers a fault's signal at once to the thread that caused it. A thread
// that blocks the signal, or has no handler for it, cannot go on.
func deliverFault(t *thread, sig, code, addr uintptr) {
	if faultToPanic(t, sig) {
		return
	}
	a := &actions[sig]
	if a.handler == sigDefault || a.handler == sigIgnore || t.mask&bit(sig) != 0 || !pushSignal(t, sig, code, addr) {
		crash(&t.regs, "a fault that the program cannot handle")
	}
}

// deliverPending gives t the first signal that waits for it and is not blocked.
func deliverPending(t *thread) {
	for {
		ready := t.pending &^ t.mask
		if ready == 0 {
			return
		}
		sig := uintptr(1)
		for ready&1 == 0 {
			ready >>= 1
			sig++
		}
		t.pending &^= bit(sig)
		a := &actions[sig]
		switch {
		case a.handler == sigIgnore:
		case a.handler == sigDefault:
			if sig == sigABRT || sig == sigKILL || sig == sigSEGV {
				exit(2)
			}
		case !pushSignal(t, sig, siTKill, 1):
			crash(&t.regs, "no room for a signal")
		default:
			return
		}
	}
}

// pushSignal makes t continue in the handler of sig, with a frame on its signal
// stack from which sigreturn restores it.
func pushSignal(t *thread, sig, code, addr uintptr) bool {
	a := &actions[sig]
	sp := t.regs.sp - 128
	onAlt := t.altSP != 0 && sp-t.altSP < t.altSize
	if a.flags&saOnStack != 0 && t.altFlags&ssDisable == 0 && t.altSP != 0 && !onAlt {
		sp = t.altSP + t.altSize
	}
	fp := (sp - xsaveSize) &^ 63
	sp = (fp-sizeofSigframe)&^15 - 8
	// The stack may never have been used: the frame must not fault half way.
	if !touch(sp, fp+xsaveSize-sp, true) {
		return false
	}
	if t.vector == vectorSaved {
		*at[vectorState](fp) = *at[vectorState](t.xsave)
	} else {
		*at[vectorState](fp) = cleanXSAVE
	}
	f := at[sigframe](sp)
	*f = sigframe{restorer: a.restorer}
	f.info.signo = int32(sig)
	f.info.code = int32(code)
	f.info.addr = addr
	f.uc.stackSP, f.uc.stackSize = t.altSP, t.altSize
	f.uc.mask = t.mask
	r, m := &t.regs, &f.uc.mc
	m.r8, m.r9, m.r10, m.r11 = r.r8, r.r9, r.r10, r.r11
	m.r12, m.r13, m.r14, m.r15 = r.r12, r.r13, r.r14, r.r15
	m.di, m.si, m.bp, m.bx, m.dx, m.ax, m.cx = r.di, r.si, r.bp, r.bx, r.dx, r.ax, r.cx
	m.sp, m.ip, m.flags = r.sp, r.ip, r.flags
	m.cs, m.ss = uint16(r.cs), uint16(r.ss)
	m.err, m.trapno, m.cr2 = r.err, r.vec, addr
	m.fpstate = fp

	r.di, r.si, r.dx = sig, addrOf(&f.info), addrOf(&f.uc)
	r.ax = 0
	r.sp, r.ip = sp, a.handler
	r.flags = flagsIF | 2
	t.vector = vectorDead
	t.mask |= a.mask
	if a.flags&saNoDefer == 0 {
		t.mask |= bit(sig)
	}
	return true
}

// sigreturn undoes pushSignal: the handler has returned to its restorer, with SP at
// the ucontext. It returns the restored AX, since that is what a system call sets.
func sigreturn(t *thread) uintptr {
	if !touch(t.regs.sp, sizeofUcontext, false) {
		crash(&t.regs, "a signal frame that is gone")
	}
	uc := at[ucontext](t.regs.sp)
	r, m := &t.regs, &uc.mc
	r.r8, r.r9, r.r10, r.r11 = m.r8, m.r9, m.r10, m.r11
	r.r12, r.r13, r.r14, r.r15 = m.r12, m.r13, m.r14, m.r15
	r.di, r.si, r.bp, r.bx, r.dx, r.cx = m.di, m.si, m.bp, m.bx, m.dx, m.cx
	r.sp, r.ip = m.sp, m.ip
	// Ring 0 must not lose its interrupts or gain a trap flag to a damaged frame.
	r.flags = m.flags&flagsUser | flagsIF | 2
	t.mask = uc.mask
	if m.fpstate != 0 && touch(m.fpstate, xsaveSize, false) {
		*at[vectorState](t.xsave) = *at[vectorState](m.fpstate)
		t.vector = vectorSaved
	}
	return m.ax
}

func rtSigaction(sig, act, old, size uintptr) uintptr {
	if sig == 0 || sig > maxSignal || size != 8 {
		return errno(eINVAL)
	}
	const n = 32
	if old != 0 {
		if !touch(old, n, true) {
			return errno(eFAULT)
		}
		*at[sigaction](old) = actions[sig]
	}
	if act != 0 {
		if !touch(act, n, false) {
			return errno(eFAULT)
		}
		actions[sig] = *at[sigaction](act)
	}
	return 0
}

func rtSigprocmask(t *thread, how, set, old, size uintptr) uintptr {
	if size != 8 || old != 0 && !touch(old, 8, true) || set != 0 && !touch(set, 8, false) {
		return errno(eINVAL)
	}
	before := t.mask
	if set != 0 {
		s := *at[uint64](set)
		switch how {
		case 0: // SIG_BLOCK
			t.mask |= s
		case 1: // SIG_UNBLOCK
			t.mask &^= s
		case 2: // SIG_SETMASK
			t.mask = s
		default:
			return errno(eINVAL)
		}
	}
	if old != 0 {
		*at[uint64](old) = before
	}
	return 0
}

func sigaltstack(t *thread, set, old uintptr) uintptr {
	type stack struct{ sp, flags, size uintptr }
	if old != 0 {
		if !touch(old, 24, true) {
			return errno(eFAULT)
		}
		flags := t.altFlags
		if t.altSP == 0 {
			flags = ssDisable
		} else if t.regs.sp-t.altSP < t.altSize {
			flags = ssOnStack
		}
		*at[stack](old) = stack{t.altSP, flags, t.altSize}
	}
	if set != 0 {
		if !touch(set, 24, false) {
			return errno(eFAULT)
		}
		s := at[stack](set)
		t.altSP, t.altFlags, t.altSize = s.sp, s.flags&ssDisable, s.size
		if t.altFlags&ssDisable != 0 {
			t.altSP, t.altSize = 0, 0
		}
	}
	return 0
}

// tgkill marks the signal; the thread gets it when it next runs.
func tgkill(tid, sig uintptr) uintptr {
	if sig > maxSignal || tid == 0 || tid > maxThreads || threads[tid-1].state == unused {
		return errno(eSRCH)
	}
	if sig != 0 {
		t := &threads[tid-1]
		t.pending |= bit(sig)
		if o := at[cpu](t.cpu); t.state == running && o != thisCPU() {
			sendIPI(o)
		}
	}
	return 0
}
