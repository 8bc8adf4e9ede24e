package amd64

import (
	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// Calls from the kernel into firmware, all through the gate. Only the boot
// processor passes it.

var (
	ownCR3  uintptr   // our page tables
	ownIDTR [2]uint64 // our interrupt descriptor table
	gateSP  uintptr   // the gate's own stack while in the firmware

	// Firmware calls of threads on other processors, which wait for the boot processor.
	firmwareCalls queue
)

// onInterrupt has the firmware call handler for the interrupt or exception vec while the boot
// processor runs in it; a handler of 0 ends that.
func onInterrupt(vec, handler uintptr) bool {
	if fwCall(bootServices().LocateProtocol, addrOf(&uefi.CPUArchGUID), 0, addrOf(&outAddr), 0, 0) != 0 {
		return false
	}
	return fwCall(at[uefi.CPUArch](outAddr).RegisterInterruptHandler, outAddr, vec, handler, 0, 0) == 0
}

// watchFirmware has handler called for exceptions inside the firmware, which by itself would
// stop without a word on the screen. An exception that already has a handler is left to it.
func watchFirmware(handler uintptr) {
	const worthTelling = 1<<vecDE | 1<<vecNMI | 1<<vecUD | 1<<vecDF | 1<<vecSS | 1<<vecGP | 1<<vecPF | 1<<vecMF | 1<<vecMC | 1<<vecXM
	for vec := uintptr(0); vec < firstInterrupt; vec++ {
		if worthTelling>>vec&1 != 0 && (handler != 0 || firmwareWatched>>vec&1 != 0) && onInterrupt(vec, handler) {
			firmwareWatched ^= 1 << vec
		}
	}
}

var firmwareWatched uint32 // vectors

// tableBase is the address in a GDTR or IDTR image.
func tableBase(r *[2]uint64) uintptr { return uintptr(r[0]>>16 | r[1]<<48) }

func tableRegister(base uintptr, limit uint64) [2]uint64 {
	return [2]uint64{uint64(base)<<16 | limit, uint64(base) >> 48}
}

// enterFirmware runs call under the firmware's context. The time it takes is not charged to
// the current thread.
func enterFirmware(c *cpu, call *gateCall) {
	c.mode = modeFirmware
	unlock()
	began := now()
	gate(call)
	c.slice += now() - began
	lock()
	c.mode = modeKernel
}

func fwCall(fn, a0, a1, a2, a3, a4 uintptr) uintptr {
	call := &bootCPU.call
	call.fn, call.n, call.sti = fn, 5, 1
	call.args[0], call.args[1], call.args[2], call.args[3], call.args[4] = a0, a1, a2, a3, a4
	gate(call)
	return call.ret
}

func firmwareTable() *uefi.SystemTable { return at[uefi.SystemTable](systemTable) }

func bootServices() *uefi.BootServices { return at[uefi.BootServices](firmwareTable().BootServices) }

func runtimeServices() *uefi.RuntimeServices {
	return at[uefi.RuntimeServices](firmwareTable().RuntimeServices)
}

// returnToFirmware leaves this processor, all as it was when the firmware entered.
func returnToFirmware(status uintptr) {
	restore()
	leave(status)
}

// restore gives this processor's own registers the values that the firmware left there.
func restore() {
	if readMSR(msrLSTAR) == syscallStub() {
		c := thisCPU()
		untune(c)
		writeMSR(msrSTAR, c.fwSTAR)
		writeMSR(msrLSTAR, c.fwLSTAR)
		writeMSR(msrFMASK, c.fwFMASK)
	}
}

// Addresses of no firmware function: the calls of HandBack and StartProcessors.
const handBackCall, startCall = 0, 1

// bootCall makes a thread's firmware call, on the boot processor.
func bootCall(c *cpu, call *gateCall) {
	if firmwareBroken != 0 {
		call.ret = uintptr(uefi.Aborted)
		return
	}
	if call.fn == handBackCall {
		handBack()
		return
	}
	if call.fn == startCall {
		startProcessors(int(call.args[0]))
		return
	}
	enterFirmware(c, call)
}

// firmwareCall serves amd64.Call: p is its gateCall, which is copied because firmware cannot
// see the caller's stack.
func firmwareCall(c *cpu, t *thread, p uintptr) uintptr {
	const size = sizeofGateCall
	if !touch(p, size, true) {
		return errno(eFAULT)
	}
	user := at[gateCall](p)
	if user.n > maxCallArgs {
		return errno(eINVAL)
	}
	t.call = *user
	if c == &bootCPU {
		bootCall(c, &t.call)
		user.ret = t.call.ret
		// Its time was not charged. Threads that became ready meanwhile wait no longer,
		// if no other processor serves them.
		n := now()
		wakeSleepers(n)
		if cpuCount < 2 && fresh.head != 0 {
			c.yield(n)
		}
		return 0
	}
	t.callUser = p
	wait(c, t, waitFirmware, -1)
	firmwareCalls.put(t)
	signalBoot()
	return 0
}

// forwardInterrupt lets the firmware's own handler serve and acknowledge vec.
func forwardInterrupt(c *cpu, vec uintptr) {
	const present = 1 << 7
	if firmwareBroken != 0 {
		apicWrite(apicEOI, 0)
		return
	}
	if vec > 255 || *at[byte](tableBase(&c.fwIDTR) + vec*16 + 5)&present == 0 {
		return
	}
	c.call.fn, c.call.n, c.call.sti = interruptStub(vec), 0, 1
	enterFirmware(c, &c.call)
}

// haltInFirmware sleeps until the next interrupt and lets the firmware handle it.
func haltInFirmware(c *cpu) {
	c.call.fn, c.call.n, c.call.sti = haltStub(), 0, 0
	gate(&c.call)
}

func outputString(p uintptr) {
	if out := firmwareTable().ConOut; out != 0 {
		fwCall(at[uefi.SimpleTextOutput](out).OutputString, out, p, 0, 0, 0)
	}
}

// exit, which the boot processor carries out, returns to whoever started the image,
// giving back all memory. A program that ended by a Go panic stays to show its report.
func exit(code uintptr) {
	const goPanic = 2 // runtime.fatalpanic's exit code
	c := thisCPU()
	if c != &bootCPU {
		exitAsked, exitCode = 1, code
		c.current = 0
		signalBoot()
		return
	}
	c.current = 0
	if firmwareBroken != 0 {
		stop(FaultInFirmware)
	}
	handBack()
	if code == goPanic {
		stop(exitCause())
	}
	status := uintptr(0)
	if code != 0 {
		status = uintptr(uefi.Aborted)
	}
	giveBack(status)
}

// giveBack ends the program on the boot processor: the firmware gets back all that was taken
// from it. The caller has the lock if there are other processors.
func giveBack(status uintptr) {
	handBack()
	watchFirmware(0)
	// From here on the gate returns to the firmware's own page tables: ours are about to go.
	ownCR3 = bootCPU.fwCR3
	fwCall(bootServices().Stall, 0, 0, 0, 0, 0)
	// Whoever has the memory next finds no key and no word there.
	paging.Wipe()
	for i := 0; ; i++ {
		base, frames := paging.Region(i)
		if frames == 0 {
			break
		}
		fwCall(bootServices().FreePages, base, frames, 0, 0, 0)
	}
	if next != 0 {
		restore()
		if fwCall(bootServices().StartImage, next, 0, 0, 0, 0) != 0 {
			status = uintptr(uefi.Aborted)
		}
	}
	returnToFirmware(status)
}
