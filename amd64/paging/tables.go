// Package paging has the page frames, the page tables and the virtual memory areas of
// package amd64, whose rules for kernel code hold here too: nothing is allocated but page
// frames, no pointer is stored, nothing is called indirectly. All but IdentityMapped is for
// whoever has the kernel lock. Telling other processors of changes is left to the caller, and
// so is what to do when there is no memory: that is a Result.
package paging

import "unsafe"

// Page tables. The top-level table is ours: the firmware's entries are shared, but for
// private copies on the way to what is to be ours alone, such as page 0, which is unmapped
// so that a nil dereference faults. Programs live under entries that the firmware leaves
// empty.

const (
	pteP  = 1 << 0
	pteW  = 1 << 1
	pteWT = 1 << 3 // with pteCD and ptePAT: an entry of the PAT
	pteCD = 1 << 4
	ptePS = 1 << 7
	// At the last level, where there are no large pages.
	ptePAT = 1 << 7
	pteNX  = 1 << 63
	// Marks a table of our own under entries that the firmware uses too. The processor
	// ignores the bit.
	pteOurs = 1 << 9
	pteUser = 1 << 2
	pteAdr  = 0x000ffffffffff000

	hugePage = 2 << 20
	slots    = Top >> 39 // top-level entries for addresses below Top
)

var (
	noExec = uint64(pteNX)

	// Live says that processors use these tables, so that their TLBs must be flushed.
	Live bool

	rootTable uintptr // our PML4
	topTable  uintptr // what CR3 holds: the PML4, or the PML5 above it

	fwSlots [512]bool // top-level entries the firmware uses
	kept    [512]bool // those of them that hold something: see Keep
)

// at returns the address addr as a pointer.
func at[T any](addr uintptr) *T { return *(**T)(unsafe.Pointer(&addr)) }

// ForgetNX has no page marked as one that must not be executed: the processor cannot do that,
// and takes the bit for an error.
func ForgetNX() { noExec = 0 }

// flushTLB removes one page's translation from this processor's TLB.
func flushTLB(addr uintptr) {
	if Live {
		invlpg(addr)
	}
}

func tableEntry(table, addr uintptr, shift uint) *uint64 {
	return at[uint64](table + addr>>shift&511*8)
}

// Keep says that the firmware has something in [addr, addr+n).
func Keep(addr, n uintptr) {
	for i := addr >> 39; n > 0 && i <= (addr+n-1)>>39 && i < uintptr(len(kept)); i++ {
		kept[i] = true
	}
}

// Make builds our top level from the firmware's, with page 0 unmapped. Where the firmware
// maps so much that programs would not have half of the addresses below Top, only what is
// kept stays: the firmware itself goes on with its own tables. It returns what CR3
// is to hold, or 0 when there is no memory.
func Make(fwCR3 uintptr, fiveLevel bool) uintptr {
	top := copyTable(fwCR3 & pteAdr)
	if top == 0 {
		return 0
	}
	topTable, rootTable = top, top
	if fiveLevel {
		if rootTable = copyTable(uintptr(*at[uint64](top)) & pteAdr); rootTable == 0 {
			return 0
		}
		*at[uint64](top) = uint64(rootTable) | *at[uint64](top)&^pteAdr
	}
	taken := 0
	for i := range fwSlots {
		fwSlots[i] = *at[uint64](rootTable + uintptr(i)*8)&pteP != 0
		if fwSlots[i] && i < slots {
			taken++
		}
	}
	for i := range fwSlots {
		if taken > slots/2 && fwSlots[i] && !kept[i] {
			*at[uint64](rootTable + uintptr(i)*8), fwSlots[i] = 0, false
		}
	}
	Hide(0)
	if freeFrames == 0 {
		return 0
	}
	return top
}

// Hide unmaps the page of addr, which the firmware maps, for us alone.
func Hide(addr uintptr) {
	if e := privatePTE(addr); e != nil {
		*e = 0
	}
}

// Restrict gives the page of addr, which the firmware maps, these rights for us alone. It
// reports false, and leaves the page as it is, when that is not possible.
func Restrict(addr uintptr, write, execute bool) bool {
	e := privatePTE(addr)
	if e == nil {
		return false
	}
	*e &^= pteW | noExec
	if write {
		*e |= pteW
	}
	if !execute {
		*e |= noExec
	}
	return true
}

// CombiningEntry is the entry of the PAT that Combine gives a page.
const CombiningEntry = 7

// Combine gives the page of addr, which the firmware maps to itself, the memory type in entry 7
// of the PAT, for us alone. It reports false, and leaves the page as it is, when that is not
// possible. Flushing TLBs is left to the caller, who has many pages.
func Combine(addr uintptr) bool {
	e := privatePTE(addr)
	if e == nil || *e&pteP == 0 || uintptr(*e)&pteAdr != addr&^(FrameSize-1) {
		return false
	}
	*e |= pteWT | pteCD | ptePAT
	return true
}

// Entry returns the page table entry that maps addr, or 0.
func Entry(addr uintptr) uint64 {
	if e, _ := leaf(addr); e != nil {
		return *e
	}
	return 0
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

func copyTable(from uintptr) uintptr {
	t := AllocFrame()
	if t != 0 {
		copyBytes(t, from, FrameSize)
	}
	return t
}

// splitPage returns a table of 512 pages that map what the large page e at the
// level of shift mapped.
func splitPage(e uint64, shift uint) uintptr {
	t := AllocFrame()
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

// entry returns the entry for addr in the table whose entries map 1<<level bytes, making tables
// on the way; nil when there is no memory for them. No larger page may cover addr.
func entry(addr uintptr, level uint) *uint64 {
	table := rootTable
	for shift := uint(39); shift > level; shift -= 9 {
		e := tableEntry(table, addr, shift)
		if *e&pteP == 0 {
			t := AllocFrame()
			if t == 0 {
				return nil
			}
			*e = uint64(t) | pteP | pteW
		}
		table = uintptr(*e) & pteAdr
	}
	return tableEntry(table, addr, level)
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
	return tableEntry(table, addr, 12), FrameSize
}

// leafWithin is leaf for a walk over [addr, end) that changes pages: a 2 MiB page
// that lies only partly within is split first. The size is 0 when there is no memory for
// that.
func leafWithin(addr, end uintptr) (*uint64, uintptr) {
	e, size := leaf(addr)
	if e == nil || size == FrameSize || addr&(size-1) == 0 && end-addr >= size {
		return e, size
	}
	t := splitPage(*e, 21)
	if t == 0 {
		return nil, 0
	}
	*e = uint64(t) | pteP | pteW
	flushTLB(addr)
	return leaf(addr)
}

// mapHuge maps a zeroed 2 MiB page at start, where nothing may be mapped yet.
func mapHuge(start, prot uintptr) bool {
	e := entry(start, 21)
	if e == nil || *e != 0 {
		return false
	}
	f := allocHuge()
	if f == 0 {
		return false
	}
	*e = uint64(f) | pteP | ptePS | noExec | writeBit(prot)
	return true
}

func writeBit(prot uintptr) uint64 {
	if prot&Write != 0 {
		return pteW
	}
	return 0
}
