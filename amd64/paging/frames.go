package paging

// Page frames: the regions of physical memory taken over from firmware at start, with a
// bitmap for each. The highest region is used first, and low memory last: there are machines
// on which something goes on writing there. In a region single frames are taken from the
// bottom and long runs from the top, so that the free space between them stays in one piece.
//
// Invariant: regions are in the order of their addresses; a set bit is a frame in use;
// freeFrames counts the clear ones. A single frame is zeroed when it is given out, so that no
// page shows what an earlier owner wrote.

const (
	FrameShift = 12
	FrameSize  = 1 << FrameShift

	maxRegions = 64
)

type region struct {
	base   uintptr // physical address
	frames uintptr
	bitmap uintptr // one bit per frame
	words  uintptr // of the bitmap
	next   uintptr // no clear bit in the words below
	huge   uintptr // no free 2 MiB page in the frames below
}

var (
	regions     [maxRegions]region
	regionCount int
	totalFrames uintptr
	freeFrames  uintptr
)

// AddRegion takes frames of memory at base into use. It reports false when there are too
// many regions. The largest comes first: the others' bitmaps lie there as well.
func AddRegion(base, frames uintptr) bool {
	if regionCount == maxRegions {
		return false
	}
	words := (frames + 63) / 64
	own := (words*8 + FrameSize - 1) >> FrameShift
	bitmap := AllocRun(own, Anywhere)
	if bitmap != 0 {
		own = 0
	} else {
		bitmap = base
	}
	zero(bitmap, words*8)
	i := regionCount
	for ; i > 0 && regions[i-1].base > base; i-- {
		regions[i] = regions[i-1]
	}
	r := &regions[i]
	*r = region{base: base, frames: frames, bitmap: bitmap, words: words}
	for i := uintptr(0); i < own; i++ {
		r.set(i)
	}
	for i := frames; i < words*64; i++ {
		r.set(i)
	}
	regionCount++
	totalFrames += frames
	freeFrames += frames - own
	return true
}

// Region returns the ith region, with 0 frames when there are no more.
func Region(i int) (base, frames uintptr) {
	if i >= regionCount {
		return 0, 0
	}
	return regions[i].base, regions[i].frames
}

// Wipe overwrites all memory that was taken over, with the bitmaps and the page tables in it: nothing of this package can be
// used any more.
func Wipe() {
	for i := range regionCount {
		zero(regions[i].base, regions[i].frames<<FrameShift)
	}
}

// Frames counts all frames and those that are not in use.
func Frames() (total, free uintptr) { return totalFrames, freeFrames }

func (r *region) word(i uintptr) *uint64 { return at[uint64](r.bitmap + i/64*8) }
func (r *region) set(i uintptr)          { *r.word(i) |= 1 << (i & 63) }
func (r *region) clear(i uintptr)        { *r.word(i) &^= 1 << (i & 63) }
func (r *region) used(i uintptr) bool    { return *r.word(i)>>(i&63)&1 != 0 }

// AllocFrame returns the address of a zeroed frame, or 0.
func AllocFrame() uintptr {
	for i := regionCount - 1; i >= 0; i-- {
		r := &regions[i]
		for w := r.next; w < r.words; w++ {
			v := *at[uint64](r.bitmap + w*8)
			if v == 1<<64-1 {
				r.next = w + 1
				continue
			}
			n := uintptr(0)
			for v>>n&1 != 0 {
				n++
			}
			n += w * 64
			r.set(n)
			freeFrames--
			addr := r.base + n<<FrameShift
			zero(addr, FrameSize)
			return addr
		}
	}
	return 0
}

// allocHuge returns the address of a zeroed 2 MiB page, or 0.
func allocHuge() uintptr {
	const n = hugePage / FrameSize
	for i := regionCount - 1; i >= 0; i-- {
		r := &regions[i]
		for f := r.huge; f+n <= r.frames; {
			if off := (r.base>>FrameShift + f) % n; off != 0 {
				f += n - off
				continue
			}
			last := f + n // the last used frame in the page
			for last > f && !r.used(last-1) {
				last--
			}
			if last > f {
				f += n
				r.huge = f
				continue
			}
			for j := f; j < f+n; j++ {
				r.set(j)
			}
			freeFrames -= n
			r.huge = f + n
			addr := r.base + f<<FrameShift
			zero(addr, hugePage)
			return addr
		}
	}
	return 0
}

func freeFrame(addr uintptr) {
	for i := 0; i < regionCount; i++ {
		r := &regions[i]
		n := (addr - r.base) >> FrameShift
		if addr < r.base || n >= r.frames {
			continue
		}
		if r.used(n) {
			r.clear(n)
			freeFrames++
			if n/64 < r.next {
				r.next = n / 64
			}
			if n < r.huge {
				r.huge = n &^ (hugePage/FrameSize - 1)
				r.huge -= min(r.huge, hugePage/FrameSize) // alignment is of addresses, not indices
			}
		}
		return
	}
}

// Anywhere is no limit for AllocRun.
const Anywhere = 1<<64 - 1

// AllocRun returns the address of n frames in a row, in a region that ends at limit or
// below, or 0. What they hold is as it was.
func AllocRun(n, limit uintptr) uintptr {
	for i := regionCount - 1; i >= 0; i-- {
		r := &regions[i]
		if r.base+r.frames<<FrameShift > limit {
			continue
		}
		if addr := r.allocRun(n); addr != 0 {
			return addr
		}
	}
	return 0
}

func (r *region) allocRun(n uintptr) uintptr {
	have := uintptr(0)
	for f := r.frames; f > 0; f-- {
		if have == 0 && f&63 == 0 && *at[uint64](r.bitmap + (f/64-1)*8) == 1<<64-1 {
			f -= 63 // a full word
			continue
		}
		if r.used(f - 1) {
			have = 0
			continue
		}
		if have++; have < n {
			continue
		}
		first := f - 1
		for j := first; j < first+n; j++ {
			r.set(j)
		}
		freeFrames -= n
		return r.base + first<<FrameShift
	}
	return 0
}

// FreeRun gives back n frames in a row.
func FreeRun(addr, n uintptr) {
	for i := uintptr(0); i < n; i++ {
		freeFrame(addr + i<<FrameShift)
	}
}

// Owned reports whether [addr, addr+size) lies in one region.
func Owned(addr, size uintptr) bool {
	for i := 0; i < regionCount; i++ {
		r := &regions[i]
		if addr >= r.base && addr+size <= r.base+r.frames<<FrameShift {
			return true
		}
	}
	return false
}
