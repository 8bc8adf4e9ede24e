package store

// The journal: an append-only log of records, kept twice.
//
// The file is split into two halves, copy A and copy B, which hold the same
// bytes at the same offsets:
//
//	0              header: magic, generation, size of a half, CRC32C
//	4096           record, record, record, ... zeros
//	half           header again
//	half+4096      the same records again ... zeros
//
// Invariant: at any moment at most one copy is being written, and the other
// one holds, verified by reading it back from the medium, every record that
// was ever acknowledged.
//
// An append writes whole 4096-byte blocks of copy A (the tail block that it
// shares with earlier records, the new record, zeros to the end of the block),
// syncs, reads them back and compares; then the same in copy B. So a power cut
// may destroy every sector under the write, whether sectors have 512 or 4096
// bytes and however the file lies upon them, and each record that it shared
// them with is still whole in the other copy. When a block of one copy can't
// be written, its twin is never touched again: the journal moves on to a fresh
// block with a free block between, where no acknowledged byte is near, and
// one good copy is enough to go on. A lying flush can lose the newest records
// but never an older one, since both copies of a block are not rewritten
// unless both were read back good before.
//
// Records carry consecutive sequence numbers and the generation, a random
// number drawn when the journal is made: bytes left from an older journal, or
// a copy of a record inside somebody's text, never parse as current. Where
// both copies hold a valid record at one offset the higher sequence number
// wins: the other is left from an append that failed. Numbers burnt by failed
// appends are counted in the next record (skip), so that a hole in the
// sequence always means loss.
//
// The scan walks record by record, taking each from whichever copy has it.
// Where neither has one it looks ahead: if zeros follow, this is the end; if
// junk follows and no record after it, the last append was torn and was never
// acknowledged; if a valid record follows, what lies between is a hole, which
// is reported with the number of records lost, and the scan goes on behind it.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"time"
)

// Medium is the preallocated file in which the journal lives. Writes never
// change its size.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	Size() int64 // bytes
	Sync() error // asks the medium to make writes durable; not trusted alone
}

const (
	blockSize  = 4096             // unit of writing, the largest physical sector in use
	firstByte  = blockSize        // offset of the first record in a copy
	minHalf    = 8 * blockSize    // below this a journal is useless
	maxPayload = 1 << 20          // bytes of one record's payload
	probeSize  = 64 << 10         // zeros that must follow the last record for it to be the end
	maxChunk   = 1 << 20          // bytes of one read request while scanning
	headerLen  = 40               // bytes of a record's header
	recordPad  = 8                // records begin at multiples of this
	magic      = "ALPHAJ\x00\x01" // 8 bytes; the last is the version
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFull says that the journal has no room for what was to be written.
var ErrFull = errors.New("the journal is full")

// record is one entry of the journal. On the medium, little endian:
//
//	0  u32 CRC32C of bytes 4 to the end of the payload
//	4  u32 length of the payload
//	8  u64 generation
//	16 u64 sequence number, from 1
//	24 i64 time, milliseconds since 1970 UTC
//	32 u8  kind
//	33 u8  0
//	34 u16 skip: sequence numbers burnt just before this record
//	36 u32 0
//	40 payload, then zeros to a multiple of 8
type record struct {
	seq     uint64
	skip    uint16
	time    time.Time
	kind    kind
	payload []byte
}

func recordSize(payload int) int64 {
	return int64(headerLen+payload+recordPad-1) &^ (recordPad - 1)
}

// appendRecord encodes r behind dst.
func appendRecord(dst []byte, gen uint64, r record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headerLen)...)
	dst = append(dst, r.payload...)
	b := dst[start:]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(r.payload)))
	binary.LittleEndian.PutUint64(b[8:], gen)
	binary.LittleEndian.PutUint64(b[16:], r.seq)
	binary.LittleEndian.PutUint64(b[24:], uint64(r.time.UnixMilli()))
	b[32] = byte(r.kind)
	binary.LittleEndian.PutUint16(b[34:], r.skip)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	for len(dst)%recordPad != start%recordPad {
		dst = append(dst, 0)
	}
	return dst
}

// parseRecord decodes the record at the start of b, which may be longer. The
// payload refers to b. Generation 0 accepts any generation.
func parseRecord(b []byte, gen uint64) (r record, size int64, g uint64, ok bool) {
	if len(b) < headerLen {
		return
	}
	g = binary.LittleEndian.Uint64(b[8:])
	if g == 0 || gen != 0 && g != gen {
		return
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxPayload || recordSize(int(n)) > int64(len(b)) {
		return
	}
	end := headerLen + int(n)
	if !zero(b[end:recordSize(int(n))]) {
		return
	}
	if crc32.Checksum(b[4:end], castagnoli) != binary.LittleEndian.Uint32(b) {
		return
	}
	r = record{
		seq:     binary.LittleEndian.Uint64(b[16:]),
		time:    time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))),
		kind:    kind(b[32]),
		skip:    binary.LittleEndian.Uint16(b[34:]),
		payload: b[headerLen:end],
	}
	return r, recordSize(int(n)), g, r.seq != 0
}

// header is the first block of a copy.
//
//	0  magic
//	8  u64 generation, never 0
//	16 u64 size of a half in bytes
//	24 i64 time of making, milliseconds since 1970 UTC
//	32 u32 CRC32C of bytes 0 to 31
type header struct {
	gen  uint64
	half int64
	made time.Time
}

func (h header) encode() []byte {
	b := make([]byte, blockSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[8:], h.gen)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.half))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.made.UnixMilli()))
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	return b
}

func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < 36 || string(b[:8]) != magic ||
		crc32.Checksum(b[:32], castagnoli) != binary.LittleEndian.Uint32(b[32:]) {
		return
	}
	h.gen = binary.LittleEndian.Uint64(b[8:])
	h.half = int64(binary.LittleEndian.Uint64(b[16:]))
	h.made = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:])))
	return h, h.gen != 0 && h.half >= minHalf && h.half%blockSize == 0
}

// half is one copy as read so far.
type half struct {
	m    Medium
	base int64  // offset in the medium
	size int64  // bytes that exist on the medium
	buf  []byte // the first len(buf) bytes, zeros where they can't be read
	bad  bool   // some of them can't be read
}

// load reads on until at least n bytes (or all there are) are in buf. Requests
// grow from 64 KiB to 1 MiB: a young journal is read in one small request, an
// old one in few large ones. A request that fails is repeated block by block.
func (h *half) load(n int64) {
	n = min(n, h.size)
	for int64(len(h.buf)) < n {
		at := int64(len(h.buf))
		chunk := min(max(probeSize, at), maxChunk, h.size-at)
		if need := at + chunk; need > int64(cap(h.buf)) {
			// A young journal takes little memory; any other all it may need, at
			// once, of which untouched pages cost nothing.
			size := h.size
			if need <= 4*probeSize {
				size = min(size, 4*probeSize)
			}
			h.buf = append(make([]byte, 0, size), h.buf...)
		}
		h.buf = h.buf[:at+chunk]
		p := h.buf[at:]
		if readFull(h.m, p, h.base+at) == nil {
			continue
		}
		for len(p) > 0 {
			b := p[:min(blockSize, len(p))]
			if readFull(h.m, b, h.base+at) != nil {
				clear(b)
				h.bad = true
			}
			p, at = p[len(b):], at+int64(len(b))
		}
	}
}

// at returns what is known from offset pos on, reading for n more bytes.
func (h *half) at(pos, n int64) []byte {
	h.load(pos + n)
	if pos >= int64(len(h.buf)) {
		return nil
	}
	return h.buf[pos:]
}

// record parses the record at pos, reading as much as it claims to need.
func (h *half) record(pos int64, gen uint64) (record, int64, bool) {
	b := h.at(pos, headerLen)
	if len(b) < headerLen {
		return record{}, 0, false
	}
	if g := binary.LittleEndian.Uint64(b[8:]); g != gen {
		return record{}, 0, false
	}
	if n := binary.LittleEndian.Uint32(b[4:]); n <= maxPayload {
		b = h.at(pos, recordSize(int(n)))
	}
	r, size, _, ok := parseRecord(b, gen)
	return r, size, ok
}

func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil // ReadAt may return io.EOF with the last byte
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func zero(b []byte) bool {
	var zeros [4096]byte
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// Hole is a stretch of the journal that can't be read in either copy, with
// valid records behind it.
type Hole struct {
	Records       uint64    // how many are lost
	Offset, Bytes int64     // where, from the start of a copy
	After, Before time.Time // times of the neighbouring records; zero if there is none before
}

// journal is the open log.
type journal struct {
	m        Medium
	gen      uint64
	half     int64 // distance of the copies
	capacity int64 // bytes of a copy that may be used, header included
	tail     int64 // offset of the next record in each copy
	seq      uint64
	skip     uint16 // sequence numbers burnt since the last record
	degraded bool   // some acknowledged records are in one copy only
	failed   bool   // the last append failed in both copies
	blank    bool   // a header must be written before the first record
	tailData []byte // the bytes of the tail block before tail
	repairs  []repair
}

// repair is a stretch of one copy to be rewritten while the other is good.
type repair struct {
	at   int64 // in the medium
	data []byte
}

// scan is what opening a journal found.
type scan struct {
	records  []record
	holes    []Hole
	torn     int64 // bytes of an append that was cut and never acknowledged
	repaired int   // blocks that are good in one copy only, before the last append
	mixed    int   // blocks of which neither copy is whole
}

// openJournal reads the journal in m. It writes nothing: j.repairs and j.blank
// are put right by j.prepare.
func openJournal(m Medium, now time.Time) (*journal, *scan, error) {
	size := m.Size()
	defHalf := size / 2 &^ (blockSize - 1)
	if defHalf < minHalf {
		return nil, nil, fmt.Errorf("the journal file has %d bytes, at least %d are needed: make the drive again with a larger journal", size, 2*minHalf)
	}
	a := &half{m: m, size: min(defHalf, size)}
	a.load(probeSize)
	h, okA := parseHeader(a.buf)
	hb, okB := header{}, false
	b := &half{m: m, base: defHalf, size: min(defHalf, size-defHalf)}
	if okA {
		if h.half != defHalf {
			b = &half{m: m, base: h.half, size: max(0, min(h.half, size-h.half))}
			a = &half{m: m, size: min(h.half, size)}
			a.load(probeSize)
		}
		b.load(probeSize)
		hb, okB = parseHeader(b.buf)
		okB = okB && hb == h
	} else {
		b.load(probeSize)
		hb, okB = parseHeader(b.buf)
		if okB && hb.half != b.base {
			okB = false // bytes that happen to look like a header
		}
		if okB {
			h = hb
		}
	}
	j := &journal{m: m, gen: h.gen, half: b.base, capacity: max(a.size, b.size), tail: firstByte}
	sc := &scan{}
	if !okA && !okB {
		if zero(tailOf(a.buf, blockSize)) && zero(tailOf(b.buf, blockSize)) && !a.bad && !b.bad {
			// New: nothing but perhaps a header that was torn while it was written.
			j.blank, j.half = true, defHalf
			for j.gen == 0 {
				j.gen = rand.Uint64()
			}
			j.tailData = nil
			return j, sc, nil
		}
		// Both headers are gone. Any valid record tells the generation.
		if j.gen = findGeneration(a); j.gen == 0 {
			if j.gen = findGeneration(b); j.gen == 0 {
				if a.bad || b.bad {
					return nil, nil, errors.New("the journal can't be read: the drive reports errors. Copy the drive while it still works, then make a new one")
				}
				return nil, nil, errors.New("the journal file holds something that is no journal: nothing was changed. To start a new journal, make the drive again or fill journal.log with zeros")
			}
		}
		h = header{gen: j.gen, half: defHalf, made: now}
	}
	j.scan(a, b, sc)
	want := h.encode()
	for _, c := range []struct {
		h  *half
		ok bool
	}{{a, okA}, {b, okB}} {
		if !c.ok && c.h.size >= blockSize {
			j.repairs = append(j.repairs, repair{c.h.base, want})
			sc.repaired++
		}
	}
	return j, sc, nil
}

func tailOf(b []byte, from int) []byte { return b[min(from, len(b)):] }

// findGeneration returns the generation of the first valid record of a copy, 0
// if there is none.
func findGeneration(h *half) uint64 {
	h.load(h.size)
	for pos := int64(firstByte); pos+headerLen <= int64(len(h.buf)); pos += recordPad {
		if binary.LittleEndian.Uint64(h.buf[pos+8:]) == 0 {
			continue
		}
		if _, _, g, ok := parseRecord(h.buf[pos:], 0); ok {
			return g
		}
	}
	return 0
}

// find returns the lowest offset from pos on, below limit, at which the copy
// has a valid record numbered seq or higher; limit if there is none. It looks
// for the generation, which lies at byte 8 of each record.
func (h *half) find(pos, limit int64, gen, seq uint64) int64 {
	key := binary.LittleEndian.AppendUint64(nil, gen)
	for pos+headerLen <= limit {
		b := h.at(pos+8, maxChunk)
		if len(b) < len(key) {
			break
		}
		i := bytes.Index(b, key)
		if i < 0 {
			pos += int64(len(b) - len(key) + 1)
			continue
		}
		pos += int64(i)
		if pos%recordPad == 0 && pos+headerLen <= limit {
			if r, _, ok := h.record(pos, gen); ok && r.seq >= seq {
				return pos
			}
		}
		pos++
	}
	return limit
}

// find returns the lowest offset behind pos at which either copy has a valid
// record numbered seq or higher.
func (j *journal) find(a, b *half, pos int64, seq uint64) (int64, bool) {
	next := a.find(pos+1, j.capacity, j.gen, seq)
	next = b.find(pos+1, next, j.gen, seq)
	return next, next < j.capacity
}

// scan walks the records of both copies, and plans the repairs.
func (j *journal) scan(a, b *half, sc *scan) {
	// Of each block: do all records in it read well from A, from B?
	badA, badB := map[int64]bool{}, map[int64]bool{}
	mark := func(bad map[int64]bool, pos, size int64) {
		for blk := pos / blockSize; blk <= (pos+size-1)/blockSize; blk++ {
			bad[blk] = true
		}
	}
	pos, expected := int64(firstByte), uint64(1)
	last := pos                  // end of the last record
	starts := [2]int64{pos, pos} // of the last two records: the last append began there
	var hole *Hole
	for {
		ra, na, okA := a.record(pos, j.gen)
		rb, nb, okB := ra, na, okA
		if !okA || !bytes.Equal(clip(b.at(pos, na), na), clip(a.at(pos, na), na)) {
			rb, nb, okB = b.record(pos, j.gen)
		}
		okA, okB = okA && ra.seq >= expected, okB && rb.seq >= expected
		if okA && okB && ra.seq != rb.seq { // one is left from a failed append
			okA, okB = ra.seq > rb.seq, rb.seq > ra.seq
		}
		if !okA && !okB {
			probe := int64(probeSize)
			if zero(clip(a.at(pos, probe), probe)) && zero(clip(b.at(pos, probe), probe)) && !a.bad && !b.bad {
				break
			}
			next, found := j.find(a, b, pos, expected)
			if !found {
				break
			}
			hole = &Hole{Offset: pos, Bytes: next - pos}
			pos = next
			continue
		}
		r, n := ra, na
		if !okA {
			r, n = rb, nb
		}
		if !okA {
			mark(badA, pos, n)
		}
		if !okB {
			mark(badB, pos, n)
		}
		// A hole in the sequence is loss; a hole without one is where a failed
		// append moved the tail on.
		if lost := r.seq - expected; lost > uint64(r.skip) {
			if hole == nil {
				hole = &Hole{Offset: pos}
			}
			hole.Records, hole.Before = lost-uint64(r.skip), r.time
			if len(sc.records) > 0 {
				hole.After = sc.records[len(sc.records)-1].time
			}
			sc.holes = append(sc.holes, *hole)
		}
		hole = nil
		sc.records = append(sc.records, r)
		expected = r.seq + 1
		starts = [2]int64{starts[1], pos}
		pos += n
		last = pos
	}
	j.seq, j.tail = expected-1, last

	// What a torn append left behind: everything that is not zero.
	for _, h := range [2]*half{a, b} {
		rest := tailOf(h.buf, int(last))
		if end := lastNonZero(rest); end > 0 {
			sc.torn = max(sc.torn, int64(end))
		}
	}

	// Repair each copy from the other where that is whole. Blocks of which
	// neither copy is whole stay as they are: together they still give every
	// record, and rewriting either would endanger the only good bytes of some.
	tailBlock := (last - 1) / blockSize
	clean := true
	for blk := int64(firstByte / blockSize); blk <= tailBlock; blk++ {
		from, to := blk*blockSize, (blk+1)*blockSize
		switch {
		case badA[blk] && badB[blk]:
			sc.mixed++
			if blk == tailBlock {
				clean = false
			}
		case badA[blk] || badB[blk]:
			src, dst := a, b
			if badA[blk] {
				src, dst = b, a
			}
			if to > dst.size || to > int64(len(src.buf)) { // the copy is cut short
				if blk == tailBlock {
					clean = false
				}
				j.degraded = true
				continue
			}
			data := append([]byte(nil), src.buf[from:to]...)
			if blk == tailBlock {
				clear(data[last-from:])
			}
			j.repairs = append(j.repairs, repair{dst.base + from, data})
			if blk < starts[0]/blockSize { // the last append may just have been cut
				sc.repaired++
			}
		}
	}
	j.degraded = j.degraded || sc.mixed > 0
	// Junk behind the tail is wiped, so that the next scan ends at zeros. In
	// the tail block that is done by the next append, which writes all of it.
	if sc.torn > 0 {
		for _, h := range [2]*half{a, b} {
			from := tailBlock*blockSize + blockSize
			if last == firstByte {
				from = firstByte
			}
			for ; from < int64(len(h.buf)); from += blockSize {
				to := min(from+blockSize, int64(len(h.buf)))
				if !zero(h.buf[from:to]) {
					j.repairs = append(j.repairs, repair{h.base + from, make([]byte, to-from)})
				}
			}
		}
	}
	if clean {
		src := a
		if badA[tailBlock] || int64(len(a.buf)) < last {
			src = b
		}
		j.tailData = append([]byte(nil), src.buf[last/blockSize*blockSize:last]...)
	} else {
		j.moveOn(last)
	}
}

func clip(b []byte, n int64) []byte { return b[:min(n, int64(len(b)))] }

func lastNonZero(b []byte) int {
	for len(b) > 0 {
		k := max(0, len(b)-blockSize)
		if zero(b[k:]) {
			b = b[:k]
			continue
		}
		for b[len(b)-1] == 0 {
			b = b[:len(b)-1]
		}
		return len(b)
	}
	return 0
}

// moveOn puts the tail on a fresh block, one free block behind the one that
// holds the byte before pos: however blocks lie on physical sectors, writing
// there touches no sector of what came before. An append moves on at most three
// times, so what it leaves free is far less than probeSize.
func (j *journal) moveOn(pos int64) {
	j.tail = (pos+blockSize-1)&^(blockSize-1) + blockSize
	j.tailData = nil
}

// prepare makes a blank journal, or writes the repairs that the scan planned.
// Each is checked by reading it back before the next begins. A repair that
// fails is given up (the other copy is good): the tail moves away from it.
func (j *journal) prepare(now time.Time) error {
	if j.blank {
		h := header{gen: j.gen, half: j.half, made: now}
		errA := j.put(0, h.encode())
		errB := j.put(j.half, h.encode())
		if errA != nil && errB != nil {
			return fmt.Errorf("can't make the journal: %w", errA)
		}
		j.degraded = errA != nil || errB != nil
		j.blank = false
		return nil
	}
	for _, r := range j.repairs {
		if err := j.put(r.at, r.data); err != nil {
			j.degraded = true
			rel := r.at % j.half
			if at := j.tail - int64(len(j.tailData)); rel <= at && at < rel+int64(len(r.data)) {
				j.moveOn(j.tail) // its twin may be the only good copy
			}
		}
	}
	j.repairs = nil
	return nil
}

// put writes data at offset at, syncs, reads back and compares, and tries a
// second time before it gives up.
func (j *journal) put(at int64, data []byte) error {
	err := j.putOnce(at, data)
	if err != nil {
		err = j.putOnce(at, data)
	}
	return err
}

func (j *journal) putOnce(at int64, data []byte) error {
	if at+int64(len(data)) > j.m.Size() {
		return fmt.Errorf("the file ends at %d", j.m.Size())
	}
	n, err := j.m.WriteAt(data, at)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("writing to the drive: %w", err)
	}
	if err := j.m.Sync(); err != nil {
		return fmt.Errorf("flushing the drive: %w", err)
	}
	back := make([]byte, len(data))
	if err := readFull(j.m, back, at); err != nil {
		return fmt.Errorf("reading back from the drive: %w", err)
	}
	if !bytes.Equal(back, data) {
		return errors.New("the drive gave back other bytes than were written")
	}
	return nil
}

// free returns the bytes left for records, headers of records included.
func (j *journal) free() int64 { return max(0, j.capacity-j.tail) }

// append writes records in one commit. Their sequence numbers are given here.
// Nil means that they are on the medium and were read back; an error that
// none of them may be relied upon, though a later scan may find them.
func (j *journal) append(recs ...record) error {
	var enc []byte
	seq, skip := j.seq, j.skip
	for i := range recs {
		if len(recs[i].payload) > maxPayload {
			return fmt.Errorf("%d bytes are too long to be saved in one piece, at most %d are possible", len(recs[i].payload), maxPayload)
		}
		seq++
		recs[i].seq, recs[i].skip = seq, skip
		skip = 0
		enc = appendRecord(enc, j.gen, recs[i])
	}
	start, startData := j.tail, j.tailData
	var err error
	for try := 0; try < 3; try++ {
		if j.tail+int64(len(enc)) > j.capacity {
			if err == nil {
				return ErrFull // nothing was written: no number is burnt
			}
			break
		}
		from := j.tail - int64(len(j.tailData))
		data := append(append(make([]byte, 0, len(j.tailData)+len(enc)+blockSize), j.tailData...), enc...)
		end := len(data)
		data = data[:(end+blockSize-1)&^(blockSize-1)]
		if over := from + int64(len(data)) - j.capacity; over > 0 {
			data = data[:int64(len(data))-over]
		}
		errA := j.put(from, data)
		if errA != nil && len(j.tailData) > 0 {
			// B's tail block is now the only good one: leave it alone.
			err, j.degraded = errA, true
			j.moveOn(j.tail)
			continue
		}
		errB := j.put(j.half+from, data)
		if errA != nil && errB != nil {
			err = errA
			j.moveOn(j.tail)
			continue
		}
		j.tail += int64(len(enc))
		j.seq, j.skip, j.failed = seq, 0, false
		if errA != nil || errB != nil {
			j.degraded = true
			j.moveOn(j.tail)
			return nil
		}
		keep := int(j.tail % blockSize)
		j.tailData = append([]byte(nil), data[end-keep:end]...)
		return nil
	}
	// Burn the numbers: parts of these records may be on the medium.
	j.seq, j.skip, j.failed = seq, uint16(min(int(j.skip)+len(recs), 1<<16-1)), true
	if len(startData) == 0 {
		j.tail = start // nothing acknowledged is here: the place can be tried again
	}
	return err
}
