package ext4

// The journal (Linux, include/linux/jbd2.h and fs/jbd2/recovery.c; its numbers are big-endian).
//
// A transaction is written to the journal before any of its blocks go to their places: descriptor
// blocks with tags, each for one of the blocks that follow, which hold what is to come to the
// places that the tags name; revoke blocks, which name blocks of which no older copy may be used;
// and a commit block at the end. All carry the transaction's sequence number. What has no commit
// block never happened. A clean journal has no first block to begin at.
//
// The journal is a ring of blocks of a file. Whatever it says, each block is looked at once for
// each pass: scan finds the control blocks of transactions that were committed, replay keeps for
// each block of the volume the last copy that is not revoked.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	journalDescriptor = 1
	journalCommit     = 2
	journalSuper1     = 3
	journalSuper2     = 4
	journalRevoke     = 5

	journalSum1 = 0x1 // a compatible feature; the others are incompatible ones
	journal64   = 0x2
	journalLazy = 0x4 // a commit block may be older than its transaction (async_commit)
	journalSum2 = 0x8
	journalSum3 = 0x10
	journalFast = 0x20
	journalAll  = 0x3F

	tagEscaped  = 1 // the copy began like a control block, and its first four bytes were cleared
	tagSameUUID = 2
	tagLast     = 8

	maxJournal = 10_240_000 // blocks; mke2fs makes none that is longer
)

// maxReplayed is how many blocks a journal may have for the volume, how many may be revoked and how
// many control blocks there may be. Tests change it.
var maxReplayed = 1 << 20

var errTooMany = errors.New("more is in it than fits in memory; have a computer with Linux mount the volume once")

// errTorn is wrapped by what is wrong with a journal's superblock that a cut of power may have done.
var errTorn = errors.New("it may be torn")

var journalMagic = []byte{0xC0, 0x3B, 0x39, 0x98}

// replayed is a block of the volume whose content is in the journal.
type replayed struct {
	block   uint64
	at      int64 // byte on the volume
	escaped bool  // but for the first four bytes, which are journalMagic
}

// journal is what the journal's superblock says.
type journal struct {
	v               *FS
	n               *inode
	first, end      uint32 // the ring of blocks
	start, sequence uint32
	features        uint32 // incompatible ones
	sum1            bool
	seed            uint32
	uuid            []byte
	rebuilt         bool // from what the ring has, since its superblock is damaged
	plain           bool // it may have no checksums where the volume has them
}

// control is a descriptor or revoke block.
type control struct {
	kind, sequence, block uint32
}

// replay fills in v.replayed if the volume was not unmounted cleanly.
func (v *FS) replay() error {
	dirty := v.incompat&incompatReplay != 0
	if !dirty && (v.group == 0 || v.compat&compatJournal == 0 || v.journal == 0) {
		return nil // but a backup superblock does not know
	}
	v.waiting = true
	if v.journal == 0 {
		return errors.New("its journal is on another drive; have a computer with Linux mount it once, with that drive")
	}
	j, err := v.openJournal()
	if err != nil || j.start == 0 {
		return err
	}
	list, next, err := j.scan()
	if err != nil {
		return err
	}
	found, err := j.collect(list)
	if err != nil {
		return err
	}
	if j.features&journalFast != 0 && j.fastCommits(next) {
		v.note("What was saved last on the volume is in fast commits, which AlphaOS does not read: have a computer with Linux mount it once.")
	}
	if len(found) == 0 {
		return nil
	}
	v.note("The volume was not unmounted cleanly: %d of its blocks are read from its journal.", len(found))
	for _, r := range found {
		v.replayed = append(v.replayed, r)
	}
	slices.SortFunc(v.replayed, func(a, b replayed) int {
		if a.block < b.block {
			return -1
		}
		return 1
	})
	// What was read so far may be old.
	clear(v.chunks)
	clear(v.owner)
	b := make([]byte, superSize)
	if err := v.readAt(superAt, b); err != nil {
		return err
	}
	s, err := parseSuper(b)
	switch {
	case err != nil && v.group > 0:
		return nil
	case err == nil && s.block != v.block:
		err = fmt.Errorf("it says that blocks have other sizes: %s", remedy)
	}
	if err != nil {
		return err
	}
	v.super = s
	return v.judge()
}

// journalInode reads the journal's inode, or what the superblock has of it.
func (v *FS) journalInode() (*inode, error) {
	n, err := v.readInode(v.journal)
	if err == nil && n.mode&modeType != modeFile {
		err = fmt.Errorf("inode %d is no file: %s", v.journal, remedy)
	}
	if err != nil {
		if v.journalBackup == nil {
			return nil, err
		}
		n = &inode{number: v.journal, mode: modeFile, seed: crc32cNumber(crc32cNumber(v.seed, v.journal), 0)}
		copy(n.map_[:], v.journalBackup)
		n.size = int64(binary.LittleEndian.Uint64([]byte(string(v.journalBackup[64:68])+string(v.journalBackup[60:64]))) & (1<<48 - 1))
		if binary.LittleEndian.Uint16(n.map_[:]) == extentMagic {
			n.flags |= flagExtents
		}
	}
	return n, nil
}

// openJournal reads the journal's inode and its superblock.
func (v *FS) openJournal() (*journal, error) {
	n, err := v.journalInode()
	if err != nil {
		return nil, err
	}
	j := &journal{v: v, n: n}
	if err = j.readSuper(); errors.Is(err, errTorn) {
		if why := j.rebuild(); why != nil {
			// A checksum that is not used may be from before Linux mounted the volume with nojournal_checksum: then the ring has no checksums either.
			if plain := (&journal{v: v, n: n, plain: true}); plain.readSuper() == nil && !plain.sums() {
				return plain, nil
			}
			return j, fmt.Errorf("%w. What is in it is not used without that, since %w", err, why)
		}
		v.note("The superblock of the volume's journal is damaged, as a cut of power may leave it: what is in the journal is used all the same.")
		return j, nil
	}
	return j, err
}

// readSuper reads the journal's superblock.
func (j *journal) readSuper() error {
	v, n := j.v, j.n
	b, err := j.read(0)
	if err != nil {
		return fmt.Errorf("%w (%w)", err, errTorn)
	}
	be := binary.BigEndian
	kind := be.Uint32(b[4:])
	if !bytes.Equal(b[:4], journalMagic) || kind != journalSuper1 && kind != journalSuper2 {
		return fmt.Errorf("it has no superblock (%w): %s", errTorn, remedy)
	}
	length := be.Uint32(b[0x10:])
	j.first, j.end = be.Uint32(b[0x14:]), length
	j.sequence, j.start = be.Uint32(b[0x18:]), be.Uint32(b[0x1C:])
	if kind == journalSuper2 {
		j.sum1 = be.Uint32(b[0x24:])&journalSum1 != 0
		j.features = be.Uint32(b[0x28:])
	}
	if unknown := j.features &^ journalAll; unknown != 0 {
		if v.is(roMetadataSum) { // a tear in a volume that is encrypted leaves junk there, and all else can be checked
			return fmt.Errorf("it has unknown features, %#x, or is damaged (%w); have a computer with Linux mount the volume once", unknown, errTorn)
		}
		return fmt.Errorf("it has unknown features, %#x; have a computer with Linux mount the volume once", unknown)
	}
	if j.sums() {
		if j.features&journalSum2 != 0 && j.features&journalSum3 != 0 || b[0x50] != 4 {
			return fmt.Errorf("its superblock names an unknown kind of checksum (%w): %s", errTorn, remedy)
		}
		if crc32cHole(^uint32(0), b[:superSize], 0xFC, 4) != be.Uint32(b[0xFC:]) {
			return fmt.Errorf("its superblock does not match its checksum (%w): %s", errTorn, remedy)
		}
		j.seed = crc32c(^uint32(0), b[0x30:0x40])
	} else if !j.plain && v.is(roMetadataSum) && kind == journalSuper2 && be.Uint32(b[0xFC:]) != 0 {
		return fmt.Errorf("its superblock has a checksum and says that it has none (%w): %s", errTorn, remedy)
	}
	if j.features&journalFast != 0 {
		fast := be.Uint32(b[0x54:])
		if fast == 0 {
			fast = 256
		}
		if length > fast && length-fast >= 1024 {
			j.end -= fast
		}
	}
	if size := be.Uint32(b[0xC:]); int64(size) != v.block || int64(length) > n.size/v.block || uint64(length) > min(v.blocks, maxJournal) || j.first == 0 || j.first >= j.end || j.start != 0 && (j.start < j.first || j.start >= j.end) {
		return fmt.Errorf("its superblock claims %d blocks of %d bytes, the first transaction in block %d: %s", length, size, j.start, remedy)
	}
	j.uuid = bytes.Clone(b[0x30:0x40])
	return nil
}

// rebuild makes up for a superblock that is damaged, or returns why it can't. What it takes is proved by checksums where the volume has any, and by the
// numbers of transactions: nothing is guessed.
//
// If the superblock names a block where the transaction of the number is that it names, it was torn behind that, and this is the first that counts.
// Else: it is written only when all that was committed before what it names is in its
// place. So either nothing of the ring is needed, or all that came after it, which is there yet: in both cases the
// longest chain of transactions that ends with the last one can be replayed, since blocks that were freed are revoked. Linux leaves out a number
// between two times that it mounts a volume, and we do by stop: no chain goes back behind that.
func (j *journal) rebuild() error {
	be := binary.BigEndian
	*j = journal{v: j.v, n: j.n, first: 1, rebuilt: true}
	if j.n.size/j.v.block < 1024 || j.n.size/j.v.block > maxJournal {
		return fmt.Errorf("it has %d blocks", j.n.size/j.v.block)
	}
	if j.v.compat&compatFast != 0 {
		return errors.New("it may have fast commits, and only the superblock tells where these begin")
	}
	j.end = uint32(j.n.size / j.v.block)
	j.features = journalRevokes
	if j.v.incompat&incompat64 != 0 {
		j.features |= journal64
	}
	if j.v.is(roMetadataSum) {
		j.features |= journalSum3
	}
	j.sum1 = !j.sums() // which a commit block has, or zeros
	torn, _ := j.read(0)
	var found []control
	ids := [][]byte{j.v.uuid, make([]byte, 16)} // of the journal, on which checksums depend
	if torn != nil {
		ids = append(ids, torn[0x30:0x40])
	}
	for at := j.first; at < j.end; at++ {
		b, err := j.read(at)
		if err != nil || !bytes.Equal(b[:4], journalMagic) {
			continue
		}
		c := control{be.Uint32(b[4:]), be.Uint32(b[8:]), at}
		if c.kind != journalDescriptor && c.kind != journalRevoke && c.kind != journalCommit {
			continue
		}
		if c.kind == journalDescriptor && len(ids) < 4 && be.Uint16(b[18:])&tagSameUUID == 0 { // Linux has zeros there, others what is right
			size := 8
			if j.features&journalSum3 != 0 {
				size = 16
			} else if j.features&journal64 != 0 {
				size = 12
			}
			ids = append(ids, bytes.Clone(b[12+size:][:16]))
		}
		found = append(found, c)
	}
	slices.SortStableFunc(found, func(a, b control) int { return int(int32(a.sequence - b.sequence)) })
	if !j.identify(ids, found) {
		return errors.New("none of the transactions in it matches its checksum")
	}
	last, committed := uint32(1), uint32(0) // the next number, and that after the last transaction that was committed
	begun := uint32(0)                      // the last transaction of which there is anything whole
	for _, c := range found {
		if last = c.sequence + 1; c.kind == journalCommit {
			committed = last
		}
		if j.agrees(c) {
			begun = c.sequence
		}
	}
	if committed != 0 && int32(begun-committed) > 0 {
		// It was begun behind one whose commit block is no more, though what is needed is never overwritten: so nothing is,
		// and what was committed before is of an earlier use of the ring.
		j.start, j.sequence = 0, last
		return nil
	}
	if torn != nil {
		if said := (control{block: be.Uint32(torn[0x1C:]), sequence: be.Uint32(torn[0x18:])}); slices.ContainsFunc(found, func(c control) bool {
			return c.kind != journalCommit && c.block == said.block && c.sequence == said.sequence
		}) {
			j.start, j.sequence = said.block, said.sequence
			if _, next, err := j.scan(); err == nil && next == committed {
				return nil
			}
		}
	}
	// The same, but of the first block of the new use not even that came. Where a superblock has a head (0x58), a Linux since 6.4 goes on from there in
	// place of beginning anew, and the first block tells nothing. It takes no head that is not in the ring, and neither do we: a tear may leave junk there.
	cycles := torn != nil && be.Uint32(torn[0x58:]) >= j.first && be.Uint32(torn[0x58:]) < j.end
	if committed != 0 && !cycles && !j.firstIsWhole(found) {
		j.start, j.sequence = 0, last
		return nil
	}
	broken := uint32(0) // the transaction that a chain from an earlier one does not reach
	tries := 0
	for i, c := range found {
		if c.kind == journalCommit || i > 0 && int32(c.sequence-broken) < 0 {
			continue
		}
		if tries++; tries > 64 { // only the first transaction of a ring is there in part
			break
		}
		j.start, j.sequence = c.block, c.sequence
		_, next, err := j.scan()
		// A chain from an earlier use of the ring may end just before this one's: it would bring back what is no more.
		if err == nil && next == committed {
			return nil
		}
		broken = max(next, c.sequence)
	}
	if committed != 0 { // at least the last one: what can't be read is of a journal of another kind
		return fmt.Errorf("no transactions in it lead to the last one, %d", committed-1)
	}
	j.start, j.sequence = 0, last
	return nil
}

// identify finds the identity of the journal by which control blocks, of which the last ones are looked at, match their checksums. Where they have
// none it is the volume's own.
func (j *journal) identify(ids [][]byte, found []control) bool {
	j.uuid = bytes.Clone(j.v.uuid)
	if !j.sums() || len(found) == 0 {
		j.seed = crc32c(^uint32(0), j.uuid)
		return true
	}
	for _, id := range ids {
		j.uuid, j.seed = bytes.Clone(id), crc32c(^uint32(0), id)
		for _, c := range found[max(0, len(found)-64):] {
			if j.agrees(c) {
				return true
			}
		}
	}
	return false
}

// firstIsWhole tells whether the ring's first block is what a use of it that goes on has there: each begins there with a control block, and one that has come
// round has the rest of a transaction there.
func (j *journal) firstIsWhole(found []control) bool {
	for _, c := range found {
		if c.block != j.first && c.kind != journalDescriptor || !j.agrees(c) {
			continue
		}
		if c.block == j.first {
			return true
		}
		if b, err := j.read(c.block); err == nil && int(c.block)+len(j.tags(b)) >= int(j.end) {
			return true
		}
	}
	return false
}

// agrees tells whether a control block matches its checksum, where it has one.
func (j *journal) agrees(c control) bool {
	b, err := j.read(c.block)
	switch {
	case err != nil:
		return false
	case !j.sums():
		return true
	case c.kind == journalCommit:
		return j.commitAgrees(b, 0)
	}
	return j.tailAgrees(b)
}

// sums tells whether blocks have checksums of their own.
func (j *journal) sums() bool { return j.features&(journalSum2|journalSum3) != 0 }

// at returns where on the volume a block of the journal is.
func (j *journal) at(block uint32) (uint64, error) {
	r, err := j.v.locate(j.n, uint64(block))
	if err == nil && r.first == 0 {
		err = fmt.Errorf("its block %d is missing: %s", block, remedy)
	}
	return r.first, err
}

func (j *journal) read(block uint32) ([]byte, error) {
	at, err := j.at(block)
	if err != nil {
		return nil, err
	}
	return j.v.metadata(at, 0, j.v.block)
}

// after returns the block that is n further in the ring.
func (j *journal) after(block, n uint32) uint32 {
	return j.first + uint32((uint64(block-j.first)+uint64(n))%uint64(j.end-j.first))
}

// scan returns the control blocks of transactions that were committed, and the number that the
// next transaction would have.
func (j *journal) scan() (list []control, next uint32, err error) {
	be := binary.BigEndian
	at, sequence := j.start, j.sequence
	left := j.end - j.first // blocks of the ring
	committed := 0          // of list
	doubtful := false       // a control block does not match its checksum
	var before uint64       // when the last transaction was committed
	sum := ^uint32(0)
	damaged := func() error {
		return fmt.Errorf("its transaction %d does not match its checksum: %s", sequence, remedy)
	}
	for left > 0 {
		if len(list) > maxReplayed {
			return nil, 0, errTooMany
		}
		b, err := j.read(at)
		if err != nil {
			if j.committed(at, left, sequence) {
				return nil, 0, err
			}
			break // in the middle of this transaction the power went
		}
		kind := be.Uint32(b[4:])
		if !bytes.Equal(b[:4], journalMagic) || be.Uint32(b[8:]) != sequence {
			break
		}
		c := control{kind, sequence, at}
		at, left = j.after(at, 1), left-1
		switch kind {
		case journalDescriptor:
			doubtful = doubtful || !j.tailAgrees(b)
			n := uint32(len(j.tags(b)))
			if n > left {
				return list[:committed], sequence, nil
			}
			if j.sum1 {
				if sum, err = j.addSum1(crc32be(sum, b), at, n); err != nil {
					return nil, 0, err
				}
			}
			list = append(list, c)
			at, left = j.after(at, n), left-n
		case journalRevoke:
			doubtful = doubtful || !j.tailAgrees(b)
			list = append(list, c)
		case journalCommit:
			// Blocks that the ring has left from earlier look right now and then, but
			// are older than what came before them here.
			when := be.Uint64(b[48:])
			switch {
			case !doubtful && j.commitAgrees(b, sum):
			case when < before || !doubtful && j.features&journalLazy != 0:
				return list[:committed], sequence, nil
			case torn(b) && !j.goesOn(at, sequence+1):
				return list[:committed], sequence, nil
			default:
				return nil, 0, damaged()
			}
			before, sum = when, ^uint32(0)
			committed = len(list)
			sequence++
		default:
			return list[:committed], sequence, nil
		}
	}
	return list[:committed], sequence, nil
}

// committed tells whether a transaction has a commit block, within so many blocks.
func (j *journal) committed(at, left, sequence uint32) bool {
	be := binary.BigEndian
	for ; left > 0; at, left = j.after(at, 1), left-1 {
		b, err := j.read(at)
		if err == nil && bytes.Equal(b[:4], journalMagic) && be.Uint32(b[4:]) == journalCommit && be.Uint32(b[8:]) == sequence {
			return true
		}
	}
	return false
}

// torn tells whether a commit block is one of which only the beginning was written, over zeros.
func torn(b []byte) bool { return bytes.Count(b[56:60], []byte{0}) == 4 }

// goesOn tells whether a transaction begins in a block.
func (j *journal) goesOn(at, sequence uint32) bool {
	b, err := j.read(at)
	return err == nil && bytes.Equal(b[:4], journalMagic) && binary.BigEndian.Uint32(b[8:]) == sequence
}

// addSum1 continues the journal's first kind of checksum over n blocks of it.
func (j *journal) addSum1(sum, at, n uint32) (uint32, error) {
	for range n {
		b, err := j.read(at)
		if err != nil {
			return 0, err
		}
		sum, at = crc32be(sum, b), j.after(at, 1)
	}
	return sum, nil
}

// tailAgrees tells whether a descriptor or revoke block matches its checksum.
func (j *journal) tailAgrees(b []byte) bool {
	end := len(b) - 4
	return !j.sums() || crc32cHole(j.seed, b, end, 4) == binary.BigEndian.Uint32(b[end:])
}

// commitAgrees tells whether a commit block matches its checksum, and sum the transaction's.
func (j *journal) commitAgrees(b []byte, sum uint32) bool {
	const at, end = 16, 60
	found := binary.BigEndian.Uint32(b[at:])
	switch {
	case j.sums():
		// Of a block that was torn only the beginning counts.
		rest := make([]byte, len(b)-end)
		return crc32cHole(j.seed, b, at, 4) == found ||
			crc32c(crc32cHole(j.seed, b[:end], at, 4), rest) == found
	case j.sum1:
		return b[12] == 1 && b[13] == 4 && found == sum || b[12] == 0 && b[13] == 0 && found == 0
	}
	return true
}

// tag is what a descriptor block says of one block.
type tag struct {
	block uint64
	flags uint16
	sum   uint32
}

// tags returns what a descriptor block says of those that follow.
func (j *journal) tags(b []byte) (list []tag) {
	be := binary.BigEndian
	size, end := 8, len(b)
	switch {
	case j.features&journalSum3 != 0:
		size = 16
	case j.features&journalSum2 != 0:
		size = 10
	}
	if size < 16 && j.features&journal64 != 0 {
		size += 4
	}
	if j.sums() {
		end -= 4
	}
	for at := 12; at+size <= end; {
		e := b[at:]
		t := tag{block: uint64(be.Uint32(e)), flags: be.Uint16(e[6:])}
		if j.features&journal64 != 0 {
			t.block |= uint64(be.Uint32(e[8:])) << 32
		}
		if t.sum = uint32(be.Uint16(e[4:])); size == 16 {
			t.sum = be.Uint32(e[12:])
		}
		list = append(list, t)
		at += size
		if t.flags&tagSameUUID == 0 {
			at += 16
		}
		if t.flags&tagLast != 0 {
			break
		}
	}
	return list
}

// collect returns the blocks of the volume that control blocks say are in the journal.
func (j *journal) collect(list []control) (map[uint64]replayed, error) {
	revoked := map[uint64]uint32{} // in which transaction last
	for _, c := range list {
		if c.kind != journalRevoke {
			continue
		}
		b, err := j.read(c.block)
		if err != nil {
			return nil, err
		}
		if err := j.revokes(b, func(block uint64) { revoked[block] = c.sequence }); err != nil {
			return nil, err
		}
		if len(revoked) > maxReplayed {
			return nil, errTooMany
		}
	}
	found := map[uint64]replayed{}
	for _, c := range list {
		if c.kind != journalDescriptor {
			continue
		}
		b, err := j.read(c.block)
		if err != nil {
			return nil, err
		}
		at := c.block
		for _, t := range j.tags(b) {
			at = j.after(at, 1)
			if last, ok := revoked[t.block]; ok && int32(c.sequence-last) <= 0 {
				continue
			}
			// The superblock as it is may count fewer than that in the journal, if the volume grew.
			if most := max(j.v.blocks, uint64(j.v.vol.Size()/j.v.block)); t.block >= most {
				return nil, fmt.Errorf("it has a copy of block %d of %d: %s", t.block, most, remedy)
			}
			if err := j.check(at, c.sequence, t); err != nil {
				return nil, err
			}
			where, err := j.at(at)
			if err != nil {
				return nil, err
			}
			found[t.block] = replayed{t.block, int64(where) * j.v.block, t.flags&tagEscaped != 0}
		}
		if len(found) > maxReplayed {
			return nil, errTooMany
		}
	}
	return found, nil
}

// revokes calls f for what a revoke block names.
func (j *journal) revokes(b []byte, f func(block uint64)) error {
	be := binary.BigEndian
	end, size := len(b), 4
	if j.sums() {
		end -= 4
	}
	if j.features&journal64 != 0 {
		size = 8
	}
	used := be.Uint32(b[12:])
	if used < 16 || int64(used) > int64(end) {
		return fmt.Errorf("a revoke block in it claims %d bytes: %s", used, remedy)
	}
	for at := 16; at+size <= int(used); at += size {
		if size == 8 {
			f(be.Uint64(b[at:]))
		} else {
			f(uint64(be.Uint32(b[at:])))
		}
	}
	return nil
}

// check compares a block of the journal with the checksum that its tag has.
func (j *journal) check(at, sequence uint32, t tag) error {
	if !j.sums() {
		return nil
	}
	b, err := j.read(at)
	if err != nil {
		return err
	}
	sum := crc32c(crc32c(j.seed, binary.BigEndian.AppendUint32(nil, sequence)), b)
	if j.features&journalSum2 != 0 {
		sum &= 0xFFFF
	}
	if sum != t.sum {
		return fmt.Errorf("its copy of block %d does not match its checksum: %s", t.block, remedy)
	}
	return nil
}

// fastCommits tells whether there are any after the last transaction. They are in an area of
// their own behind the ring, which begins with a head that says after which.
func (j *journal) fastCommits(next uint32) bool {
	b, err := j.read(j.end + 1)
	le := binary.LittleEndian
	const head = 9
	return err == nil && le.Uint16(b) == head && le.Uint32(b[8:]) == next
}
