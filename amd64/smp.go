package amd64

import (
	"sync/atomic"

	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// Processors. The boot processor starts the others through the firmware's MP
// services when the program asks for them; each then runs the scheduler of thread.go on its own. The firmware can have
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
	// Interrupts between processors take a vector that the firmware does not use.
	firstIPI, lastIPI = 0xd0, 0xf0
	vecTimer          = 0xf1 // this processor's own timer

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

	tplApplication = uefi.TPLApplication
	tplHigh        = uefi.TPLHighLevel
)

var (
	apicRegs     uintptr // address of the registers, 0 in x2APIC mode
	apicTimerMul uint64  // timer ticks a nanosecond, 32.32 fixed point
	listening    bool    // the firmware has a handler for vecIPI

	vecIPI uintptr = lastIPI // from another processor: look for work, or flush the TLB

	cpusPresent int     // processors that there could be
	apBlocks    uintptr // cpu structures of the other processors
	apRoom      uint32  // how many those are

	apsEntered uint32 // processors that have entered apEntry
	apsStarted uint32 // and that are ready
	apsLeft    uint32 // and that went back to the firmware
	leaving    uint32 // they are to return to the firmware

	mpServices  uintptr // the firmware's protocol; 0: it has none
	mpFramework bool    // it is that of the Framework
	mpStatus    uintptr // what the firmware says to starting processors in the background
	mpEvent     uintptr // 0: they were started by a call that was left: see startAndLeave
	mpTotal     uintptr
	mpEnabled   uintptr
	mpMaximum   uintptr // the Framework protocol returns these too
	mpVector    uintptr
	mpLength    uintptr

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
	apicWrite(apicICRLow, uint32(vecIPI))
}

// signalBoot makes the boot processor look at what was asked of it. If it is in the
// firmware, it looks by itself when it comes back.
func signalBoot() {
	o := &bootCPU
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
		o := processor(i)
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
		for atomic.LoadUint32(&processor(i).flush) != 0 && atomic.LoadUint32(&leaving) == 0 {
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
		if atomic.LoadUint32(&crashAsked) != 0 && c == &bootCPU {
			stop(FaultInKernel) // it may never come
		}
		pause()
	}
}

func unlock() { atomic.StoreUint32(&kernelLock, 0) }

// findProcessors says how many processors there are. This one is alone until
// startProcessors.
func findProcessors() {
	base := readMSR(msrAPICBase)
	if base&apicX2 == 0 {
		apicRegs = base & apicAddress
	}
	bootCPU.apic = apicIdentity()
	cpuTable[0], cpuCount, cpusPresent = addrOf(&bootCPU), 1, 1
	if mpServices = findServices(); mpServices != 0 && mpEnabled > 1 {
		cpusPresent = int(min(mpEnabled, maxCPUs))
	}
}

// startProcessors brings up the other processors, if the firmware can, until there are most.
// They then wait for the lock, which the caller has.
func startProcessors(most int) {
	want := uint32(cpusPresent - 1)
	if want == 0 || apRoom != 0 || most < 2 {
		return
	}
	blocks := paging.AllocRun(uintptr(want)*cpuBlock>>paging.FrameShift, paging.Anywhere)
	if blocks == 0 {
		return
	}
	for p := uintptr(0); p < uintptr(want)*cpuBlock; p += 8 {
		*at[uintptr](blocks + p) = 0
	}
	for i := uintptr(0); i < uintptr(want); i++ {
		guardStacks(at[cpu](blocks + i*cpuBlock))
	}
	apBlocks = blocks
	enableAPIC(&bootCPU)
	for vecIPI = lastIPI; !onInterrupt(vecIPI, ipiHandlerStub()); vecIPI-- {
		if vecIPI == firstIPI {
			apicWrite(apicSpurious, bootCPU.fwSpurious)
			return // a processor that halts in the firmware could not be woken
		}
	}
	listening = true
	atomic.StoreUint32(&apRoom, want)
	if !startInBackground() && !startAndLeave(want) {
		return
	}
	const timeout = 5e9 // ns; an emulated processor may be slow to come
	for end := now() + timeout; atomic.LoadUint32(&apsStarted) < want && now() < end; {
		answerCounter()
		pause()
	}
	chooseProcessors(most)
}

// chooseProcessors decides who goes on, one thread of each core before its others. The rest, and
// any that come later, go back: they would be left out of shootdowns.
func chooseProcessors(most int) {
	for pass := 0; pass < 2; pass++ {
		for i := uintptr(0); i < uintptr(apRoom); i++ {
			c := at[cpu](apBlocks + i*cpuBlock)
			if cpuCount < most && c.mode == modeKernel && c.chosen == 0 && (pass == 1 || c.sibling == 0) {
				c.chosen = 1
				cpuTable[cpuCount] = addrOf(c)
				cpuCount++
			}
		}
	}
}

// startInBackground has the firmware start all processors and come back at once.
func startInBackground() bool {
	if fwCall(bootServices().CreateEvent, 0, 0, 0, 0, addrOf(&mpEvent)) != 0 {
		mpEvent = 0
		return false
	}
	if mpStatus = startupAllAPs(mpEvent); mpStatus != 0 {
		fwCall(bootServices().CloseEvent, mpEvent, 0, 0, 0, 0)
		mpEvent = 0
	}
	return mpStatus == 0
}

// startAndLeave has the firmware start all processors and wait until they are done, which is
// never: an interrupt takes the boot processor out of there. Firmware may refuse the other way
// once it is ready to boot (PI 1.7, II-13.4.3). The boot processor's calls begin at the top of
// their stack anew, so nothing is left of this one.
func startAndLeave(want uint32) bool {
	raiseTPL, restoreTPL = bootServices().RaiseTPL, bootServices().RestoreTPL
	atomic.StoreUint32(&leaveCall, want)
	status := startupAllAPs(0)
	atomic.StoreUint32(&leaveCall, 0)
	if status != 0 { // it was not left: the firmware has taken back those that had come
		atomic.StoreUint32(&apsLeft, atomic.LoadUint32(&apsStarted))
		return false
	}
	return atomic.LoadUint32(&apsEntered) != 0
}

var (
	// leaveCall is how many processors must come before the boot processor leaves the call that
	// starts them; 0: it is in no such call.
	leaveCall uint32

	raiseTPL, restoreTPL uintptr // the firmware's functions, for ipiHandler
)

// freeBootCPU takes the boot processor out of startAndLeave. The first processor that comes
// does it, when the others are there as well or have had their time, and does it again as long as the
// boot processor is where it must not be taken from: see ipiHandler.
func freeBootCPU() {
	want := atomic.LoadUint32(&leaveCall)
	if want == 0 || atomic.AddUint32(&apsArrived, 1) != 1 {
		return
	}
	const timeout = 2e9 // ns
	for end := now() + timeout; atomic.LoadUint32(&apsArrived) < want && now() < end; {
		pause()
	}
	const again = 1e6 // ns
	for atomic.LoadUint32(&leaveCall) != 0 {
		sendIPI(&bootCPU)
		for end := now() + again; now() < end; {
			pause()
		}
	}
}

var apsArrived uint32

// startupAllAPs calls the firmware's function of that name, which is in the same place in both
// protocols.
func startupAllAPs(event uintptr) uintptr {
	const most = 10e6 // us; where the call waits, it must not wait for ever
	call := &bootCPU.call
	call.fn, call.n, call.sti, call.ret = at[uefi.MPServices](mpServices).StartupAllAPs, 7, 1, 0
	call.args[0], call.args[1], call.args[2], call.args[3] = mpServices, apStub(), 0, event
	call.args[4], call.args[5], call.args[6] = 0, 0, 0
	if event == 0 {
		call.args[4] = most
	}
	gate(call)
	return call.ret
}

// findServices returns the firmware's MP services protocol, that of PI (1.7, II-13.4) or
// of the Framework before it, which Macs of the EFI 1.10 line have, and notes how many
// processors there are. It returns 0 where there is neither.
func findServices() uintptr {
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
	mpFramework = true
	call := &bootCPU.call
	call.fn, call.n, call.sti = at[uefi.FrameworkMPServices](mp).GetGeneralMPInfo, 6, 1
	call.args[0], call.args[1], call.args[2] = mp, addrOf(&mpTotal), addrOf(&mpMaximum)
	call.args[3], call.args[4], call.args[5] = addrOf(&mpEnabled), addrOf(&mpVector), addrOf(&mpLength)
	gate(call)
	if call.ret != 0 {
		return 0
	}
	return mp
}

// enableAPIC lets the local APIC take interrupts (Intel SDM volume 3, 11.4.7.1): firmware may
// leave it disabled.
func enableAPIC(c *cpu) {
	c.fwSpurious = apicRead(apicSpurious)
	apicWrite(apicSpurious, c.fwSpurious|apicEnable|0xff)
}

// siblingID is this processor's number among the threads of its core (Intel SDM volume 2,
// CPUID leaf 0x0b).
func siblingID() uintptr {
	if max, _, _, _ := cpuid(0, 0); max < 0x0b {
		return 0
	}
	shift, threads, _, id := cpuid(0x0b, 0)
	if threads == 0 {
		return 0
	}
	return uintptr(id & (1<<(shift&31) - 1))
}

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
	c.apic, c.sibling = apicIdentity(), siblingID()
	enableAPIC(c)
	c.fwTimer, c.fwDivide = apicRead(apicLVTTimer), apicRead(apicDivide)
	apicWrite(apicDivide, apicDivideBy16)
	apicWrite(apicLVTTimer, vecTimer)
	calibrateTimer()
	freeBootCPU()
	compareCounters(c)
	c.mode = modeKernel
	writeCR3(ownCR3)
	tune(c)
	atomic.AddUint32(&apsStarted, 1)
	lock()
	if c.chosen == 0 {
		c.mode = modeOff
		unlock()
		goBack(c)
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
	if !listening { // no other was ever asked for, nor is a handler left in the firmware
		return
	}
	atomic.StoreUint32(&leaving, 1)
	unlock()
	for i := 1; i < cpuCount; i++ {
		sendIPI(processor(i))
	}
	awaitAPs()
	lock()
	onInterrupt(vecIPI, 0)
	listening = false
	apicWrite(apicSpurious, bootCPU.fwSpurious)
	for i := 1; i < cpuCount; i++ {
		processor(i).mode = modeOff
	}
	cpuCount = 1
}

// awaitAPs waits until the firmware has the other processors: until then they may still be
// executing this program, which is about to go.
func awaitAPs() {
	const timeout = 10e9
	end := now() + timeout
	if mpEvent != 0 { // the firmware says so
		for fwCall(bootServices().CheckEvent, mpEvent, 0, 0, 0, 0) != 0 && now() < end {
			pause()
		}
		fwCall(bootServices().CloseEvent, mpEvent, 0, 0, 0, 0)
		return
	}
	for atomic.LoadUint32(&apsLeft) < atomic.LoadUint32(&apsStarted) && now() < end {
		pause()
	}
	const fewInstructions = 10e3 // us
	fwCall(bootServices().Stall, fewInstructions, 0, 0, 0, 0)
}

// goBack returns this processor, which is not the boot processor, to the firmware.
func goBack(c *cpu) {
	setTimer(c, 0)
	apicWrite(apicLVTTimer, c.fwTimer)
	apicWrite(apicDivide, c.fwDivide)
	apicWrite(apicSpurious, c.fwSpurious)
	atomic.AddUint32(&apsLeft, 1)
	returnToFirmware(0)
}

// leaveProcessor gives this processor back if that was asked.
func leaveProcessor(c *cpu) {
	if atomic.LoadUint32(&leaving) == 0 {
		return
	}
	if c.current != 0 {
		c.yield(now())
	}
	unlock()
	goBack(c)
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
