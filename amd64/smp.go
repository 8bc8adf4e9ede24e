package amd64

import (
	"sync/atomic"

	"alphaos/uefi"
)

// Processors. The boot processor starts the others through the firmware's MP
// services; each then runs the scheduler of thread.go on its own. The firmware can have
// them back: on leaving the program they return from the procedure that they were
// started with.
//
// Invariant: the mode of a processor changes only under the kernel lock. A processor
// in modeUser may use any page: whoever takes a page away sends it an IPI and waits until
// it has flushed its TLB (a TLB shootdown). A processor in any other mode flushes its TLB
// before it next enters modeUser.

type cpuMode uintptr

const (
	modeOff      cpuMode = iota
	modeKernel           // in the kernel, with the lock or about to take it
	modeUser             // running a thread
	modeIdle             // halted: an interrupt makes it look for work
	modeFirmware         // the boot processor, in a firmware call
)

const (
	vecIPI   = 0xf0 // from another processor: look for work, or flush the TLB
	vecTimer = 0xf1 // this processor's own timer

	msrAPICBase = 0x1b
	apicX2      = 1 << 10
	apicAddress = 0x000ffffffffff000

	// Local APIC registers (Intel SDM volume 3, table 11-1); in x2APIC mode they are
	// MSRs from 0x800 on, 16 bytes apart.
	apicID       = 0x20
	apicEOI      = 0xb0
	apicSpurious = 0xf0
	apicICRLow   = 0x300
	apicICRHigh  = 0x310
	apicLVTTimer = 0x320
	apicInitial  = 0x380
	apicCurrent  = 0x390
	apicDivide   = 0x3e0

	apicEnable     = 1 << 8
	apicMasked     = 1 << 16
	apicPending    = 1 << 12
	apicDivideBy16 = 3
)

var (
	cpuCount     int     // processors that have ever come up
	apicRegs     uintptr // address of the registers, 0 in x2APIC mode
	apicTimerMul uint64  // timer ticks a nanosecond, 32.32 fixed point

	apsEntered uint32 // processors that have entered apEntry
	apsStarted uint32 // and that are ready
	leaving    uint32 // they are to return to the firmware

	mpEvent   uintptr
	mpTotal   uintptr
	mpEnabled uintptr
	mpMaximum uintptr // the Framework protocol returns these too
	mpVector  uintptr
	mpLength  uintptr

	exitAsked uint32 // a thread on another processor called exit
	exitCode  uintptr
)

func apicRead(reg uintptr) uint32 {
	if apicRegs == 0 {
		return uint32(readMSR(0x800 + reg>>4))
	}
	return atomic.LoadUint32(at[uint32](apicRegs + reg))
}

func apicWrite(reg uintptr, v uint32) {
	if apicRegs == 0 {
		writeMSR(0x800+reg>>4, uintptr(v))
		return
	}
	storeMMIO(apicRegs+reg, v)
}

// sendIPI interrupts the processor o.
func sendIPI(o *cpu) {
	if apicRegs == 0 {
		writeMSR(0x800+apicICRLow>>4, o.apic<<32|vecIPI)
		return
	}
	for i := 0; apicRead(apicICRLow)&apicPending != 0 && i < 1e6; i++ {
		pause()
	}
	apicWrite(apicICRHigh, uint32(o.apic<<24))
	apicWrite(apicICRLow, vecIPI)
}

// signalBoot makes the boot processor look at what was asked of it. If it is in the
// firmware, it looks by itself when it comes back.
func signalBoot() {
	o := &cpus[0]
	if o.mode == modeIdle {
		o.mode = modeKernel
		sendIPI(o)
	} else if o.mode == modeUser {
		sendIPI(o)
	}
}

// shootDown makes the other processors flush their TLBs after entries were removed from the
// page tables, or restricted. The caller has the lock.
func shootDown() {
	if cpuCount < 2 {
		return
	}
	c := thisCPU()
	for i := 0; i < cpuCount; i++ {
		o := &cpus[i]
		if o == c {
			continue
		}
		o.stale = 1
		if o.mode == modeUser {
			atomic.StoreUint32(&o.flush, 1)
			sendIPI(o)
		}
	}
	for i := 0; i < cpuCount; i++ {
		for atomic.LoadUint32(&cpus[i].flush) != 0 && atomic.LoadUint32(&leaving) == 0 {
			pause()
		}
	}
}

// answerFlush does what shootDown asks of this processor.
func answerFlush(c *cpu) {
	if atomic.LoadUint32(&c.flush) != 0 {
		writeCR3(ownCR3)
		atomic.StoreUint32(&c.flush, 0)
	}
}

func lock() {
	for !atomic.CompareAndSwapUint32(&kernelLock, 0, 1) {
		c := thisCPU()
		answerFlush(c) // whoever has the lock may be waiting for this processor
		if atomic.LoadUint32(&crashAsked) != 0 && c == &cpus[0] {
			stop(FaultInKernel) // it may never come
		}
		pause()
	}
}

func unlock() { atomic.StoreUint32(&kernelLock, 0) }

// startProcessors brings up the other processors, if the firmware can. They then wait for
// the lock, which the caller has.
func startProcessors() {
	const timeout = 5e9 // ns; an emulated processor may be slow to come
	base := readMSR(msrAPICBase)
	if base&apicX2 == 0 {
		apicRegs = base & apicAddress
	}
	c := &cpus[0]
	c.apic = apicIdentity()
	cpuCount = 1
	mp := findProcessors()
	if mp == 0 || mpEnabled < 2 {
		return
	}
	if !listenInFirmware(ipiHandlerStub()) {
		return // a processor that halts in the firmware could not be woken
	}
	if fwCall(bootServices().CreateEvent, 0, 0, 0, 0, addrOf(&mpEvent)) != 0 {
		return
	}
	want := uint32(mpEnabled - 1)
	if want > maxCPUs-1 {
		want = maxCPUs - 1
	}
	call := &c.call
	call.fn, call.n, call.sti = at[uefi.MPServices](mp).StartupAllAPs, 7, 1 // the Framework's is in the same place
	call.args[0], call.args[1], call.args[2], call.args[3] = mp, apStub(), 0, mpEvent
	call.args[4], call.args[5], call.args[6] = 0, 0, 0
	gate(call)
	if call.ret != 0 {
		return
	}
	for end := now() + timeout; atomic.LoadUint32(&apsStarted) < want && now() < end; {
		answerCounter()
		pause()
	}
	cpuCount = 1 + int(atomic.LoadUint32(&apsStarted)) // any that come later go back: see apMain
}

// findProcessors returns the firmware's MP services protocol, that of PI (1.7, II-13.4) or
// of the Framework before it, which Macs of the EFI 1.10 line have, and notes how many
// processors there are. It returns 0 where there is neither.
func findProcessors() uintptr {
	if fwCall(bootServices().LocateProtocol, addrOf(&uefi.MPServicesGUID), 0, addrOf(&outAddr), 0, 0) == 0 {
		mp := outAddr
		if fwCall(at[uefi.MPServices](mp).GetNumberOfProcessors, mp, addrOf(&mpTotal), addrOf(&mpEnabled), 0, 0) != 0 {
			return 0
		}
		return mp
	}
	if fwCall(bootServices().LocateProtocol, addrOf(&uefi.FrameworkMPServicesGUID), 0, addrOf(&outAddr), 0, 0) != 0 {
		return 0
	}
	mp := outAddr
	call := &cpus[0].call
	call.fn, call.n, call.sti = at[uefi.FrameworkMPServices](mp).GetGeneralMPInfo, 6, 1
	call.args[0], call.args[1], call.args[2] = mp, addrOf(&mpTotal), addrOf(&mpMaximum)
	call.args[3], call.args[4], call.args[5] = addrOf(&mpEnabled), addrOf(&mpVector), addrOf(&mpLength)
	gate(call)
	if call.ret != 0 {
		return 0
	}
	return mp
}

// listenInFirmware has the firmware call handler for IPIs that come while the boot
// processor runs in it.
func listenInFirmware(handler uintptr) bool { return onInterrupt(vecIPI, handler) }

func apicIdentity() uintptr {
	id := uintptr(apicRead(apicID))
	if apicRegs != 0 {
		id >>= 24
	}
	return id
}

// apMain runs on each further processor, on its kernel stack, with its block at c.
func apMain(c *cpu) {
	loadDescriptors(c)
	initSyscalls(c)
	c.apic = apicIdentity()
	apicWrite(apicSpurious, apicRead(apicSpurious)|apicEnable|0xff)
	apicWrite(apicDivide, apicDivideBy16)
	apicWrite(apicLVTTimer, vecTimer)
	calibrateTimer()
	compareCounters(c)
	c.mode = modeKernel
	writeCR3(ownCR3)
	atomic.AddUint32(&apsStarted, 1)
	lock()
	if addrOf(c) > addrOf(&cpus[cpuCount-1]) { // too late: it would be left out of shootdowns
		unlock()
		returnToFirmware(0)
	}
	schedule(c)
}

// calibrateTimer measures the rate of the local APIC's timer. A busy host or system
// management mode can take the processor away between reading one clock and reading the
// other, which makes the rate too low: the highest of several is the true one.
func calibrateTimer() {
	const ns = 200e3
	highest := uint64(0)
	for i := 0; i < 8; i++ {
		began := now()
		apicWrite(apicInitial, 1<<32-1)
		for now() < began+ns {
			pause()
		}
		ticks := uint64(1<<32 - 1 - apicRead(apicCurrent))
		highest = max(highest, ticks<<32/uint64(now()-began))
	}
	apicWrite(apicInitial, 0)
	apicTimerMul = highest
}

// setTimer interrupts this processor, c, in ns; 0 means never.
func setTimer(c *cpu, ns int64) {
	if ns <= 0 {
		c.expires = 0
		apicWrite(apicInitial, 0)
		return
	}
	if ns > 1e9 {
		ns = 1e9
	}
	c.expires = now() + ns
	ticks := uint64(ns) * (apicTimerMul >> 12) >> 20
	if ticks == 0 {
		ticks = 1
	}
	apicWrite(apicInitial, uint32(ticks))
}

// handBack returns the other processors to the firmware; their threads continue here.
// The caller is the boot processor and has the lock.
func handBack() {
	if cpuCount < 2 {
		return
	}
	atomic.StoreUint32(&leaving, 1)
	unlock()
	for i := 1; i < cpuCount; i++ {
		sendIPI(&cpus[i])
	}
	// The firmware says when it has them all: until then they may still be executing
	// this program, which is about to go.
	const timeout = 10e9
	for end := now() + timeout; fwCall(bootServices().CheckEvent, mpEvent, 0, 0, 0, 0) != 0 && now() < end; {
		pause()
	}
	lock()
	fwCall(bootServices().CloseEvent, mpEvent, 0, 0, 0, 0)
	listenInFirmware(0)
	for i := 1; i < cpuCount; i++ {
		cpus[i].mode = modeOff
	}
	cpuCount = 1
}

// leaveProcessor gives this processor back if that was asked.
func leaveProcessor(c *cpu) {
	if atomic.LoadUint32(&leaving) == 0 {
		return
	}
	if c.current != 0 {
		c.yield(now())
	}
	setTimer(c, 0)
	unlock()
	returnToFirmware(0)
}

// bootDuties does what only the boot processor can do and others have asked for.
func bootDuties(c *cpu) {
	if atomic.LoadUint32(&crashAsked) != 0 {
		stop(FaultInKernel)
	}
	if exitAsked != 0 {
		exit(exitCode)
	}
	for firmwareCalls.head != 0 {
		if t := c.thread(); t != nil { // another processor can run it meanwhile
			n := now()
			c.leave(n)
			begin(t, n)
		}
		t := firmwareCalls.get()
		bootCall(c, &t.call)
		at[gateCall](t.callUser).ret = t.call.ret
		wake(t, 0)
	}
}
