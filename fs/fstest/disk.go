// Package fstest simulates drives that fail, for tests of what must survive
// them.
//
// A Disk is a file-like medium in memory (an io.ReaderAt and io.WriterAt with
// Size and Sync, so fs.NewFileDevice makes a block device of it) with a
// volatile write cache: what was written since the last Sync may reach the
// medium in any order, or not at all, when power goes. On request it lies about
// flushing, tears the sector that is being written, has stuck bits and bad
// sectors, writes to the wrong place, and fails reads, writes and flushes.
//
// All that is left to chance comes from the generator handed to New: the same
// seed gives the same faults.
package fstest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// Errors of a Disk, wrapped.
var (
	ErrPowerCut   = errors.New("power was cut")
	ErrUnreadable = errors.New("unrecoverable read error")
	ErrPassing    = errors.New("no answer") // one that may pass
)

// Op is a kind of request.
type Op int

// The requests to a Disk.
const (
	Read Op = iota
	Write
	Flush
)

// Tear says what a power cut leaves of the sector that is being written.
type Tear int

// What may be left of a torn sector.
const (
	TearAny        Tear = iota // one of those below, by chance
	TearOld                    // the sector as it was
	TearNew                    // the sector as it was to be
	TearPart                   // its beginning is new
	TearZero                   // zeros
	TearJunk                   // anything
	TearUnreadable             // reading it fails, until all of it is written again
)

// Tears are those that can be told from each other.
var Tears = []Tear{TearOld, TearNew, TearPart, TearZero, TearJunk, TearUnreadable}

// Disk is a drive in memory. Its fields may be changed between requests.
type Disk struct {
	InOrder     bool // sectors reach the medium in the order in which they were written
	LyingFlush  bool // Sync does nothing
	CachedReads bool // reads are answered from the cache, which hides stuck bits until power comes back
	Tear        Tear // of the sector that is being written when power goes
	// Fail is asked before each request; an error that it returns is the
	// request's. Of a write that fails a part may have reached the medium, of a
	// flush all. Fail must not use the disk.
	Fail func(op Op, off int64, n int) error

	mu         sync.Mutex
	reads      int
	r          *rand.Rand
	data       []byte // as reads see it
	sector     int
	shift      int              // where data begins within a sector
	pending    map[int][][]byte // of each sector written since the last flush: its content before, and after each write
	order      []int            // the sectors of those writes
	unreadable map[int]bool     // sectors
	stuck      map[int64]stuck
	left       int // steps until power goes; <0: it stays
	off        bool
	steps      int
	misdirect  int // the request of this number from now on lands elsewhere; 0: none
	elsewhere  int64
}

type stuck struct{ mask, value byte }

// New returns a disk of size bytes, all zeros. A physical sector has sector
// bytes, 512 or 4096; the disk begins shift bytes behind the beginning of one,
// as a file may that does not lie on the boundary of a large sector.
func New(size int64, sector, shift int, r *rand.Rand) *Disk {
	return &Disk{
		r: r, data: make([]byte, size), sector: sector, shift: shift, left: -1,
		pending: map[int][][]byte{}, unreadable: map[int]bool{}, stuck: map[int64]stuck{},
	}
}

// Size returns the bytes of the disk.
func (d *Disk) Size() int64 { return int64(len(d.data)) }

// Bytes returns the content as reads see it: the disk's own bytes, so that a
// test can damage them.
func (d *Disk) Bytes() []byte { return d.data }

// Reads returns how many requests to read there were so far: on a slow medium
// their number is what a start takes its time for.
func (d *Disk) Reads() int { return d.reads }

// Steps returns how many steps there were so far: each sector written and each
// flush is one.
func (d *Disk) Steps() int { return d.steps }

// CutAfter cuts power in the n-th step from now on, from 1; before it with 0.
func (d *Disk) CutAfter(n int) { d.left = n }

// Off tells whether power is cut.
func (d *Disk) Off() bool { return d.off }

// StickBit makes a bit of the byte at off stay 0 or 1, whatever is written.
func (d *Disk) StickBit(off int64, bit uint, one bool) {
	s := stuck{mask: 1 << bit}
	if one {
		s.value = s.mask
	}
	d.stuck[off] = s
	d.stick(off)
}

func (d *Disk) stick(off int64) {
	if s, ok := d.stuck[off]; ok {
		d.data[off] = d.data[off]&^s.mask | s.value
	}
}

// Misdirect makes the n-th write from now on, from 1, land at another place.
func (d *Disk) Misdirect(n int, off int64) { d.misdirect, d.elsewhere = n, off }

// MakeUnreadable makes the sectors that hold the bytes from off to end fail to
// be read, until they are written.
func (d *Disk) MakeUnreadable(off, end int64) {
	for s := d.sectorOf(off); s <= d.sectorOf(end-1); s++ {
		d.unreadable[s] = true
	}
}

func (d *Disk) sectorOf(off int64) int { return int(off+int64(d.shift)) / d.sector }

// bounds returns where a sector lies in data.
func (d *Disk) bounds(s int) (from, to int) {
	from = s*d.sector - d.shift
	return max(0, from), min(from+d.sector, len(d.data))
}

// Flaky returns a function for Disk.Fail that lets reads, writes and flushes
// fail with these probabilities, each time for 1 to burst requests in a row.
func Flaky(r *rand.Rand, read, write, flush float64, burst int) func(Op, int64, int) error {
	left := 0
	return func(op Op, _ int64, _ int) error {
		if left == 0 && r.Float64() < [...]float64{read, write, flush}[op] {
			left = 1 + r.IntN(burst)
		}
		if left > 0 {
			left--
			return ErrPassing
		}
		return nil
	}
}

// Outage returns a function for Disk.Fail that lets writes fail that touch the
// bytes from off to end: so many of all writes, after so many others.
func Outage(off, end int64, after, writes int) func(Op, int64, int) error {
	return func(op Op, at int64, n int) error {
		if op != Write {
			return nil
		}
		if after > 0 {
			after--
			return nil
		}
		if writes == 0 {
			return nil
		}
		writes--
		if at < end && at+int64(n) > off {
			return ErrPassing
		}
		return nil
	}
}

// ReadAt reads as io.ReaderAt asks for.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return 0, ErrPowerCut
	}
	if d.Fail != nil {
		if err := d.Fail(Read, off, len(p)); err != nil {
			return 0, fmt.Errorf("reading at %d: %w", off, err)
		}
	}
	d.reads++
	if off >= d.Size() {
		return 0, io.EOF
	}
	if len(d.unreadable) > 0 && len(p) > 0 {
		for s := d.sectorOf(off); s <= d.sectorOf(off+int64(len(p))-1); s++ {
			if d.unreadable[s] {
				return 0, fmt.Errorf("reading at %d: %w", off, ErrUnreadable)
			}
		}
	}
	n := copy(p, d.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes p at off, and nothing beyond the end of the disk.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return 0, ErrPowerCut
	}
	if off < 0 || off+int64(len(p)) > d.Size() {
		return 0, io.ErrShortWrite
	}
	var failed error
	whole := len(p)
	if d.Fail != nil {
		if failed = d.Fail(Write, off, len(p)); failed != nil {
			p = p[:d.r.IntN(len(p)+1)]
			failed = fmt.Errorf("writing at %d: %w", off, failed)
		}
	}
	at := off
	if d.misdirect > 0 {
		if d.misdirect--; d.misdirect == 0 {
			at = min(d.elsewhere, d.Size()-int64(len(p)))
		}
	}
	for len(p) > 0 {
		s := d.sectorOf(at)
		from, to := d.bounds(s)
		n := min(len(p), to-int(at))
		if d.unreadable[s] && n < to-from {
			return 0, fmt.Errorf("writing at %d: %w", off, ErrUnreadable) // it would have to be read first
		}
		cut := d.step()
		if len(d.pending[s]) == 0 {
			d.pending[s] = [][]byte{slices.Clone(d.data[from:to])}
		}
		after := slices.Clone(d.data[from:to])
		copy(after[int(at)-from:], p[:n])
		d.pending[s] = append(d.pending[s], after)
		d.order = append(d.order, s)
		if cut {
			return 0, ErrPowerCut
		}
		delete(d.unreadable, s)
		copy(d.data[from:to], after)
		if !d.CachedReads {
			d.stickAll(from, to)
		}
		p, at = p[n:], at+int64(n)
	}
	if failed != nil {
		return 0, failed
	}
	return whole, nil
}

func (d *Disk) stickAll(from, to int) {
	for off := range d.stuck {
		if int(off) >= from && int(off) < to {
			d.stick(off)
		}
	}
}

// step counts a step and tells whether power goes in it.
func (d *Disk) step() bool {
	d.steps++
	if d.left < 0 {
		return false
	}
	if d.left > 0 {
		d.left--
	}
	d.off = d.left == 0
	return d.off
}

// Sync makes what was written durable, unless the disk lies.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return ErrPowerCut
	}
	var failed error
	if d.Fail != nil {
		if failed = d.Fail(Flush, 0, 0); failed != nil && d.r.IntN(2) == 0 {
			return fmt.Errorf("flushing: %w", failed)
		}
	}
	if d.step() {
		return ErrPowerCut
	}
	if !d.LyingFlush {
		clear(d.pending)
		d.order = d.order[:0]
	}
	if failed != nil {
		return fmt.Errorf("flushing: %w", failed)
	}
	return nil
}

// PowerOn brings power back. If it was cut, what was in the cache has reached
// the medium in part: of each sector any of the contents that it was given
// since the last flush, and one of them, if it was not written to its end, is
// torn. Otherwise it is as if the disk had been switched off properly.
func (d *Disk) PowerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		d.settle()
	}
	clear(d.pending)
	d.order = d.order[:0]
	d.off, d.left = false, -1
	d.stickAll(0, len(d.data))
}

func (d *Disk) settle() {
	sectors := slices.Sorted(maps.Keys(d.pending))
	put := func(s, version int) {
		from, _ := d.bounds(s)
		copy(d.data[from:], d.pending[s][version])
	}
	torn := -1
	reached := map[int]int{} // of each sector: the last content that reached the medium
	if d.InOrder {
		// Everything up to the write in which power went.
		n := len(d.order) - 1
		for _, s := range d.order[:max(0, n)] {
			reached[s]++
		}
		if n >= 0 {
			torn = d.order[n]
		}
	} else {
		part := d.r.Float64()
		if d.r.IntN(4) == 0 {
			part = float64(d.r.IntN(2))
		}
		var unfinished []int
		for _, s := range sectors {
			if n := len(d.pending[s]) - 1; d.r.Float64() < part {
				reached[s] = n - d.r.IntN(2)*d.r.IntN(n+1)
			} else {
				reached[s] = 0
			}
			if reached[s] < len(d.pending[s])-1 {
				unfinished = append(unfinished, s)
			}
		}
		if len(unfinished) > 0 {
			torn = unfinished[d.r.IntN(len(unfinished))]
		}
	}
	for _, s := range sectors {
		put(s, reached[s])
	}
	if torn < 0 {
		return
	}
	next := d.pending[torn][reached[torn]+1]
	from, to := d.bounds(torn)
	b := d.data[from:to]
	tear := d.Tear
	if tear == TearAny {
		tear = Tears[d.r.IntN(len(Tears))]
	}
	switch tear {
	case TearNew:
		copy(b, next)
	case TearPart:
		copy(b, next[:d.r.IntN(len(next)+1)])
	case TearZero:
		clear(b)
	case TearJunk:
		for i := range b {
			b[i] = byte(d.r.Uint32())
		}
	case TearUnreadable:
		d.unreadable[torn] = true
	}
}
