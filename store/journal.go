package store

// The journal: an append-only log of records, kept twice.
//
// The file, or each of several (see segments.go), is split into two halves, copy A and copy B, which hold the same
// bytes at the same offsets:
//
//	0              header: magic, generation, size of a half, CRC32C
//	4096           record, record, record, ... zeros
//	half           header again
//	half+4096      the same records again ... zeros
//
// Records carry consecutive numbers, a checksum, and the generation: a random
// number drawn when the journal is made, so that bytes left from an older
// journal, or a copy of a record inside somebody's text, never count.
//
// # Writing
//
// Invariant: at any moment at most one copy is being written, and the other
// one holds, verified by reading it back from the medium, every record that
// was ever acknowledged.
//
// An append is one record, whatever it says, so it is there as a whole or not
// at all. It writes whole 4096-byte blocks of copy A (the tail block that it
// shares with earlier records, the new record, zeros to the end of the block),
// syncs, reads them back and compares; then the same in copy B. So a power cut
// may destroy every sector under the write, whether sectors have 512 or 4096
// bytes and however the file lies upon them, and each record that it shared
// them with is still whole in the other copy.
//
// When a block of one copy can't be written, its twin is never touched again:
// the append moves on to a fresh block with a free block between, where no
// acknowledged byte is near, and is tried there in both copies, with the same
// number. One good copy is enough to go on when the other takes nothing.
//
// An append that failed may still have left a whole record behind. Its number
// is not used again, and the next append says that it is void.
//
// # Reading
//
// All records that are valid in either copy are gathered, wherever they lie,
// and put in the order of their numbers; see scan.go. So it doesn't matter how
// many places an append tried, nor where the drive really wrote. Void records
// are left out. A number that is neither there nor void is a lost record, and
// is reported once. The end is where both copies have nothing but zeros; junk
// before that is what was left of an append that was cut off.
//
// A block of one copy is rewritten from the other only if no needed record is
// in that copy alone, there or in the blocks beside it, which may share a physical
// sector with it. Where both copies of a block hold such records, or a neighbour
// does, these are first written once more behind the tail, with the numbers they have.
//
// A block that can't be read, not even when tried again, may hold anything, also
// what the other copy lacks. It is not written while it may hold a record that
// was not found elsewhere: if a number is missing, no unreadable block is; and
// behind the record with the highest number none ever is. New records go behind
// it and behind what a record that begins in it may fill, in places where both
// copies can be read. If that is too far, the copy that
// can't be read is not written in this session; if neither can be, nothing is.
// Any start that fails to read something leaps over more numbers than may be in
// use there; should it be readable at another start, what it holds takes its
// place among the others, also what was told as not saved. A session that begins
// without a leap tells that all could be read at its start.
//
// What lies in one copy only, near what can't be read at the end, is written
// again behind the tail while both copies take it.
//
// # Faults
//
// Survived, which means that no acknowledged record is lost, none is invented,
// and no damage is told that is none:
//
//   - a cut of power at any write, also while an earlier one is being
//     repaired, on a drive that has a volatile cache and writes its sectors in
//     any order; the sector that was being written keeps its old bytes, gets
//     the new ones, a part of them, zeros or junk, or, if its bounds are those
//     of blocks or it has 512 bytes, can't be read any more (only where large
//     sectors lie across blocks can a block count as damaged that was torn);
//   - damage of any kind and size to one copy, found at the next start: bits
//     that flip or are stuck, sectors that can't be read or written;
//   - reads, writes and flushes that fail for a while, also at the start (but see
//     the limits below for outages of a region); what was told as not
//     saved is gone with the next thing that is saved, if it could be read at
//     the start since, and what could not be read is there again when it can be;
//   - one write that lands in the wrong place, in either copy.
//
// Reported: blocks that are damaged in one copy (Recovery.Repaired, or Mixed if
// both copies of a block are damaged but not of the same record), records that
// are lost because both copies of them are damaged (Recovery.Holes), what could
// not be read (Recovery.Unread), and records that are in one copy only
// (Store.Degraded).
//
// Compacting keeps to all of this (see compact.go), with one copy at a time while it goes on.
//
// What can't be survived: damage to both copies of a record, also if the second
// copy is hit by a cut or a read error after the first was damaged and before
// the next start repaired it. If that is the last record, it can't be told from
// one that was cut off. A drive that lies about flushing and gives back what
// only its cache holds loses the newest records, when power goes, but none that
// it had really written. What was being written, or was told as not saved, when
// power went may be there or not until something else is saved.
//
// Known limits. What can't be read for good and has numbers that were leapt over
// is never counted as lost; it is told once as bytes that can't be read, and only
// if neither copy tells what is there. When a part of a copy can't be written for some
// time, in several places, and power goes, no acknowledged word is lost, but the order
// may differ: what was said meanwhile may be put before what that part hides. A cut in
// the first writes of a new journal, while the other copy can't be written, can leave
// it as something that is no journal, which is refused; nothing was saved then. Reads
// that fail for whole sessions, one after the other, were not tried together with such
// outages: a word of those sessions may be missing, or told as lost.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
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
	maxExtra   = blockSize        // bytes that a commit may have beyond that
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
//	34 u16 skip: how many numbers just before this one are void
//	36 u32 leap: how many before those may be in use or not; 1<<32-1: that many
//	   or more
//	40 payload, then zeros to a multiple of 8
type record struct {
	seq     uint64
	skip    uint16
	leap    uint32
	ms      int64 // time, milliseconds since 1970 UTC
	kind    kind
	payload []byte
	gap     bool // records are lost just before this one; not on the medium
	place
}

// place says where a record was found, or was put.
type place struct {
	pos  int64 // from the start of a copy
	in   uint8 // the copies that have it there: inA, inB
	part uint8 // of a kindCommit
}

// begins tells whether a session begins with the record.
func (r record) begins() bool {
	return r.kind == kindSession || r.kind == kindCommit && len(r.payload) > 0 && kind(r.payload[0]) == kindSession
}

func (r record) time() time.Time { return time.UnixMilli(r.ms) }

func (r record) equal(o record) bool {
	return r.seq == o.seq && r.kind == o.kind && r.ms == o.ms && bytes.Equal(r.payload, o.payload)
}

// An append of more than one record is one record of kindCommit on the medium,
// so that it is there as a whole or not at all. Its payload is, for each:
//
//	0  u8  kind
//	1  u32 length of the payload
//	5  payload
const partHeader = 5

func commitOf(recs []record) record {
	if len(recs) == 1 {
		return recs[0]
	}
	c := record{kind: kindCommit, ms: recs[0].ms}
	for _, r := range recs {
		c.payload = appendPart(c.payload, r)
	}
	return c
}

func appendPart(p []byte, r record) []byte {
	p = append(p, byte(r.kind))
	p = binary.LittleEndian.AppendUint32(p, uint32(len(r.payload)))
	return append(p, r.payload...)
}

// nextPart takes the next record from the payload of a kindCommit.
func nextPart(p []byte) (r record, rest []byte, ok bool) {
	if len(p) < partHeader {
		return
	}
	n := binary.LittleEndian.Uint32(p[1:])
	if int64(n) > int64(len(p)-partHeader) {
		return
	}
	r = record{kind: kind(p[0]), payload: p[partHeader : partHeader+n]}
	return r, p[partHeader+n:], true
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
	binary.LittleEndian.PutUint64(b[24:], uint64(r.ms))
	b[32] = byte(r.kind)
	binary.LittleEndian.PutUint16(b[34:], r.skip)
	binary.LittleEndian.PutUint32(b[36:], r.leap)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	for len(dst)%recordPad != start%recordPad {
		dst = append(dst, 0)
	}
	return dst
}

// payloadLen is the length of the payload of the record at the start of b.
func payloadLen(b []byte) uint32 { return binary.LittleEndian.Uint32(b[4:]) }

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
	n := payloadLen(b)
	if n > maxPayload+maxExtra || recordSize(int(n)) > int64(len(b)) {
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
		ms:      int64(binary.LittleEndian.Uint64(b[24:])),
		kind:    kind(b[32]),
		skip:    binary.LittleEndian.Uint16(b[34:]),
		leap:    binary.LittleEndian.Uint32(b[36:]),
		payload: b[headerLen:end],
	}
	return r, recordSize(int(n)), g, r.seq != 0 && r.seq <= 1<<62 // numbers go on from there
}

// header is the first block of a copy.
//
//	0  magic
//	8  u64 generation, never 0
//	16 u64 size of a half in bytes
//	24 i64 time of making, milliseconds since 1970 UTC
//	32 u32 CRC32C of bytes 0 to 31
//	36 u32 CRC32C of bytes 40 to 55; what was never compacted has zeros from here on
//	40 u64 in the second copy: the generation to which the journal is being compacted; 0: to none
//	48 u64 all that records up to this number delete was taken out
type header struct {
	gen  uint64
	half int64
	made time.Time
	next uint64
	upto uint64
}

// same tells whether two copies belong together.
func (h header) same(o header) bool {
	return h.gen == o.gen && h.half == o.half && h.made.Equal(o.made)
}

func (h header) encode() []byte {
	b := make([]byte, blockSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[8:], h.gen)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.half))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.made.UnixMilli()))
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	if h.next != 0 || h.upto != 0 {
		binary.LittleEndian.PutUint64(b[40:], h.next)
		binary.LittleEndian.PutUint64(b[48:], h.upto)
		binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b[40:56], castagnoli))
	}
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
	if len(b) >= 56 && crc32.Checksum(b[40:56], castagnoli) == binary.LittleEndian.Uint32(b[36:]) {
		h.next = binary.LittleEndian.Uint64(b[40:])
		h.upto = binary.LittleEndian.Uint64(b[48:])
	}
	return h, h.gen != 0 && h.half >= minHalf && h.half <= 1<<62 && h.half%blockSize == 0
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

var zeros [blockSize]byte

func zero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// journal is one segment of the log, open.
type journal struct {
	m        Medium
	gen      uint64
	made     time.Time
	upto     uint64 // header.upto
	first    uint64 // the number that its first record has if nothing is lost
	lo, hi   uint64 // the lowest and the highest number in it; 0: none
	headless bool   // what it is was found out from records alone
	sealed   bool   // the log goes on in the next segment
	at       place  // of the last record that was put
	ignored  uint8  // the copy that is to be made anew from the other, since compacting was cut short: inA, inB or 0
	half     int64  // distance of the copies
	capacity int64  // bytes of a copy that may be used, header included
	tail     int64  // offset of the next record in each copy
	seq      uint64 // the last number that was given
	skip     uint16 // how many of the last numbers are void
	leap     uint32 // how many before those may be in use
	blind    bool   // not all of it could be read at the start
	unread   bool   // records may lie before the tail that could not be read
	degraded bool   // some acknowledged records are in one copy only
	single   bool   // the last append reached one copy only
	frozen   uint8  // the copy that must not be written: inA, inB or 0
	cramped  bool   // what a cut has torn has no room to be brought together: only a session, or the segment, may end here
	blank    bool   // a header must be written before the first record
	tailData []byte // the bytes of the tail block before tail
	shared   int64  // where the first record begins that has bytes in the tail block, as it was read
	repairs  []repair
	rescues  [][]byte // encoded records to be written once more
	heals    []repair // repairs that must wait for that
}

// generation draws the generation of a journal.
var generation = func() uint64 {
	for {
		if gen := rand.Uint64(); gen != 0 {
			return gen
		}
	}
}

// repair is a stretch of one copy to be rewritten while the other is good.
type repair struct {
	at   int64 // in the medium
	data []byte
}

// moveOn puts the tail on a fresh block, one free block behind the one that
// holds the byte before pos: however blocks lie on physical sectors, writing
// there touches no sector of what came before. An append tries three places, so
// what it leaves free is far less than probeSize.
func (j *journal) moveOn(pos int64) {
	j.tail = (pos+blockSize-1)&^(blockSize-1) + blockSize
	j.tailData = nil
}

// prepare makes a blank journal, or writes the repairs that the scan planned.
// Each is checked by reading it back before the next begins. A repair that
// fails is given up (the other copy is good): the tail moves away from it.
func (j *journal) prepare(now time.Time) error {
	if j.blank {
		j.made = time.UnixMilli(now.UnixMilli())
		h := j.header()
		errA := j.put(0, h.encode())
		errB := j.put(j.half, h.encode())
		if errA != nil && errB != nil {
			return fmt.Errorf("can't make the journal: %w", errA)
		}
		j.degraded = errA != nil || errB != nil
		j.blank = false
		return nil
	}
	j.mend()
	if j.unread && j.free() == 0 {
		return errUnread
	}
	return nil
}

func (j *journal) header() header {
	return header{gen: j.gen, half: j.half, made: j.made, upto: j.upto}
}

// mend writes the repairs that the scan planned.
func (j *journal) mend() {
	j.renew()
	for _, r := range j.repairs {
		if err := j.put(r.at, r.data); err != nil {
			j.degraded = true
			// A record that reaches into the tail block may be in the twin alone.
			if rel := r.at % j.half; len(j.tailData) > 0 && rel < j.tail && rel+int64(len(r.data)) > j.shared {
				j.moveOn(j.tail)
			}
		}
	}
	j.repairs = nil
}

// rescue writes once more, behind the tail, what is in one copy only where that
// can't be mended or mending it would be a danger, then mends the latter. It
// goes on only while all of that reaches both copies and leaves reserve bytes
// free; else all stays where it is. If that is for want of room, nothing more is said in
// the segment: behind that, what a cut has torn could not be told from damage.
func (j *journal) rescue(reserve int64) {
	for _, enc := range j.rescues {
		j.cramped = j.free()-int64(len(enc)) < reserve
		if j.single || j.cramped {
			j.degraded, j.heals = true, nil
			break
		}
		if saved, _ := j.write(enc); !saved || j.single {
			j.degraded, j.heals = true, nil
			break
		}
	}
	for _, r := range j.heals {
		if j.put(r.at, r.data) != nil {
			j.degraded = true
		}
	}
	j.rescues, j.heals = nil, nil
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
	if in := uint8(inA << (at / j.half)); j.frozen&in != 0 {
		return errUnread
	}
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

// append writes records in one commit. Nil means that they are on the medium
// and were read back; an error that they are not saved: should some of their
// bytes have reached the medium, the next append voids them.
func (j *journal) append(recs ...record) error {
	r := commitOf(recs)
	if n := len(r.payload); n > maxPayload && r.kind != kindCommit || n > maxPayload+maxExtra {
		return fmt.Errorf("%d bytes are too long to be saved in one piece, at most %d are possible", n, maxPayload)
	}
	if j.skip == math.MaxUint16 {
		return errors.New("the drive has failed too often: switch off and start again, perhaps in another socket")
	}
	r.seq, r.skip, r.leap = j.seq+1, j.skip, j.leap
	if j.blind && r.begins() && r.leap == 0 {
		r.leap = 1 // only one that begins without tells that all could be read
	}
	saved, err := j.write(appendRecord(nil, j.gen, r))
	switch {
	case saved:
		j.seq, j.skip, j.leap = r.seq, 0, 0
		if j.hi = r.seq; j.lo == 0 {
			j.lo = r.seq
		}
		return nil
	case !errors.Is(err, ErrFull): // something may have been written
		j.seq, j.skip = r.seq, j.skip+1
	}
	return err
}

// write writes an encoded record at the tail of both copies, or at least of
// one. The error is ErrFull if nothing was written.
func (j *journal) write(enc []byte) (saved bool, err error) {
	start, shared, degraded := j.tail, len(j.tailData) > 0, j.degraded
	for try := range 3 {
		if j.tail+int64(len(enc)) > j.capacity {
			if try == 0 {
				return false, ErrFull
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
			err, j.degraded, degraded = errA, true, true
			j.moveOn(j.tail)
			continue
		}
		errB := j.put(j.half+from, data)
		if errA == nil && errB == nil {
			j.at = place{pos: j.tail, in: inBoth}
			j.tail += int64(len(enc))
			keep := int(j.tail % blockSize)
			j.tailData = bytes.Clone(data[end-keep : end])
			j.single, j.degraded = false, degraded
			return true, nil
		}
		if errA != nil && errB != nil {
			err = errA
			j.moveOn(j.tail)
			continue
		}
		// One copy has it, and its blocks are left alone. Another place may
		// have room for both; but when a whole copy is dead that is given up.
		saved, j.degraded = true, true
		if j.at = (place{pos: j.tail, in: inA}); errA != nil {
			j.at.in = inB
		}
		j.moveOn(j.tail + int64(len(enc)))
		if j.single {
			break
		}
	}
	if saved {
		j.single = true
		return true, nil
	}
	// Nothing acknowledged lies behind the start: the next append begins there.
	j.tail, j.tailData = start, nil
	if shared {
		j.moveOn(start)
	}
	return false, err
}
