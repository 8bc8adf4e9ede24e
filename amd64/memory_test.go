package amd64

import (
	"bytes"
	"math/rand"
	"testing"
	"time"
	"unsafe"

	"alphaos/uefi"
)

// pool gives the kernel n frames of this process's memory to manage.
func pool(t testing.TB, n int) {
	t.Helper()
	mem := make([]byte, (n+1)*frameSize)
	base := (addrOf(&mem[0]) + frameSize - 1) &^ (frameSize - 1)
	regions, regionCount, totalFrames, freeFrames = [maxRegions]region{}, 0, 0, 0
	areas, areaCount, fwSlots = [maxAreas]area{}, 0, [512]bool{}
	addRegion(base, uintptr(n))
	t.Cleanup(func() {
		_ = mem[0]
		regionCount, freeFrames, totalFrames, rootTable = 0, 0, 0, 0
	})
	if rootTable = allocFrame(); rootTable == 0 {
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
		f := allocFrame()
		if f == 0 {
			break
		}
		if seen[f] || f%frameSize != 0 {
			t.Fatalf("frame %#x twice or misaligned", f)
		}
		seen[f] = true
		page := unsafe.Slice(at[byte](f), frameSize)
		if !bytes.Equal(page, make([]byte, frameSize)) {
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
	low := allocFrame()
	used := map[uintptr]bool{}
	var runs [][2]uintptr
	rng := rand.New(rand.NewSource(2))
	for {
		n := uintptr(rng.Intn(90) + 1)
		r := allocRun(n)
		if r == 0 {
			break
		}
		if r < low {
			t.Errorf("a run at %#x, below the single frame at %#x", r, low)
		}
		for i := uintptr(0); i < n; i++ {
			if used[r+i*frameSize] || !inRegions(r+i*frameSize, frameSize) {
				t.Fatalf("run frame %#x overlaps or lies outside", r+i*frameSize)
			}
			used[r+i*frameSize] = true
		}
		runs = append(runs, [2]uintptr{r, n})
	}
	if len(runs) < 10 {
		t.Fatalf("only %d runs fit", len(runs))
	}
	before := freeFrames
	for _, r := range runs {
		freeRun(r[0], r[1])
		before += r[1]
	}
	if freeFrames != before {
		t.Fatalf("%d free, want %d", freeFrames, before)
	}
	if allocRun(900) == 0 {
		t.Fatal("returned runs do not join")
	}
}

// TestMappingsAgainstModel makes random system calls and compares every page's
// protection and contents with a plain map.
func TestMappingsAgainstModel(t *testing.T) {
	t.Run("small areas", func(t *testing.T) { mappingsAgainstModel(t, 4000, 96, 20000) })
	t.Run("areas of 2 MiB pages", func(t *testing.T) { mappingsAgainstModel(t, 24<<20/frameSize*2, 24<<20/frameSize, 1500) })
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
		addr, size := uintptr(base+i*frameSize), uintptr(n*frameSize)
		prot := []uintptr{0, protRead, protRead | protWrite, protRead | protWrite}[rng.Intn(4)]
		switch rng.Intn(6) {
		case 0:
			const anonPrivateFixed = 0x32
			if got := mmap(addr, size, prot, anonPrivateFixed); got != addr {
				t.Fatalf("mmap fixed gave %#x", got)
			}
			for j := i; j < i+n; j++ {
				model[j] = page{prot: prot}
			}
		case 1:
			if munmap(addr, size) != 0 {
				t.Fatal("munmap failed")
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
			if got := mprotect(addr, size, prot); (got == 0) != whole {
				t.Fatalf("mprotect gave %d, all mapped: %v", int(got), whole)
			}
			if whole {
				for j := i; j < i+n; j++ {
					model[j] = page{prot, model[j].dirty}
				}
			}
		case 3:
			const dontNeed = 4
			if madvise(addr, size, dontNeed) != 0 {
				t.Fatal("madvise failed")
			}
			for j := i; j < i+n; j++ {
				if p, ok := model[j]; ok {
					model[j] = page{prot: p.prot}
				}
			}
		default:
			write := rng.Intn(2) == 0
			p, ok := model[i]
			want := ok && p.prot != 0 && (!write || p.prot&protWrite != 0)
			if got := touch(addr, 1, write); got != want {
				t.Fatalf("step %d: touch(page %d, write %v) = %v, model %+v", step, i, write, got, p)
			}
			if !want {
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
			if (*e&pteW != 0) != (p.prot&protWrite != 0) || *e&pteNX == 0 {
				t.Fatalf("step %d: page %d entry %#x for protection %d", step, i, *e, p.prot)
			}
			if write {
				*b = 1
				p.dirty = true
				model[i] = p
			}
		}
		for k := 0; k+1 < areaCount; k++ {
			a, b := areas[k], areas[k+1]
			if a.start >= a.end || a.end > b.start || a.end == b.start && a.prot == b.prot {
				t.Fatalf("step %d: areas %+v and %+v overlap or should be one", step, a, b)
			}
		}
	}
	if pages*frameSize >= hugeArea != (huge > 0) {
		t.Errorf("%d touches of 2 MiB pages", huge)
	}
	if munmap(base, uintptr(pages*frameSize)) != 0 || areaCount != 0 {
		t.Fatalf("%d areas left", areaCount)
	}
	// Page tables stay; nothing else may.
	if lost := before - freeFrames; lost > 20 {
		t.Fatalf("%d frames lost", lost)
	}
}

func TestHintsAvoidFirmwareAndEachOther(t *testing.T) {
	pool(t, 64)
	const anon = 0x22
	fwSlots[1] = true
	hint := uintptr(0xc000000000) // slot 1, the firmware's
	if got := mmap(hint, 1<<20, 3, anon); got == hint || got < anyBase {
		t.Fatalf("mapping at %#x", got)
	}
	hint = 3 << 39
	if got := mmap(hint, 1<<20, 3, anon); got != hint {
		t.Fatalf("a free hint was not taken: %#x", got)
	}
	if got := mmap(hint+1<<19, 1<<20, 3, anon); got == hint+1<<19 {
		t.Fatal("an overlapping hint was taken")
	}
	if got := mmap(0, userTop, 3, anon); got != errno(eNOMEM) && got != errno(eINVAL) {
		t.Fatalf("all of memory: %#x", got)
	}
	// A hole that spans into the firmware's slot must not be used.
	fwSlots[anyBase>>39+1] = true
	if got := mmap(0, slotSize, 3, anon); got>>39 == anyBase>>39 {
		t.Fatalf("mapping at %#x runs into a firmware slot", got)
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
			fw := allocFrame()
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
				next := allocFrame()
				*at[uint64](table) = uint64(next) | pteP | pteW
				table = next
			}
			top := fw
			if test.five {
				top = allocFrame()
				*at[uint64](top) = uint64(fw) | pteP | pteW
			}
			if !makePageTables(top, test.five) {
				t.Fatal("no memory")
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

func TestUnixTime(t *testing.T) {
	for _, want := range []time.Time{
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2000, 2, 29, 23, 59, 59, 0, time.UTC),
		time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC),
		time.Date(2100, 3, 1, 0, 0, 0, 0, time.UTC),
	} {
		e := uefi.Time{Year: uint16(want.Year()), Month: uint8(want.Month()), Day: uint8(want.Day()),
			Hour: uint8(want.Hour()), Minute: uint8(want.Minute()), Second: uint8(want.Second()), TimeZone: uefi.UnspecifiedTimeZone}
		if got := unixTime(&e); got != want.Unix() {
			t.Errorf("%v: %d, want %d", want, got, want.Unix())
		}
		e.TimeZone = -60 // UTC = local + zone
		if got := unixTime(&e); got != want.Unix()-3600 {
			t.Errorf("%v an hour east: %d", want, got)
		}
	}
}

// The layouts that the Go runtime's signal handler relies on (runtime/defs_linux_amd64.go).
func TestSignalFrameLayout(t *testing.T) {
	var f sigframe
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"ucontext", unsafe.Offsetof(f.uc), 8},
		{"mcontext", unsafe.Offsetof(f.uc.mc), 40},
		{"sp", unsafe.Offsetof(f.uc.mc.sp), 120},
		{"ip", unsafe.Offsetof(f.uc.mc.ip), 128},
		{"cs", unsafe.Offsetof(f.uc.mc.cs), 144},
		{"fpstate", unsafe.Offsetof(f.uc.mc.fpstate), 184},
		{"mask", unsafe.Offsetof(f.uc.mask), 296},
		{"siginfo", unsafe.Sizeof(f.info), 128},
		{"si_addr", unsafe.Offsetof(f.info.addr), 16},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestTableRegister(t *testing.T) {
	r := tableRegister(0x123456789abcdef0, 0xfff)
	if got := tableBase(&r); got != 0x123456789abcdef0 || uint16(r[0]) != 0xfff {
		t.Errorf("base %#x, limit %#x", got, uint16(r[0]))
	}
}
