package amd64

// The Linux system calls that the Go runtime and standard library make
// (arch/x86/entry/syscalls/syscall_64.tbl), and a few numbers of our own for this
// package's API. An unknown number is ENOSYS, as on an older Linux.

import "alphaos/amd64/paging"

const (
	eSRCH     = 3
	eBADF     = 9
	eAGAIN    = 11
	eNOMEM    = 12
	eFAULT    = 14
	eEXIST    = 17
	eNODEV    = 19
	eINVAL    = 22
	eNOENT    = 2
	eNOSYS    = 38
	eTIMEDOUT = 110
)

func errno(e uintptr) uintptr { return -e }

const (
	sysRead             = 0
	sysWrite            = 1
	sysClose            = 3
	sysMmap             = 9
	sysMprotect         = 10
	sysMunmap           = 11
	sysRtSigaction      = 13
	sysRtSigprocmask    = 14
	sysRtSigreturn      = 15
	sysSchedYield       = 24
	sysMadvise          = 28
	sysNanosleep        = 35
	sysGetpid           = 39
	sysClone            = 56
	sysExit             = 60
	sysFcntl            = 72
	sysSigaltstack      = 131
	sysArchPrctl        = 158
	sysGettid           = 186
	sysFutex            = 202
	sysSchedGetaffinity = 204
	sysClockGettime     = 228
	sysExitGroup        = 231
	sysEpollCtl         = 233
	sysTgkill           = 234
	sysOpenat           = 257
	sysNewfstatat       = 262
	sysReadlinkat       = 267
	sysEpollPwait       = 281
	sysEventfd2         = 290
	sysEpollCreate1     = 291
	sysGetrandom        = 318

	sysFirmwareCall  = 0x1000
	sysAllocPhysical = 0x1001
	sysAllocLow      = 0x1007
	sysFreePhysical  = 0x1002
	sysMemoryStats   = 0x1003
	sysSinceStart    = 0x1004
	sysSpeed         = 0x1005
	sysCombine       = 0x1006
)

// systemCall serves the system call whose registers are in t and returns what AX gets.
// A call that waits leaves the processor without a current thread; wake sets AX then.
func systemCall(c *cpu, t *thread) uintptr {
	r := &t.regs
	a1, a2, a3, a4 := r.di, r.si, r.dx, r.r10
	switch r.ax {
	case sysClockGettime:
		return clockGettime(a1, a2)
	case sysFutex:
		return futex(c, t, a1, a2, a3, a4)
	case sysNanosleep:
		ns, ok := readTimespec(a1)
		if !ok {
			return errno(eFAULT)
		}
		wait(c, t, waitTime, ns)
		return 0
	case sysSchedYield:
		// The thread it waits for may be spent: it goes to the end of that queue.
		c.leave(now())
		t.state = runnable
		spent.put(t)
		return 0
	case sysMmap:
		return mmap(a1, a2, a3, a4)
	case sysMunmap:
		return munmap(a1, a2)
	case sysMprotect:
		return mprotect(a1, a2, a3)
	case sysMadvise:
		return madvise(a1, a2, a3)
	case sysFirmwareCall:
		return firmwareCall(c, t, a1)
	case sysEpollPwait:
		return epollWait(c, t, a2, a3, int32(a4))
	case sysTgkill:
		return tgkill(a2, a3)
	case sysRtSigreturn:
		return sigreturn(t)
	case sysRtSigaction:
		return rtSigaction(a1, a2, a3, a4)
	case sysRtSigprocmask:
		return rtSigprocmask(t, a1, a2, a3, a4)
	case sysSigaltstack:
		return sigaltstack(t, a1, a2)
	case sysClone:
		return clone(t, a1, a2, r.r8)
	case sysExit:
		exitThread(c, t)
		return 0
	case sysExitGroup:
		exit(a1)
		return 0
	case sysGettid:
		return t.id()
	case sysGetpid:
		return 1
	case sysArchPrctl:
		const setFS = 0x1002
		if a1 != setFS {
			return errno(eINVAL)
		}
		t.fs = a2
		return 0
	case sysSchedGetaffinity:
		if a2 < 8 || !touch(a3, 8, true) {
			return errno(eINVAL)
		}
		*at[uint64](a3) = 1<<cpusPresent - 1 // the shift of 64 is none
		return 8
	case sysWrite:
		return write(a1, a2, a3)
	case sysRead:
		return read(a1, a2, a3)
	case sysClose:
		return 0
	case sysFcntl:
		// The standard descriptors must look open, or the runtime opens /dev/null.
		const getFL, rdwr = 3, 2
		if a1 > fdEvent {
			return errno(eBADF)
		}
		if a2 == getFL {
			return rdwr
		}
		return 0
	case sysEpollCreate1:
		return fdEpoll
	case sysEventfd2:
		return fdEvent
	case sysEpollCtl:
		if a1 != fdEpoll || a3 != fdEvent || !touch(a4, 12, false) {
			return errno(eINVAL)
		}
		eventData = *at[uint64](a4 + 4)
		eventAdded = 1
		return 0
	case sysOpenat, sysReadlinkat, sysNewfstatat:
		return errno(eNOENT) // the kernel has no file system
	case sysGetrandom:
		if !touch(a1, a2, true) {
			return errno(eFAULT)
		}
		random(a1, a2)
		return a2
	case sysAllocPhysical:
		return allocPhysical(a2, paging.Anywhere)
	case sysAllocLow:
		return allocPhysical(a2, lowMemory)
	case sysFreePhysical:
		return freePhysical(a1, a2)
	case sysMemoryStats:
		return memoryStats(a1)
	case sysSinceStart:
		return uintptr(now())
	case sysSpeed:
		return sampleSpeed(c, a1)
	case sysCombine:
		return combineWrites(a1)
	}
	return otherSyscall(c, t)
}

func write(fd, p, n uintptr) uintptr {
	if n != 0 && !touch(p, n, false) {
		return errno(eFAULT)
	}
	switch fd {
	case 1, 2:
		logBytes(p, n)
		return n
	case fdEvent:
		if n != 8 {
			return errno(eINVAL)
		}
		eventWrite(*at[uint64](p))
		return 8
	}
	return errno(eBADF)
}

func read(fd, p, n uintptr) uintptr {
	switch fd {
	case 0:
		return 0 // end of file: keys are read from the firmware
	case fdEvent:
		if n < 8 || !touch(p, 8, true) {
			return errno(eINVAL)
		}
		if eventCount == 0 {
			return errno(eAGAIN)
		}
		*at[uint64](p) = eventCount
		eventCount = 0
		return 8
	}
	return errno(eBADF)
}
