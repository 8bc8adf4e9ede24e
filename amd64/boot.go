package amd64

import (
	"unsafe"

	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// From the firmware's call of the entry point to the first instruction of the Go
// runtime.

const (
	msrMiscEnable = 0x1a0

	msrEFER   = 0xc0000080
	msrSTAR   = 0xc0000081
	msrLSTAR  = 0xc0000082
	msrFMASK  = 0xc0000084
	msrFSBase = 0xc0000100
	msrGSBase = 0xc0000101

	genuIntel = 0x756e6547 // the first letters of GenuineIntel in CPUID leaf 0, EBX

	eferSCE = 1 << 0
	eferNXE = 1 << 11 // without it bit 63 of a page table's entry is reserved; not all firmware sets it

	cr0MP = 1 << 1
	cr0EM = 1 << 2
	cr0TS = 1 << 3

	cr4MCE        = 1 << 6
	cr4PGE        = 1 << 7
	cr4OSFXSR     = 1 << 9
	cr4OSXMMEXCPT = 1 << 10
	cr4LA57       = 1 << 12
	cr4OSXSAVE    = 1 << 18

	xcr0AVX    = 7      // x87, SSE, AVX
	xcr0AVX512 = 7 << 5 // opmask, upper halves of ZMM0-15, ZMM16-31
	xcr0All    = xcr0AVX | xcr0AVX512

	flagsIF = 1 << 9
	// What a returning signal handler may set: arithmetic flags, AC and ID.
	flagsUser = 0x244dd5 &^ 0x100

	// Cleared by SYSCALL: IF, TF, DF, IOPL, NT, AC.
	syscallFlagMask = 0x47700

	xsaveSize = 2688 // x87, SSE and AVX state take 832 bytes, AVX-512 the rest

	// What firmware keeps for itself below 4 GiB: its drivers need buffers there.
	firmwareShare = 48 << 20
	minRegion     = 256 << 10
)

// vectorState is an XSAVE area.
type vectorState [xsaveSize / 8]uint64

const (
	sizeofThread   = unsafe.Sizeof(thread{})
	sizeofGateCall = unsafe.Sizeof(gateCall{})
	sizeofSigframe = unsafe.Sizeof(sigframe{})
	sizeofUcontext = unsafe.Sizeof(ucontext{})
)

var (
	imageBase, imageSize uintptr

	cleanXSAVE vectorState

	mapBuffer                         [96 << 10]byte
	mapSize, mapKey, mapDescSize      uintptr
	mapDescVersion, outAddr, outAddr2 uintptr
	fwTime                            uefi.Time
)

// A program that imports the package only in order to be bootable must keep its entry point.
func init() { keep(entryPoint) }

//go:noinline
func keep(uintptr) {}

// kmain runs on the boot processor's kernel stack with interrupts off, in the
// firmware's address space. It does not return.
func kmain() {
	booted = 1
	c := &bootCPU
	probeCOM1()
	noteFound()
	initDescriptors()
	loadDescriptors(c)
	setRate(1e9) // until measured
	findFrame()
	reached(stepEntered)
	fwCall(bootServices().SetWatchdogTimer, 0, 0, 0, 0, 0)
	if fwCall(bootServices().HandleProtocol, imageHandle, addrOf(&uefi.LoadedImageGUID), addrOf(&outAddr), 0, 0) != 0 {
		bootFailed("the firmware does not say where it loaded the program")
	}
	image := at[uefi.LoadedImage](outAddr)
	imageBase, imageSize = image.ImageBase, uintptr(image.ImageSize)
	paging.SetImage(imageBase, imageSize)
	initClock()
	reached(stepClock)
	takeMemory()
	reached(stepMemory)
	keepSlots()
	ownCR3 = paging.Make(c.fwCR3, readCR4()&cr4LA57 != 0)
	if ownCR3 == 0 {
		bootFailed("there is no memory for page tables")
	}
	if !allowNX(c) {
		paging.ForgetNX()
	}
	protectImage()
	reached(stepTables)
	initSyscalls(c) // before our tables are used, which have pages that must not be executed: see eferNXE
	writeCR3(ownCR3)
	paging.Live = true
	reached(stepOwnTables)
	tune(c)
	watchFirmware(firmwareFaultStub())
	lock()
	findProcessors()
	cleanXSAVE[0] = 0x37f  // FCW
	cleanXSAVE[3] = 0x1f80 // MXCSR, at byte 24
	reached(stepRuntime)
	startRuntime(c)
}

func bootFailed(why string) {
	logString("The program cannot start: ")
	logString(why)
	logString(".\n")
	showOnConsole()
	// The firmware goes on with its next choice, and may clear the screen at once.
	const patience, step = 20e6, 50e3 // us
	for waited := 0; waited < patience && pollKey() == 0; waited += step {
		fwCall(bootServices().Stall, step, 0, 0, 0, 0)
	}
	giveBack(uintptr(uefi.Aborted))
}

// loadDescriptors sets up and loads this processor's GDT and TSS, and the common IDT.
func loadDescriptors(c *cpu) {
	fwLimit := uintptr(uint16(c.fwGDTR[0]))
	fwBase := tableBase(&c.fwGDTR)
	if c.fwTR+7 > fwLimit {
		c.fwTR = 0 // a selector that an earlier program left behind
	}
	for i := uintptr(0); i+7 <= fwLimit && i < selCode; i += 8 {
		c.gdt[i/8] = *at[uint64](fwBase + i)
	}
	c.gdt[selCode/8] = 0x00af9b000000ffff
	c.gdt[selData/8] = 0x00cf93000000ffff
	base := uint64(addrOf(&c.tss))
	const tssLimit, tssAvailable = 103, 0x89
	c.gdt[selTSS/8] = tssLimit | base&0xffffff<<16 | tssAvailable<<40 | base>>24&0xff<<56
	c.gdt[selTSS/8+1] = base >> 32
	for i := uintptr(1); i <= 3; i++ {
		top := uint64(addrOf(&c.stacks[i]) + kernelStackSize)
		c.tss[7+2*i] = uint32(top) // IST i at byte 28 + 8i
		c.tss[8+2*i] = uint32(top >> 32)
	}
	c.tss[25] = 104 << 16 // no I/O permission map
	c.gdtr = tableRegister(addrOf(&c.gdt), uint64(unsafe.Sizeof(c.gdt)-1))
	loadTables(c)
}

// initDescriptors makes the interrupt descriptor table.
func initDescriptors() {
	for v := uintptr(0); v < 256; v++ {
		ist := uint64(stackException)
		switch {
		case v >= firstInterrupt:
			ist = stackInterrupt
		case v == vecNMI || v == vecDF || v == vecMC:
			ist = stackEmergency
		}
		addr := uint64(entryStub(v))
		const interruptGate = 0x8e
		idt[v][0] = addr&0xffff | selCode<<16 | ist<<32 | interruptGate<<40 | addr>>16&0xffff<<48
		idt[v][1] = addr >> 32
	}
	ownIDTR = tableRegister(addrOf(&idt), uint64(unsafe.Sizeof(idt)-1))
	ownCR3 = bootCPU.fwCR3
}

// initClock finds the rate of the time-stamp counter and the time of day.
func initClock() {
	hz := tscRate()
	if hz == 0 {
		// A busy host or system management mode can take the processor away at any
		// moment, which only lengthens a wait: the shortest of several is the true one.
		// The difference between two lengths cancels what a call costs.
		const short, long = 100, 1600 // microseconds
		ticks := shortestStall(long) - shortestStall(short)
		hz = ticks * 1e6 / (long - short)
	}
	if hz < 1e6 || hz > 1e11 {
		hz = 1e9
	}
	setRate(hz)
	if fwCall(runtimeServices().GetTime, addrOf(&fwTime), 0, 0, 0, 0) == 0 {
		s, _, _ := UnixTime(&fwTime)
		wallBase = s*1e9 - now()
	}
}

// shortestStall returns the fewest ticks of the time-stamp counter that the firmware took
// to wait us microseconds.
func shortestStall(us uintptr) uint64 {
	stall := bootServices().Stall
	least := uint64(1<<64 - 1)
	for i := 0; i < 8; i++ {
		t := rdtsc()
		fwCall(stall, us, 0, 0, 0, 0)
		least = min(least, rdtsc()-t)
	}
	return least
}

// takeMemory takes over all free memory but the firmware's share, or as much as memoryLimit.
func takeMemory() {
	readMap()
	// The share stays at the top of the largest region below 4 GiB.
	largest, largestPages := uint64(0), uint64(0)
	for p := uintptr(0); p+mapDescSize <= mapSize; p += mapDescSize {
		d := at[uefi.MemoryDescriptor](addrOf(&mapBuffer) + p)
		if d.Type == uefi.ConventionalMemory && d.NumberOfPages > largestPages && d.PhysicalStart < 1<<32 {
			largest, largestPages = d.PhysicalStart, d.NumberOfPages
		}
	}
	share := largest
	if size := largestPages << paging.FrameShift; size > 2*firmwareShare {
		share += size - firmwareShare
	}
	// The firmware's own events may take a page of a region between the map and now.
	const tries = 5
	for i := 1; !takeRegions(share) && i < tries; i++ {
		readMap()
	}
	if total, _ := paging.Frames(); total == 0 {
		bootFailed("the machine has too little free memory")
	}
}

func readMap() {
	mapSize = unsafe.Sizeof(mapBuffer)
	if fwCall(bootServices().GetMemoryMap, addrOf(&mapSize), addrOf(&mapBuffer), addrOf(&mapKey),
		addrOf(&mapDescSize), addrOf(&mapDescVersion)) != 0 || mapDescSize < unsafe.Sizeof(uefi.MemoryDescriptor{}) {
		bootFailed("the firmware does not tell which memory is free")
	}
}

// takeRegions takes what the map says is free, but for the firmware's share at that address, and reports
// whether the firmware gave all of it.
func takeRegions(share uint64) bool {
	all := true
	left := uint64(memoryLimit) >> paging.FrameShift
	// The largest first, since there may be more regions than are kept.
	lastBase, lastPages := uint64(1<<64-1), uint64(1<<64-1)
	for {
		base, pages := uint64(0), uint64(0)
		for p := uintptr(0); p+mapDescSize <= mapSize; p += mapDescSize {
			b, n := usable(at[uefi.MemoryDescriptor](addrOf(&mapBuffer)+p), share)
			if (n < lastPages || n == lastPages && b < lastBase) && (n > pages || n == pages && b > base) {
				base, pages = b, n
			}
		}
		if pages == 0 {
			break
		}
		lastBase, lastPages = base, pages
		if pages = min(pages, left); pages == 0 {
			break
		}
		left -= pages
		outAddr2 = uintptr(base)
		if fwCall(bootServices().AllocatePages, uefi.AllocateAddress, uefi.LoaderData, uintptr(pages), addrOf(&outAddr2), 0) != 0 {
			all = false
		} else if !paging.AddRegion(uintptr(base), uintptr(pages)) {
			fwCall(bootServices().FreePages, uintptr(base), uintptr(pages), 0, 0, 0)
			break
		}
	}
	return all
}

// usable returns which part of a range of the memory map is taken: not the firmware's share, which
// begins at the address share.
func usable(d *uefi.MemoryDescriptor, share uint64) (base, pages uint64) {
	base, pages = d.PhysicalStart, d.NumberOfPages
	if d.Type != uefi.ConventionalMemory {
		return 0, 0
	}
	if base < 1<<20 { // leave the first megabyte alone
		skip := (1<<20 - base) >> paging.FrameShift
		if pages <= skip {
			return 0, 0
		}
		base, pages = 1<<20, pages-skip
	}
	if end := base + pages<<paging.FrameShift; base < share+firmwareShare && end > share {
		if base >= share {
			return 0, 0
		}
		pages = (share - base) >> paging.FrameShift
	}
	if pages<<paging.FrameShift < minRegion {
		return 0, 0
	}
	return base, pages
}

// keepSlots tells paging what the firmware has that Go code reaches under our page tables,
// beside the gate: all of the memory map, and frame buffers, which are not in there.
func keepSlots() {
	keepFrames()
	for p := uintptr(0); p+mapDescSize <= mapSize; p += mapDescSize {
		d := at[uefi.MemoryDescriptor](addrOf(&mapBuffer) + p)
		paging.Keep(uintptr(d.PhysicalStart), uintptr(d.NumberOfPages)<<paging.FrameShift)
	}
	paging.Keep(0, 1<<32) // interrupt controllers
}

// allowNX reports whether pages can be marked as ones that must not be executed. On Intel's
// processors firmware may have forbidden that (SDM volume 4, IA32_MISC_ENABLE bit 34).
func allowNX(c *cpu) bool {
	if hasNX() {
		return true
	}
	const miscXDDisable = 1 << 34
	_, b, _, _ := cpuid(0, 0)
	if b != genuIntel {
		return false
	}
	v, ok := tryReadMSR(msrMiscEnable)
	if ok && v&miscXDDisable != 0 && tryWriteMSR(msrMiscEnable, v&^miscXDDisable) {
		c.fwMisc = v
	}
	return hasNX()
}

func hasNX() bool {
	const leaf, nx = 0x80000001, 1 << 20
	if most, _, _, _ := cpuid(0x80000000, 0); most < leaf {
		return false
	}
	_, _, _, d := cpuid(leaf, 0)
	return d&nx != 0
}

// initSyscalls points SYSCALL at the kernel on this processor.
func initSyscalls(c *cpu) {
	c.fwSTAR, c.fwLSTAR, c.fwFMASK = readMSR(msrSTAR), readMSR(msrLSTAR), readMSR(msrFMASK)
	efer := readMSR(msrEFER) | eferSCE
	if allowNX(c) {
		efer |= eferNXE
	}
	writeMSR(msrEFER, efer)
	// SYSCALL loads CS from bits 47:32 and SS from the next selector; SYSRET is not used.
	writeMSR(msrSTAR, selCode<<32)
	writeMSR(msrLSTAR, syscallStub())
	writeMSR(msrFMASK, syscallFlagMask)
}
