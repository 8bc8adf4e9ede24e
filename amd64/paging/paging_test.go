package paging

import (
	"bytes"
	"math/rand"
	"testing"
	"unsafe"
)

// pool gives the kernel n frames of this process's memory to manage.
func pool(t testing.TB, n int) {
	t.Helper()
	mem := make([]byte, (n+1)*FrameSize)
	base := (uintptr(unsafe.Pointer(&mem[0])) + FrameSize - 1) &^ (FrameSize - 1)
	regions, regionCount, totalFrames, freeFrames = [maxRegions]region{}, 0, 0, 0
	vmas, vmaCount, fwSlots = [maxVMAs]vma{}, 0, [512]bool{}
	AddRegion(base, uintptr(n))
	t.Cleanup(func() {
		_ = mem[0]
		regionCount, freeFrames, totalFrames, rootTable = 0, 0, 0, 0
	})
	if rootTable = AllocFrame(); rootTable == 0 {
		t.Fatal("no frame for the top-level table")
	}
	fwSlots[0] = true
}

func TestFramesAreDistinctZeroedAndReturned(t *testing.T) {
	pool(t, 300)
	before := freeFrames
	seen := map[uintptr]bool{}
	var got []uintptr
	for {
		f := AllocFrame()
		if f == 0 {
			break
		}
		if seen[f] || f%FrameSize != 0 {
			t.Fatalf("frame %#x twice or misaligned", f)
		}
		seen[f] = true
		page := unsafe.Slice(at[byte](f), FrameSize)
		if !bytes.Equal(page, make([]byte, FrameSize)) {
			t.Fatalf("frame %#x is not zeroed", f)
		}
		page[7] = 1
		got = append(got, f)
	}
	if uintptr(len(got)) != before || freeFrames != 0 {
		t.Fatalf("%d frames given of %d, %d said to be free", len(got), before, freeFrames)
	}
	for _, i := range rand.New(rand.NewSource(1)).Perm(len(got)) {
		freeFrame(got[i])
		freeFrame(got[i]) // a second time must not count
	}
	if freeFrames != before {
		t.Fatalf("%d free after returning all of %d", freeFrames, before)
	}
}

func TestRunsComeFromTheTopAndDoNotOverlap(t *testing.T) {
	pool(t, 1000)
	low := AllocFrame()
	used := map[uintptr]bool{}
	var runs [][2]uintptr
	rng := rand.New(rand.NewSource(2))
	for {
		n := uintptr(rng.Intn(90) + 1)
		r := AllocRun(n, Anywhere)
		if r == 0 {
			break
		}
		if r < low {
			t.Errorf("a run at %#x, below the single frame at %#x", r, low)
		}
		for i := uintptr(0); i < n; i++ {
			if used[r+i*FrameSize] || !Owned(r+i*FrameSize, FrameSize) {
				t.Fatalf("run frame %#x overlaps or lies outside", r+i*FrameSize)
			}
			used[r+i*FrameSize] = true
		}
		runs = append(runs, [2]uintptr{r, n})
	}
	if len(runs) < 10 {
		t.Fatalf("only %d runs fit", len(runs))
	}
	before := freeFrames
	for _, r := range runs {
		FreeRun(r[0], r[1])
		before += r[1]
	}
	if freeFrames != before {
		t.Fatalf("%d free, want %d", freeFrames, before)
	}
	if AllocRun(900, Anywhere) == 0 {
		t.Fatal("returned runs do not join")
	}
}

// drop forgets the contents of [start, end), on a single processor.
func drop(start, end uintptr) bool {
	for start < end {
		var r Result
		if start, r = Drop(start, end); r != OK {
			return false
		}
		Release()
	}
	return true
}

// TestMappingsAgainstModel makes random requests and compares every page's
// protection and contents with a plain map.
func TestMappingsAgainstModel(t *testing.T) {
	t.Run("small vmas", func(t *testing.T) { mappingsAgainstModel(t, 4000, 96, 20000) })
	t.Run("areas of 2 MiB pages", func(t *testing.T) { mappingsAgainstModel(t, 24<<20/FrameSize*2, 24<<20/FrameSize, 1500) })
}

func mappingsAgainstModel(t *testing.T, frames, pages, steps int) {
	pool(t, frames)
	const base = anyBase
	huge := 0
	type page struct {
		prot  uintptr
		dirty bool // written since it was last zero
	}
	model := map[int]page{}
	rng := rand.New(rand.NewSource(3))
	before := freeFrames
	for step := 0; step < steps; step++ {
		i := rng.Intn(pages)
		n := rng.Intn(pages-i) + 1
		if rng.Intn(4) == 0 {
			i, n = 0, pages
		}
		addr, size := uintptr(base+i*FrameSize), uintptr(n*FrameSize)
		prot := []uintptr{0, Read, Read | Write, Read | Write}[rng.Intn(4)]
		switch rng.Intn(6) {
		case 0:
			if !Cut(addr, addr+size) || !drop(addr, addr+size) || !Vacant(addr, addr+size) || !Add(addr, addr+size, prot) {
				t.Fatal("no new area")
			}
			for j := i; j < i+n; j++ {
				model[j] = page{prot: prot}
			}
		case 1:
			if !Cut(addr, addr+size) || !drop(addr, addr+size) {
				t.Fatal("the area stays")
			}
			for j := i; j < i+n; j++ {
				delete(model, j)
			}
		case 2:
			whole := true
			for j := i; j < i+n; j++ {
				_, ok := model[j]
				whole = whole && ok
			}
			if _, got := Protect(addr, addr+size, prot); (got == OK) != whole || got != OK && got != NotMapped {
				t.Fatalf("Protect gave %d, all mapped: %v", got, whole)
			}
			if whole {
				for j := i; j < i+n; j++ {
					model[j] = page{prot, model[j].dirty}
				}
			}
		case 3:
			if !drop(addr, addr+size) {
				t.Fatal("the contents stay")
			}
			for j := i; j < i+n; j++ {
				if p, ok := model[j]; ok {
					model[j] = page{prot: p.prot}
				}
			}
		default:
			write := rng.Intn(2) == 0
			p, ok := model[i]
			want := OK
			if !ok {
				want = NotMapped
			} else if p.prot == 0 || write && p.prot&Write == 0 {
				want = NoAccess
			}
			if got := Touch(addr, 1, write); got != want {
				t.Fatalf("step %d: Touch(page %d, write %v) = %v, model %+v", step, i, write, got, p)
			}
			if want != OK {
				continue
			}
			e, size := leaf(addr)
			if size == hugePage {
				huge++
			}
			b := at[byte](uintptr(*e)&pteAdr + addr&(size-1))
			if (*b != 0) != p.dirty {
				t.Fatalf("step %d: page %d holds %d, dirty %v", step, i, *b, p.dirty)
			}
			if (*e&pteW != 0) != (p.prot&Write != 0) || *e&pteNX == 0 {
				t.Fatalf("step %d: page %d entry %#x for protection %d", step, i, *e, p.prot)
			}
			if write {
				*b = 1
				p.dirty = true
				model[i] = p
			}
		}
		for k := 0; k+1 < vmaCount; k++ {
			a, b := vmas[k], vmas[k+1]
			if a.start >= a.end || a.end > b.start || a.end == b.start && a.prot == b.prot {
				t.Fatalf("step %d: vmas %+v and %+v overlap or should be one", step, a, b)
			}
		}
	}
	if pages*FrameSize >= hugeVMA != (huge > 0) {
		t.Errorf("%d touches of 2 MiB pages", huge)
	}
	if end := uintptr(base + pages*FrameSize); !Cut(base, end) || !drop(base, end) || vmaCount != 0 {
		t.Fatalf("%d vmas left", vmaCount)
	}
	// Page tables stay; nothing else may.
	if lost := before - freeFrames; lost > 20 {
		t.Fatalf("%d frames lost", lost)
	}
}

func TestNoMemoryIsAResult(t *testing.T) {
	pool(t, 16)
	if !Add(anyBase, anyBase+1<<20, Read|Write) {
		t.Fatal("no area")
	}
	for p := uintptr(anyBase); ; p += FrameSize {
		switch r := Touch(p, 1, true); {
		case r == NoMemory && freeFrames == 0:
			return
		case r != OK || p == anyBase+1<<20:
			t.Fatalf("page %d: %d, with %d frames left", (p-anyBase)/FrameSize, r, freeFrames)
		}
	}
}

func TestPageZeroIsUnmappedThroughEveryPageSize(t *testing.T) {
	for _, test := range []struct {
		name  string
		large uint // shift of the page that maps address 0
		five  bool // with five levels
	}{{"4 KiB", 12, false}, {"2 MiB", 21, false}, {"1 GiB", 30, false}, {"2 MiB, 5 levels", 21, true}} {
		t.Run(test.name, func(t *testing.T) {
			pool(t, 64)
			fw := AllocFrame()
			table := fw
			for shift := uint(39); ; shift -= 9 {
				if shift == test.large {
					for i := uint64(0); i < 512; i++ {
						e := i<<shift | pteP | pteW
						if shift > 12 {
							e |= ptePS
						}
						*at[uint64](table + uintptr(i)*8) = e
					}
					break
				}
				next := AllocFrame()
				*at[uint64](table) = uint64(next) | pteP | pteW
				table = next
			}
			top := fw
			if test.five {
				top = AllocFrame()
				*at[uint64](top) = uint64(fw) | pteP | pteW
			}
			if cr3 := Make(top, test.five); cr3 == 0 || cr3 != topTable {
				t.Fatalf("CR3 would be %#x", cr3)
			}
			if test.five && (topTable == top || *at[uint64](topTable) != uint64(rootTable)|pteP|pteW || *at[uint64](top) != uint64(fw)|pteP|pteW) {
				t.Fatal("the fifth level does not lead to our own fourth, or the firmware's no more to its own")
			}
			fwTable := *at[uint64](fw)
			if e, _ := leaf(0); e == nil || *e != 0 {
				t.Fatalf("page 0 entry is %v", e)
			}
			for _, addr := range []uintptr{0x1000, 0x5000, 0x1ff000} {
				if e, _ := leaf(addr); e == nil || uintptr(*e)&pteAdr != addr || *e&pteP == 0 || *e&ptePS != 0 {
					t.Fatalf("address %#x is not mapped to itself", addr)
				}
			}
			if *at[uint64](fw) != fwTable {
				t.Fatal("the firmware's own table was changed")
			}
		})
	}
}

// A frame buffer becomes write-combining for us alone, in pages of any size, and what lies
// beside it stays as it is.
func TestCombine(t *testing.T) {
	for _, large := range []uint{12, 21, 30} {
		pool(t, 64)
		fw := AllocFrame()
		table := fw
		for shift := uint(39); ; shift -= 9 {
			if shift == large {
				for i := uint64(0); i < 512; i++ {
					e := i<<shift | pteP | pteW
					if shift > 12 {
						e |= ptePS
					}
					*at[uint64](table + uintptr(i)*8) = e
				}
				break
			}
			next := AllocFrame()
			*at[uint64](table) = uint64(next) | pteP | pteW
			table = next
		}
		if Make(fw, false) == 0 {
			t.Fatal("no tables")
		}
		const start, end = 0x100000, 0x104000 // within what one table of 4 KiB pages maps
		for a := uintptr(start); a < end; a += FrameSize {
			if !Combine(a) || !Combine(a+1) {
				t.Fatalf("1<<%d: page %#x is refused", large, a)
			}
		}
		const combining = pteWT | pteCD | ptePAT
		for a := uintptr(start - FrameSize); a <= end; a += FrameSize {
			want := uint64(a) | pteP | pteW
			if a >= start && a < end {
				want |= combining
			}
			if got := Entry(a); got != want {
				t.Errorf("1<<%d: page %#x has entry %#x, want %#x", large, a, got, want)
			}
		}
		table = fw
		for shift := uint(39); shift > large; shift -= 9 {
			table = uintptr(*tableEntry(table, start, shift)) & pteAdr
		}
		if e := *tableEntry(table, start, large); e&(pteWT|pteCD) != 0 || large == 12 && e&ptePAT != 0 {
			t.Errorf("1<<%d: the firmware's own entry is %#x", large, e)
		}
		if Combine(0) {
			t.Error("page 0, which is unmapped, is said to be write-combining")
		}
		before := Entry(start - FrameSize)
		*tableEntry(table, start, large) = 0
		if Combine(1 << 46) {
			t.Error("what nobody maps is said to be write-combining")
		}
		if Entry(start-FrameSize) != before {
			t.Error("our tables follow the firmware's")
		}
	}
}
