package paging

// Virtual memory areas: which addresses a program may use, and how. They are the truth, of
// which page tables are only a cache. A page that is allowed but absent is made, zeroed, when
// it is first touched (along with its neighbours: fault-around), and a page whose contents
// are not needed any more may be dropped at any time.

// What a program may do with a VMA: the PROT_ bits of mmap(2).
const (
	Read  = 1
	Write = 2
)

const (
	faultAround = 64 << 10
	// VMAs from this size on are the Go heap's arenas and the like, of which more will
	// be used than is touched first.
	hugeVMA = 16 << 20

	Top      = 1 << 47 // where the addresses of programs end
	slotSize = 1 << 39 // bytes under one top-level entry
	// Where mappings without an acceptable hint go: above any firmware's memory.
	anyBase = 0x40 * slotSize

	maxVMAs = 8192
)

// vma is a range of addresses given out by mmap.
type vma struct {
	start, end uintptr
	prot       uintptr
}

var (
	vmas     [maxVMAs]vma // sorted, disjoint, neighbours differ
	vmaCount int

	imageStart, imageEnd uintptr
)

// Result is how a request ended.
type Result int

const (
	OK        Result = iota
	NotMapped        // no VMA, or not all of the range in VMAs
	NoAccess         // a VMA that does not allow it
	TableFull        // there are too many VMAs
	NoMemory         // no frame is left
)

// SetImage says where the program's image lies, which the program may use as well.
func SetImage(base, size uintptr) { imageStart, imageEnd = base, base+size }

// IdentityMapped reports whether firmware can be given [addr, addr+size).
func IdentityMapped(addr, size uintptr) bool {
	return Owned(addr, size) || addr >= imageStart && addr+size <= imageEnd
}

// findVMA returns the index of the first VMA that ends above addr.
func findVMA(addr uintptr) int {
	lo, hi := 0, vmaCount
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if vmas[mid].end > addr {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// Fault makes the page of addr.
func Fault(addr uintptr, write bool) Result {
	i := findVMA(addr)
	if i == vmaCount || vmas[i].start > addr {
		return NotMapped
	}
	a := &vmas[i]
	if a.prot == 0 || write && a.prot&Write == 0 {
		return NoAccess
	}
	if e, _ := leaf(addr); e != nil && *e&pteP != 0 {
		// Present and allowed: another processor made it, or the TLB is stale.
		flushTLB(addr)
		return OK
	}
	if start := addr &^ (hugePage - 1); a.end-a.start >= hugeVMA && start >= a.start && a.end-start >= hugePage &&
		freeFrames > totalFrames/8 && mapHuge(start, a.prot) {
		return OK
	}
	first, last := addr&^(faultAround-1), addr|(faultAround-1)
	if first < a.start {
		first = a.start
	}
	if last >= a.end {
		last = a.end - 1
	}
	if freeFrames < 4*faultAround/FrameSize {
		first, last = addr&^(FrameSize-1), addr // memory is short: only what is asked for
	}
	for p := first; p <= last; p += FrameSize {
		e := entry(p, FrameShift)
		if e == nil {
			return NoMemory
		}
		if *e&pteP != 0 {
			continue
		}
		f := AllocFrame()
		if f == 0 {
			return NoMemory
		}
		*e = uint64(f) | pteP | noExec | writeBit(a.prot)
	}
	return OK
}

// Touch makes sure that the kernel can use [addr, addr+n) without a fault, provided that the
// program may.
func Touch(addr, n uintptr, write bool) Result {
	if n == 0 {
		return OK
	}
	if addr+n < addr {
		return NotMapped
	}
	if addr >= FrameSize && addr < Top && fwSlots[addr>>39] {
		// The image's own data, or memory shared with firmware.
		if !IdentityMapped(addr, n) {
			return NotMapped
		}
		for p := addr &^ (FrameSize - 1); write && p < addr+n; p += FrameSize {
			if e, _ := leaf(p); e == nil || *e&pteW == 0 {
				return NoAccess
			}
		}
		return OK
	}
	for p := addr &^ (FrameSize - 1); p < addr+n; p += FrameSize {
		if e, _ := leaf(p); e != nil && *e&pteP != 0 && (!write || *e&pteW != 0) {
			continue
		}
		if r := Fault(p, write); r != OK {
			return r
		}
	}
	return OK
}

// The frames that Drop has taken out of the tables, with the low bit set for a 2 MiB page.
var (
	dropped      [64]uintptr
	droppedCount int
)

// Drop unmaps the pages of [start, end), or of as much of it as it can take note of, and
// returns where the rest begins. Their contents are forgotten. Release must follow before
// the next Drop.
func Drop(start, end uintptr) (rest uintptr, r Result) {
	for start < end && droppedCount < len(dropped) {
		e, size := leafWithin(start, end)
		if size == 0 {
			return start, NoMemory
		}
		// A page that Protect made inaccessible still owns its frame.
		if e != nil && *e&pteAdr != 0 {
			f := uintptr(*e) & pteAdr
			if size == hugePage {
				f |= 1
			}
			dropped[droppedCount] = f
			droppedCount++
			*e = 0
			flushTLB(start)
		}
		start = (start + size) &^ (size - 1)
	}
	return start, OK
}

// Dropped reports whether there are frames to release.
func Dropped() bool { return droppedCount > 0 }

// Release frees what Drop unmapped. No processor's TLB may still lead there.
func Release() {
	for _, f := range dropped[:droppedCount] {
		if f&1 != 0 {
			FreeRun(f&^1, hugePage/FrameSize)
		} else {
			freeFrame(f)
		}
	}
	droppedCount = 0
}

// Cut takes [start, end) out of the VMAs and keeps its pages. It reports false when there are
// too many VMAs.
func Cut(start, end uintptr) bool {
	i := findVMA(start)
	if i < vmaCount && vmas[i].start < start {
		if vmas[i].end > end { // a hole in the middle
			if !insertVMA(i+1, vma{end, vmas[i].end, vmas[i].prot}) {
				return false
			}
			vmas[i].end = start
			return true
		}
		vmas[i].end = start
		i++
	}
	j := i
	for j < vmaCount && vmas[j].end <= end {
		j++
	}
	if j < vmaCount && vmas[j].start < end {
		vmas[j].start = end
	}
	if j > i {
		for k := j; k < vmaCount; k++ {
			vmas[k-j+i] = vmas[k]
		}
		vmaCount -= j - i
	}
	return true
}

func insertVMA(i int, a vma) bool {
	if vmaCount == maxVMAs {
		return false
	}
	for k := vmaCount; k > i; k-- {
		vmas[k] = vmas[k-1]
	}
	vmas[i] = a
	vmaCount++
	return true
}

// Add adds a range that no VMA overlaps, joining it to its neighbours. It reports false when
// there are too many VMAs.
func Add(start, end, prot uintptr) bool {
	i := findVMA(start)
	if i > 0 && vmas[i-1].end == start && vmas[i-1].prot == prot {
		vmas[i-1].end = end
		if i < vmaCount && vmas[i].start == end && vmas[i].prot == prot {
			vmas[i-1].end = vmas[i].end
			for k := i + 1; k < vmaCount; k++ {
				vmas[k-1] = vmas[k]
			}
			vmaCount--
		}
		return true
	}
	if i < vmaCount && vmas[i].start == end && vmas[i].prot == prot {
		vmas[i].start = start
		return true
	}
	return insertVMA(i, vma{start, end, prot})
}

// Usable reports whether [start, end) is in the range that programs may be given.
func Usable(start, end uintptr) bool {
	if start < FrameSize || end <= start || end > Top {
		return false
	}
	for s := start >> 39; s <= (end-1)>>39; s++ {
		if fwSlots[s] {
			return false
		}
	}
	return true
}

// Vacant reports whether [start, end) is usable and unused.
func Vacant(start, end uintptr) bool {
	i := findVMA(start)
	return Usable(start, end) && (i == vmaCount || vmas[i].start >= end)
}

// Hole returns the lowest unused range of n bytes that is usable.
func Hole(n uintptr) uintptr {
	start := uintptr(anyBase)
	for i := findVMA(start); start+n <= Top; {
		if i < vmaCount && vmas[i].start < start+n {
			start = vmas[i].end
			i++
			continue
		}
		if Usable(start, start+n) {
			return start
		}
		start = (start>>39 + 1) << 39
		i = findVMA(start)
	}
	return 0
}

// Protect changes what a program may do with [start, end). If changed is true, the TLBs of
// other processors may still allow more.
func Protect(start, end, prot uintptr) (changed bool, r Result) {
	for p := start; p < end; {
		i := findVMA(p)
		if i == vmaCount || vmas[i].start > p {
			return false, NotMapped
		}
		p = vmas[i].end
	}
	if !Cut(start, end) || !Add(start, end, prot) {
		return false, TableFull
	}
	for p := start; p < end; {
		e, size := leafWithin(p, end)
		if size == 0 {
			return changed, NoMemory
		}
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
	return changed, OK
}
