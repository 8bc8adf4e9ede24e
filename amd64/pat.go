package amd64

import (
	"unsafe"

	"alphaos/amd64/paging"
)

// How the processors write to a frame buffer. The memory type of a page comes from the MTRRs,
// which are the firmware's (Intel SDM volume 3, section 12.11), and from the entry of the PAT
// that its page table entry names (section 12.12). Many firmwares leave a frame buffer
// uncachable, so that each store of a few bytes crosses the bus by itself. Entry 7 of each
// processor's PAT becomes write-combining, which wins over such an MTRR (table 12-7), and
// the frame buffer's pages name it in our page tables alone.
//
// Nobody else is disturbed: firmware uses entries 0 to 3, which have no PAT bit in the page
// table entry, and the gate, by loading CR3, drains what was combined before the firmware
// draws. Uncachable pages have no lines in any cache, so that none is left behind there.

const (
	cr0NW = 1 << 29
	cr0CD = 1 << 30

	msrPAT          = 0x277
	msrMTRRCap      = 0xfe
	msrMTRRVariable = 0x200 // base and mask, in turn
	msrMTRRDefault  = 0x2ff

	patShift = 8 * paging.CombiningEntry

	cpuidMTRR = 1 << 12 // leaf 1, EDX
	cpuidPAT  = 1 << 16
)

// MemoryType is how accesses to memory are cached (Intel SDM volume 3, table 12-2).
type MemoryType uint8

const (
	Uncachable     MemoryType = 0
	WriteCombining MemoryType = 1
	WriteThrough   MemoryType = 4
	WriteProtected MemoryType = 5
	WriteBack      MemoryType = 6
	UnknownType    MemoryType = 0xff // there are no MTRRs, or they contradict each other
)

func (t MemoryType) String() string {
	switch t {
	case Uncachable:
		return "uncachable"
	case WriteCombining:
		return "write-combining"
	case WriteThrough:
		return "write-through"
	case WriteProtected:
		return "write-protected"
	case WriteBack:
		return "write-back"
	}
	return "of unknown type"
}

// FrameMapping is how the processors reach a frame buffer.
type FrameMapping struct {
	MTRR            MemoryType // of its first page, by the MTRRs
	Pages, Combined int        // of 4 KiB; those that are write-combining by entry 7 of the PAT
	Entry, PAT      uint64     // the page table entry of its first page, the processor's IA32_PAT
}

// combineRequest is what combineWrites is asked and answers.
type combineRequest struct {
	addr, size      uintptr
	mtrr            uintptr
	pages, combined uintptr
	entry, pat      uint64
}

// CombineWrites has the processors write in whole cache lines to those pages of the frame
// buffer at addr that are uncachable, where they can: what is write-back is left so.
func CombineWrites(addr uintptr, size int) FrameMapping {
	if !Booted() || size <= 0 {
		return FrameMapping{MTRR: UnknownType}
	}
	r := combineRequest{addr: addr, size: uintptr(size)}
	kernelCall(sysCombine, unsafe.Pointer(&r), 0)
	return FrameMapping{MemoryType(r.mtrr), int(r.pages), int(r.combined), r.entry, r.pat}
}

// combineWrites serves CombineWrites.
func combineWrites(p uintptr) uintptr {
	if !touch(p, unsafe.Sizeof(combineRequest{}), true) {
		return errno(eFAULT)
	}
	r := at[combineRequest](p)
	m := mtrrs{}
	m.read()
	start, end := r.addr&^(paging.FrameSize-1), pageUp(r.addr+r.size)
	r.mtrr = uintptr(m.typeOf(uint64(start)))
	r.pages, r.combined = (end-start)>>paging.FrameShift, 0
	if hasPAT() {
		r.pat = uint64(readMSR(msrPAT))
	}
	if combines(r.pat) {
		for a := start; a < end; a += paging.FrameSize {
			if m.typeOf(uint64(a)) == Uncachable && paging.Combine(a) {
				r.combined++
			}
		}
	}
	if r.combined != 0 {
		writeCR3(ownCR3)
		shootDown()
	}
	r.entry = paging.Entry(start)
	return 0
}

func hasPAT() bool {
	_, _, _, d := cpuid(1, 0)
	return d&cpuidPAT != 0
}

func combines(pat uint64) bool { return MemoryType(pat>>patShift) == WriteCombining }

// combining returns a PAT with entry 7 write-combining.
func combining(pat uint64) uint64 {
	return pat&^(0xff<<patShift) | uint64(WriteCombining)<<patShift
}

// tunePAT makes entry 7 of this processor's PAT write-combining.
func tunePAT(c *cpu) {
	if !hasPAT() {
		return
	}
	c.fwPAT = readMSR(msrPAT)
	if !combines(uint64(c.fwPAT)) {
		setPAT(uintptr(combining(uint64(c.fwPAT))))
		c.patChanged = 1
	}
}

func untunePAT(c *cpu) {
	if c.patChanged != 0 {
		setPAT(c.fwPAT)
		c.patChanged = 0
	}
}

// maxMTRRs is more variable ranges than any processor has: they lie from 0x200 to 0x24f.
const maxMTRRs = 40

// fixedMTRRs are the registers for the first megabyte, eight ranges of 64, 16 or 4 KiB each
// (Intel SDM volume 3, table 12-9).
var fixedMTRRs = [...]uintptr{0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f}

// mtrrs are a processor's memory type range registers; on all processors they are the same.
type mtrrs struct {
	exist      bool
	cap, deflt uint64
	fixed      [len(fixedMTRRs)]uint64
	base, mask [maxMTRRs]uint64
}

const (
	mtrrCapFixed     = 1 << 8
	mtrrFixedEnabled = 1 << 10 // in the default register
	mtrrEnabled      = 1 << 11 // there, and in each mask
)

func (m *mtrrs) ranges() int { return min(int(m.cap&0xff), maxMTRRs) }

func (m *mtrrs) read() {
	if _, _, _, d := cpuid(1, 0); d&cpuidMTRR == 0 {
		return
	}
	m.exist = true
	m.cap, m.deflt = uint64(readMSR(msrMTRRCap)), uint64(readMSR(msrMTRRDefault))
	if m.cap&mtrrCapFixed != 0 {
		for i := range fixedMTRRs {
			m.fixed[i] = uint64(readMSR(fixedMTRRs[i]))
		}
	}
	for i := 0; i < m.ranges(); i++ {
		m.base[i] = uint64(readMSR(msrMTRRVariable + 2*uintptr(i)))
		m.mask[i] = uint64(readMSR(msrMTRRVariable + 2*uintptr(i) + 1))
	}
}

// typeOf returns the memory type that the MTRRs give the page of addr (Intel SDM volume 3,
// section 12.11.4.1).
func (m *mtrrs) typeOf(addr uint64) MemoryType {
	switch {
	case !m.exist:
		return UnknownType
	case m.deflt&mtrrEnabled == 0:
		return Uncachable
	case addr < 1<<20 && m.cap&mtrrCapFixed != 0 && m.deflt&mtrrFixedEnabled != 0:
		return known(m.fixedType(addr))
	}
	found := false
	t := MemoryType(m.deflt)
	for i := 0; i < m.ranges(); i++ {
		if m.mask[i]&mtrrEnabled == 0 || (addr^m.base[i])&m.mask[i]>>12 != 0 {
			continue
		}
		switch r := MemoryType(m.base[i]); {
		case r == Uncachable:
			return r // whatever else covers the page
		case !found || r == t:
			t, found = r, true
		case r == WriteThrough && t == WriteBack || r == WriteBack && t == WriteThrough:
			t = WriteThrough
		default:
			t = UnknownType
		}
	}
	return known(t)
}

// known returns t if it is a type that an MTRR can have.
func known(t MemoryType) MemoryType {
	if t > WriteBack || t == 2 || t == 3 {
		return UnknownType
	}
	return t
}

func (m *mtrrs) fixedType(addr uint64) MemoryType {
	switch {
	case addr < 0x80000:
		return MemoryType(m.fixed[0] >> (addr >> 16 & 7 * 8))
	case addr < 0xc0000:
		return MemoryType(m.fixed[1+(addr-0x80000)>>17] >> (addr >> 14 & 7 * 8))
	}
	return MemoryType(m.fixed[3+(addr-0xc0000)>>15] >> (addr >> 12 & 7 * 8))
}
