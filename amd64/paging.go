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
	pteP   = 1 << 0
	pteW   = 1 << 1
	ptePS  = 1 << 7
	pteNX  = 1 << 63
	pteAdr = 0x000ffffffffff000

	pfWrite = 1 << 1 // page-fault error code: the access was a write

	protRead  = 1
	protWrite = 2

	faultAround = 64 << 10

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
	// Down to the page table of the first 2 MiB, splitting large pages on the way.
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := at[uint64](table)
		var next uintptr
		switch {
		case *e&pteP == 0:
			return true // page 0 is not mapped
		case *e&ptePS != 0:
			next = splitPage(*e, shift)
		default:
			next = copyTable(uintptr(*e) & pteAdr)
		}
		if next == 0 {
			return false
		}
		*e = uint64(next) | pteP | pteW | *e&0x3f
		table = next
	}
	*at[uint64](table) = 0
	return true
}

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

// pte returns the last-level entry for addr, nil when a table on the way is absent
// (and, with create, cannot be made).
func pte(addr uintptr, create bool) *uint64 {
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := tableEntry(table, addr, shift)
		if *e&pteP == 0 {
			if !create {
				return nil
			}
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
	if e := pte(addr, false); e != nil && *e&pteP != 0 {
		// Present and allowed: another processor made it, or the TLB is stale.
		flushTLB(addr)
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
		e := pte(p, true)
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
		return identityMapped(addr, n)
	}
	for p := addr &^ (frameSize - 1); p < addr+n; p += frameSize {
		if e := pte(p, false); e != nil && *e&pteP != 0 && (!write || *e&pteW != 0) {
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
	var batch [64]uintptr
	n := 0
	for p := start; p < end; {
		e, span := walk(p)
		if e == nil {
			p = (p + span) &^ (span - 1)
			continue
		}
		// A page that mprotect made inaccessible still owns its frame.
		if *e&pteAdr != 0 {
			batch[n] = uintptr(*e) & pteAdr
			n++
			*e = 0
			flushTLB(p)
		}
		p += frameSize
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
		freeFrame(batch[i])
	}
}

// walk returns the last-level entry for addr, or nil and the size of the hole that
// addr lies in.
func walk(addr uintptr) (*uint64, uintptr) {
	table := rootTable
	for shift := uint(39); shift > 12; shift -= 9 {
		e := tableEntry(table, addr, shift)
		if *e&pteP == 0 {
			return nil, 1 << shift
		}
		table = uintptr(*e) & pteAdr
	}
	return tableEntry(table, addr, 12), 0
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
		e, span := walk(p)
		if e == nil {
			p = (p + span) &^ (span - 1)
			continue
		}
		if *e&pteAdr != 0 {
			changed = true
			*e = *e&^(pteP|pteW) | writeBit(prot)
			if prot != 0 {
				*e |= pteP
			}
			flushTLB(p)
		}
		p += frameSize
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
