package amd64

import "testing"

// variable is a range of memory as a variable MTRR, on a processor with 39 bits of physical
// address: base and size in bytes, the size a power of two.
type variable struct {
	base, size uint64
	t          MemoryType
}

func fakeMTRRs(deflt uint64, ranges ...variable) *mtrrs {
	m := &mtrrs{exist: true, cap: mtrrCapFixed | 10, deflt: deflt}
	for i, r := range ranges {
		m.base[i] = r.base | uint64(r.t)
		m.mask[i] = (1<<39-1)&^(r.size-1) | mtrrEnabled
	}
	return m
}

func TestMemoryTypes(t *testing.T) {
	const wb, on, fixed = uint64(WriteBack), mtrrEnabled, mtrrFixedEnabled
	const mib, gib = 1 << 20, 1 << 30
	// A MacBookPro14,2: all memory write-back, with holes.
	mac := fakeMTRRs(wb|on|fixed, variable{2 * gib, 2 * gib, Uncachable}, variable{0x7c000000, 64 * mib, Uncachable})
	// A PC that lists what is memory.
	pc := fakeMTRRs(on, variable{0, 2 * gib, WriteBack}, variable{2 * gib, 512 * mib, WriteBack}, variable{4 * gib, 4 * gib, WriteBack},
		variable{0x9f000000, 16 * mib, Uncachable}, variable{0xe0000000, 256 * mib, WriteCombining})
	odd := fakeMTRRs(wb|on, variable{gib, gib, WriteThrough}, variable{gib, gib / 2, WriteBack}, variable{3 * gib, gib, WriteCombining}, variable{3 * gib, mib, WriteBack},
		variable{2 * gib, mib, 3}, variable{5 * gib, gib, WriteProtected})
	odd.mask[5] &^= mtrrEnabled
	low := fakeMTRRs(wb | on | fixed)
	low.fixed[0] = 0x0606060606060604                 // 0x00000 is write-through
	low.fixed[2] = 0x0100000000000000                 // 0xbc000
	low.fixed[3], low.fixed[10] = 0x05, 0x05<<56|0x06 // 0xc0000, 0xff000, 0xf8000
	noFixed := fakeMTRRs(wb | on)
	off := fakeMTRRs(wb)
	for _, c := range []struct {
		name string
		m    *mtrrs
		addr uint64
		want MemoryType
	}{
		{"the frame buffer of a Mac", mac, 0xa0000000, Uncachable},
		{"the last page of it", mac, 0xa0000000 + 20<<20, Uncachable},
		{"below", mac, 0x7bfff000, WriteBack},
		{"the hole's first page", mac, 0x7c000000, Uncachable},
		{"above the hole", mac, 4 * gib, WriteBack},
		{"memory of a PC", pc, 0x9effffff, WriteBack},
		{"uncachable wins over write-back", pc, 0x9f000000, Uncachable},
		{"a PC's hole, by default", pc, 0xc0000000, Uncachable},
		{"a frame buffer that the firmware has taken care of", pc, 0xe0123000, WriteCombining},
		{"its end", pc, 0xf0000000, Uncachable},
		{"memory above 4 GiB", pc, 8*gib - 4096, WriteBack},
		{"beyond it", pc, 8 * gib, Uncachable},
		{"write-through wins over write-back", odd, gib, WriteThrough},
		{"alone it is that", odd, gib + gib/2, WriteThrough},
		{"a contradiction", odd, 3 * gib, UnknownType},
		{"none", odd, 3*gib + mib, WriteCombining},
		{"a reserved type", odd, 2 * gib, UnknownType},
		{"a range that is switched off", odd, 5 * gib, WriteBack},
		{"64 KiB pieces", low, 0xffff, WriteThrough},
		{"the second of them", low, 0x10000, WriteBack},
		{"16 KiB pieces", low, 0xbffff, WriteCombining},
		{"the one before", low, 0xbbfff, Uncachable},
		{"4 KiB pieces", low, 0xc0fff, WriteProtected},
		{"the second of them", low, 0xc1000, Uncachable},
		{"the last of them", low, 0xfffff, WriteProtected},
		{"the first in its register", low, 0xf8000, WriteBack},
		{"above all pieces", low, 0x100000, WriteBack},
		{"no pieces", noFixed, 0xa0000, WriteBack},
		{"all switched off", off, 0x100000, Uncachable},
		{"no MTRRs", &mtrrs{}, 0xa0000000, UnknownType},
	} {
		if got := c.m.typeOf(c.addr); got != c.want {
			t.Errorf("%s: %#x is %v, want %v", c.name, c.addr, got, c.want)
		}
	}
}

func TestCombiningPAT(t *testing.T) {
	const atReset = 0x0007040600070406 // Intel SDM volume 3, table 12-12
	if combines(atReset) {
		t.Error("entry 7 is uncachable after a reset")
	}
	if got := combining(atReset); got != 0x0107040600070406 || !combines(got) {
		t.Errorf("%#x", got)
	}
}
