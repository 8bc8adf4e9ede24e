package amd64

import "alphaos/amd64/paging"

// What the system calls and faults of a program do with memory. Package paging has the
// page frames, the page tables and the VMAs; here other processors are told of what it
// changes, and it is decided what happens when there is no frame left.

var (
	physicalFrames uintptr // given out by AllocPhysical
	heapFrames     uintptr // what the Go heap can have
)

// done reports whether a request of paging's succeeded. When it found no page frame, the
// program cannot go on: it ends here, and nowhere else, with a report.
func done(r paging.Result) bool {
	if r == paging.NoMemory {
		outOfMemory()
	}
	return r == paging.OK
}

// touch reports whether the kernel can use [addr, addr+n), and sees to it that
// doing so does not fault.
func touch(addr, n uintptr, write bool) bool { return done(paging.Touch(addr, n, write)) }

// usedFrames counts the frames in use.
func usedFrames() uintptr {
	total, free := paging.Frames()
	return total - free
}

func pageUp(n uintptr) uintptr { return (n + paging.FrameSize - 1) &^ (paging.FrameSize - 1) }

// aligned reports whether addr is that of a page.
func aligned(addr uintptr) bool { return addr&(paging.FrameSize-1) == 0 }

// dropPages forgets the contents of [start, end). Frames are given back only when no
// processor can reach them any more.
func dropPages(start, end uintptr) {
	for start < end {
		rest, r := paging.Drop(start, end)
		start = rest
		if paging.Dropped() {
			shootDown()
			paging.Release()
		}
		done(r)
	}
}

func mmap(addr, n, prot, flags uintptr) uintptr {
	const (
		mapFixed     = 0x10
		mapAnonymous = 0x20
		mapNoReplace = 0x100000
	)
	if n == 0 || n > paging.Top || flags&mapFixed != 0 && !aligned(addr) {
		return errno(eINVAL)
	}
	if flags&mapAnonymous == 0 {
		return errno(eNODEV)
	}
	n = pageUp(n)
	addr &^= paging.FrameSize - 1
	switch {
	case flags&mapFixed != 0:
		if e := munmap(addr, n); e != 0 {
			return e
		}
	case paging.Vacant(addr, addr+n):
	case flags&mapNoReplace != 0:
		return errno(eEXIST)
	default:
		if addr = paging.Hole(n); addr == 0 {
			return errno(eNOMEM)
		}
	}
	if !paging.Add(addr, addr+n, prot&(paging.Read|paging.Write)) {
		return errno(eNOMEM)
	}
	return addr
}

func munmap(addr, n uintptr) uintptr {
	n = pageUp(n)
	if !aligned(addr) || !paging.Usable(addr, addr+n) {
		return errno(eINVAL)
	}
	if !paging.Cut(addr, addr+n) {
		return errno(eNOMEM)
	}
	dropPages(addr, addr+n)
	return 0
}

func mprotect(addr, n, prot uintptr) uintptr {
	n = pageUp(n)
	if n == 0 {
		return 0
	}
	if !aligned(addr) || !paging.Usable(addr, addr+n) {
		return errno(eINVAL)
	}
	changed, r := paging.Protect(addr, addr+n, prot&(paging.Read|paging.Write))
	if changed {
		shootDown()
	}
	if !done(r) {
		return errno(eNOMEM)
	}
	return 0
}

func madvise(addr, n, advice uintptr) uintptr {
	const (
		dontNeed = 4
		free     = 8
	)
	n = pageUp(n)
	if !aligned(addr) || n != 0 && !paging.Usable(addr, addr+n) {
		return errno(eINVAL)
	}
	if advice == dontNeed || advice == free {
		dropPages(addr, addr+n)
	}
	return 0
}

// lowMemory is where all of it is in reach of a device with addresses of 32 bits.
const lowMemory = 1 << 32

func allocPhysical(n, limit uintptr) uintptr {
	frames := pageUp(n) >> paging.FrameShift
	addr := paging.AllocRun(frames, limit)
	if addr == 0 {
		return errno(eNOMEM)
	}
	physicalFrames += frames
	return addr
}

func freePhysical(addr, n uintptr) uintptr {
	n = pageUp(n)
	if !aligned(addr) || !paging.Owned(addr, n) {
		return errno(eINVAL)
	}
	paging.FreeRun(addr, n>>paging.FrameShift)
	physicalFrames -= n >> paging.FrameShift
	return 0
}

func memoryStats(p uintptr) uintptr {
	if !touch(p, 24, true) {
		return errno(eFAULT)
	}
	total, free := paging.Frames()
	*at[MemoryStats](p) = MemoryStats{uint64(total) << paging.FrameShift, uint64(free) << paging.FrameShift, uint64(heapFrames) << paging.FrameShift}
	return 0
}

// protectImage gives each section of the image the rights it names, so that no page is
// writable and executable.
func protectImage() {
	const (
		scnExecute = 0x20000000
		scnWrite   = 0x80000000
	)
	for n := uintptr(0); ; n++ {
		start, end, flags := imageSection(n)
		if end == 0 {
			break
		}
		for p := start; p < end; p += paging.FrameSize {
			if !paging.Restrict(p, flags&scnWrite != 0, flags&scnExecute != 0) {
				return // left as the firmware has it
			}
		}
	}
	guardStacks(&bootCPU)
}

// guardStacks takes away the page below each kernel stack of c, so that an overflow is a fault.
func guardStacks(c *cpu) {
	for j := range c.stacks {
		paging.Hide(guardPage(c, j))
	}
}

// guardPage is the lowest whole page in a kernel stack.
func guardPage(c *cpu, stack int) uintptr { return pageUp(addrOf(&c.stacks[stack])) }

// imageSection returns where the image's nth section lies and its characteristics, from
// the PE headers in memory; end is 0 when there is none.
func imageSection(n uintptr) (start, end uintptr, flags uint32) {
	const (
		peOffset        = 0x3c // in the DOS header
		sectionCount    = 6    // in the PE signature and COFF header
		optionalSize    = 20
		headersSize     = 24
		sectionSize     = 40
		virtualSize     = 8
		virtualAddress  = 12
		characteristics = 36
	)
	pe := imageBase + uintptr(*at[uint32](imageBase + peOffset))
	if n >= uintptr(*at[uint16](pe + sectionCount)) {
		return 0, 0, 0
	}
	s := pe + headersSize + uintptr(*at[uint16](pe + optionalSize)) + n*sectionSize
	start = imageBase + uintptr(*at[uint32](s + virtualAddress))
	return start, start + uintptr(*at[uint32](s + virtualSize)), *at[uint32](s + characteristics)
}
