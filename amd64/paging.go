package amd64

// Virtual memory. The top-level table is ours: the firmware's entries are shared,
// but for private copies on the way to page 0, which is unmapped so that a nil
// dereference faults; the Go heap lives under entries that the firmware leaves empty.
//
// areas says which addresses a program may use, and how; it is the truth, and page
// tables only cache it: a page that is allowed but absent is made, zeroed, when it
// is first touched (with its neighbours, fault-around), and a page may be dropped at
// any time that its contents may be forgotten.

const (
	pteP  = 1 << 0
	pteW  = 1 << 1
	ptePS = 1 << 7
	pteNX = 1 << 63
	// A table of our own making, under entries that the firmware uses too; the processor
	// ignores the bit.
	pteOurs = 1 << 9
	pteUser = 1 << 2
	pteAdr  = 0x000ffffffffff000

	pfWrite = 1 << 1 // page-fault error code: the access was a write

	protRead  = 1
	protWrite = 2

	faultAround = 64 << 10
	hugePage    = 2 << 20
	// Areas from this size on are the Go heap's arenas and the like, of which more will
	// be used than is touched first.
	hugeArea = 16 << 20

	userTop  = 1 << 47
	slotSize = 1 << 39 // bytes under one top-level entry
	// Where mappings without an acceptable hint go: above any firmware's memory.
	anyBase = 0x40 * slotSize

	maxAreas = 8192
)

// area is a range of addresses given out by mmap.
type area struct {
	start, end uintptr
	prot       uintptr
}

var (
	rootTable uintptr // our PML4
	topTable  uintptr // what CR3 holds: the PML4, or the PML5 above it

	areas     [maxAreas]area // sorted, disjoint, neighbours differ
	areaCount int

	fwSlots [512]bool // top-level entries the firmware uses
)

// flushTLB forgets the translation of one page. Tests of the tables run in a process
// that may not.
func flushTLB(addr uintptr) {
	if booted != 0 {
		invlpg(addr)
	}
}

func tableEntry(table, addr uintptr, shift uint) *uint64 {
	return at[uint64](table + addr>>shift&511*8)
}

// makePageTables builds our top level from the firmware's. It reports false when
// there is no memory.
func makePageTables(fwCR3 uintptr, fiveLevel bool) bool {
	top := copyTable(fwCR3 & pteAdr)
	if top == 0 {
		return false
	}
	topTable, rootTable = top, top
	if fiveLevel {
		if rootTable = copyTable(uintptr(*at[uint64](top)) & pteAdr); rootTable == 0 {
			return false
		}
		*at[uint64](top) = uint64(rootTable) | *at[uint64](top)&^pteAdr
	}
	for i := range fwSlots {
		fwSlots[i] = *at[uint64](rootTable + uintptr(i)*8)&pteP != 0
	}
	if e := privatePTE(0); e != nil {
		*e = 0
	}
	return freeFrames > 0
}

// privatePTE returns the last-level entry for an address that the firmware maps, to be
// changed for us alone: on the way there the firmware's tables are copied and large pages
// split. It returns nil when the address is not mapped or there is no memory.
func privatePTE(addr uintptr) *uint64 {
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := tableEntry(table, addr, shift)
		var next uintptr
		switch {
		case *e&pteP == 0:
			return nil
		case *e&ptePS != 0:
			next = splitPage(*e, shift)
		case *e&pteOurs != 0:
			table = uintptr(*e) & pteAdr
			continue
		default:
			next = copyTable(uintptr(*e) & pteAdr)
		}
		if next == 0 {
			return nil
		}
		*e = uint64(next) | pteP | pteW | pteOurs | *e&pteUser
		table = next
	}
	return tableEntry(table, addr, 12)
}

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

// protectImage gives each section of the image the rights it names, so that no page is
// writable and executable, and takes away the page below each kernel stack, so that an
// overflow is a fault.
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
		for p := start; p < end; p += frameSize {
			e := privatePTE(p)
			if e == nil {
				return // left as the firmware has it
			}
			*e = *e &^ (pteW | pteNX)
			if flags&scnWrite != 0 {
				*e |= pteW
			}
			if flags&scnExecute == 0 {
				*e |= pteNX
			}
		}
	}
	for i := range cpus {
		for j := range cpus[i].stacks {
			if e := privatePTE(guardPage(&cpus[i], j)); e != nil {
				*e = 0
			}
		}
	}
}

// guardPage is the lowest whole page in a kernel stack.
func guardPage(c *cpu, stack int) uintptr { return pageUp(addrOf(&c.stacks[stack])) }

func copyTable(from uintptr) uintptr {
	t := allocFrame()
	if t != 0 {
		copyBytes(t, from, frameSize)
	}
	return t
}

// splitPage returns a table of 512 pages that map what the large page e at the
// level of shift mapped.
func splitPage(e uint64, shift uint) uintptr {
	t := allocFrame()
	if t == 0 {
		return 0
	}
	step := uint64(1) << (shift - 9)
	attr := e &^ pteAdr
	base := e & pteAdr &^ (1<<shift - 1)
	if shift == 21 {
		// Bit 7 means PAT at the last level; bit 12 held it in the large page.
		attr = attr&^ptePS | e>>12&1<<7
	} else {
		attr |= e & (1 << 12)
	}
	for i := uint64(0); i < 512; i++ {
		*at[uint64](t + uintptr(i)*8) = base + i*step | attr
	}
	return t
}

// pte returns the last-level entry for addr, making tables on the way; nil when there
// is no memory for them. No large page may cover addr.
func pte(addr uintptr) *uint64 {
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := tableEntry(table, addr, shift)
		if *e&pteP == 0 {
			t := allocFrame()
			if t == 0 {
				return nil
			}
			*e = uint64(t) | pteP | pteW
		}
		table = uintptr(*e) & pteAdr
	}
	return tableEntry(table, addr, 12)
}

// leaf returns the entry that maps addr and the size of its page, or nil and the
// size of the hole around addr. A 2 MiB page that mprotect made inaccessible is not a
// hole: it keeps its PS bit.
func leaf(addr uintptr) (*uint64, uintptr) {
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := tableEntry(table, addr, shift)
		if *e&ptePS != 0 {
			return e, 1 << shift
		}
		if *e&pteP == 0 {
			return nil, 1 << shift
		}
		table = uintptr(*e) & pteAdr
	}
	return tableEntry(table, addr, 12), frameSize
}

// leafWithin is leaf for a walk over [addr, end) that changes pages: a 2 MiB page
// that only partly lies within is split first.
func leafWithin(addr, end uintptr) (*uint64, uintptr) {
	e, size := leaf(addr)
	if e == nil || size == frameSize || addr&(size-1) == 0 && end-addr >= size {
		return e, size
	}
	t := splitPage(*e, 21)
	if t == 0 {
		outOfMemory()
	}
	*e = uint64(t) | pteP | pteW
	flushTLB(addr)
	return leaf(addr)
}

// findArea returns the index of the first area that ends above addr.
func findArea(addr uintptr) int {
	lo, hi := 0, areaCount
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if areas[mid].end > addr {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// pageFault makes the page of addr. ok is false when the program may not touch it;
// mapped tells that the address is known all the same.
func pageFault(addr uintptr, write bool) (ok, mapped bool) {
	i := findArea(addr)
	if i == areaCount || areas[i].start > addr {
		return false, false
	}
	a := &areas[i]
	if a.prot == 0 || write && a.prot&protWrite == 0 {
		return false, true
	}
	if e, _ := leaf(addr); e != nil && *e&pteP != 0 {
		// Present and allowed: another processor made it, or the TLB is stale.
		flushTLB(addr)
		return true, true
	}
	if start := addr &^ (hugePage - 1); a.end-a.start >= hugeArea && start >= a.start && a.end-start >= hugePage &&
		freeFrames > totalFrames/8 && mapHuge(start, a.prot) {
		return true, true
	}
	first, last := addr&^(faultAround-1), addr|(faultAround-1)
	if first < a.start {
		first = a.start
	}
	if last >= a.end {
		last = a.end - 1
	}
	if freeFrames < 4*faultAround/frameSize {
		first, last = addr&^(frameSize-1), addr // the end is near: only what is asked for
	}
	for p := first; p <= last; p += frameSize {
		e := pte(p)
		if e == nil {
			outOfMemory()
		}
		if *e&pteP != 0 {
			continue
		}
		f := allocFrame()
		if f == 0 {
			outOfMemory()
		}
		*e = uint64(f) | pteP | pteNX | writeBit(a.prot)
	}
	return true, true
}

// mapHuge maps a zeroed 2 MiB page at start, where nothing may be mapped yet.
func mapHuge(start, prot uintptr) bool {
	table := rootTable
	for shift := uint(39); shift > 21; shift -= 9 {
		e := tableEntry(table, start, shift)
		if *e&pteP == 0 {
			t := allocFrame()
			if t == 0 {
				return false
			}
			*e = uint64(t) | pteP | pteW
		}
		table = uintptr(*e) & pteAdr
	}
	e := tableEntry(table, start, 21)
	if *e != 0 {
		return false
	}
	f := allocHuge()
	if f == 0 {
		return false
	}
	*e = uint64(f) | pteP | ptePS | pteNX | writeBit(prot)
	return true
}

func writeBit(prot uintptr) uint64 {
	if prot&protWrite != 0 {
		return pteW
	}
	return 0
}

// touch reports whether the kernel can use [addr, addr+n), and sees to it that
// doing so does not fault.
func touch(addr, n uintptr, write bool) bool {
	if n == 0 {
		return true
	}
	if addr+n < addr {
		return false
	}
	if addr >= frameSize && addr < userTop && fwSlots[addr>>39] {
		// The image's own data, or memory shared with firmware.
		if !identityMapped(addr, n) {
			return false
		}
		for p := addr &^ (frameSize - 1); write && p < addr+n; p += frameSize {
			if e, _ := leaf(p); e == nil || *e&pteW == 0 {
				return false
			}
		}
		return true
	}
	for p := addr &^ (frameSize - 1); p < addr+n; p += frameSize {
		if e, _ := leaf(p); e != nil && *e&pteP != 0 && (!write || *e&pteW != 0) {
			continue
		}
		if ok, _ := pageFault(p, write); !ok {
			return false
		}
	}
	return true
}

// dropPages forgets the contents of [start, end). Frames are given back only when no
// processor can reach them any more.
func dropPages(start, end uintptr) {
	var batch [64]uintptr // addresses, with the low bit set for a 2 MiB page
	n := 0
	for p := start; p < end; {
		e, size := leafWithin(p, end)
		// A page that mprotect made inaccessible still owns its frame.
		if e != nil && *e&pteAdr != 0 {
			batch[n] = uintptr(*e) & pteAdr
			if size == hugePage {
				batch[n] |= 1
			}
			n++
			*e = 0
			flushTLB(p)
		}
		p = (p + size) &^ (size - 1)
		if n == len(batch) {
			freeBatch(&batch, n)
			n = 0
		}
	}
	if n > 0 {
		freeBatch(&batch, n)
	}
}

func freeBatch(batch *[64]uintptr, n int) {
	shootDown()
	for i := 0; i < n; i++ {
		if batch[i]&1 != 0 {
			freeRun(batch[i]&^1, hugePage/frameSize)
		} else {
			freeFrame(batch[i])
		}
	}
}

// cutAreas takes [start, end) out of the areas, keeping pages. It reports false
// when the table is full.
func cutAreas(start, end uintptr) bool {
	i := findArea(start)
	if i < areaCount && areas[i].start < start {
		if areas[i].end > end { // a hole in the middle
			if !insertArea(i+1, area{end, areas[i].end, areas[i].prot}) {
				return false
			}
			areas[i].end = start
			return true
		}
		areas[i].end = start
		i++
	}
	j := i
	for j < areaCount && areas[j].end <= end {
		j++
	}
	if j < areaCount && areas[j].start < end {
		areas[j].start = end
	}
	if j > i {
		for k := j; k < areaCount; k++ {
			areas[k-j+i] = areas[k]
		}
		areaCount -= j - i
	}
	return true
}

func insertArea(i int, a area) bool {
	if areaCount == maxAreas {
		return false
	}
	for k := areaCount; k > i; k-- {
		areas[k] = areas[k-1]
	}
	areas[i] = a
	areaCount++
	return true
}

// putArea adds a range that no area overlaps, joining it to its neighbours.
func putArea(start, end, prot uintptr) bool {
	i := findArea(start)
	if i > 0 && areas[i-1].end == start && areas[i-1].prot == prot {
		areas[i-1].end = end
		if i < areaCount && areas[i].start == end && areas[i].prot == prot {
			areas[i-1].end = areas[i].end
			for k := i + 1; k < areaCount; k++ {
				areas[k-1] = areas[k]
			}
			areaCount--
		}
		return true
	}
	if i < areaCount && areas[i].start == end && areas[i].prot == prot {
		areas[i].start = start
		return true
	}
	return insertArea(i, area{start, end, prot})
}

// usable reports whether [start, end) is in the range that programs may be given.
func usable(start, end uintptr) bool {
	if start < frameSize || end <= start || end > userTop {
		return false
	}
	for s := start >> 39; s <= (end-1)>>39; s++ {
		if fwSlots[s] {
			return false
		}
	}
	return true
}

// findHole returns the lowest unused range of n bytes that is usable.
func findHole(n uintptr) uintptr {
	start := uintptr(anyBase)
	for i := findArea(start); start+n <= userTop; {
		if i < areaCount && areas[i].start < start+n {
			start = areas[i].end
			i++
			continue
		}
		if usable(start, start+n) {
			return start
		}
		start = (start>>39 + 1) << 39
		i = findArea(start)
	}
	return 0
}

func pageUp(n uintptr) uintptr { return (n + frameSize - 1) &^ (frameSize - 1) }

func mmap(addr, n, prot, flags uintptr) uintptr {
	const (
		mapFixed     = 0x10
		mapAnonymous = 0x20
		mapNoReplace = 0x100000
	)
	if n == 0 || n > userTop || addr&(frameSize-1) != 0 && flags&mapFixed != 0 {
		return errno(eINVAL)
	}
	if flags&mapAnonymous == 0 {
		return errno(eNODEV)
	}
	n = pageUp(n)
	prot &= protRead | protWrite
	switch {
	case flags&mapFixed != 0:
		if !usable(addr, addr+n) {
			return errno(eINVAL)
		}
		if !cutAreas(addr, addr+n) {
			return errno(eNOMEM)
		}
		dropPages(addr, addr+n)
	default:
		addr &^= frameSize - 1
		i := findArea(addr)
		if !usable(addr, addr+n) || i < areaCount && areas[i].start < addr+n {
			if flags&mapNoReplace != 0 {
				return errno(eEXIST)
			}
			if addr = findHole(n); addr == 0 {
				return errno(eNOMEM)
			}
		}
	}
	if !putArea(addr, addr+n, prot) {
		return errno(eNOMEM)
	}
	return addr
}

func munmap(addr, n uintptr) uintptr {
	n = pageUp(n)
	if addr&(frameSize-1) != 0 || !usable(addr, addr+n) {
		return errno(eINVAL)
	}
	if !cutAreas(addr, addr+n) {
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
	if addr&(frameSize-1) != 0 || !usable(addr, addr+n) {
		return errno(eINVAL)
	}
	// All of the range must be mapped.
	for p := addr; p < addr+n; {
		i := findArea(p)
		if i == areaCount || areas[i].start > p {
			return errno(eNOMEM)
		}
		p = areas[i].end
	}
	prot &= protRead | protWrite
	if !cutAreas(addr, addr+n) || !putArea(addr, addr+n, prot) {
		return errno(eNOMEM)
	}
	changed := false
	for p := addr; p < addr+n; {
		e, size := leafWithin(p, addr+n)
		if e != nil && *e&pteAdr != 0 {
			changed = true
			*e = *e&^(pteP|pteW) | writeBit(prot)
			if prot != 0 {
				*e |= pteP
			}
			flushTLB(p)
		}
		p = (p + size) &^ (size - 1)
	}
	if changed {
		shootDown()
	}
	return 0
}

func madvise(addr, n, advice uintptr) uintptr {
	const (
		dontNeed = 4
		free     = 8
	)
	n = pageUp(n)
	if addr&(frameSize-1) != 0 || n != 0 && !usable(addr, addr+n) {
		return errno(eINVAL)
	}
	if advice == dontNeed || advice == free {
		dropPages(addr, addr+n)
	}
	return 0
}
