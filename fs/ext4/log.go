package ext4

// Changes. A change collects all blocks of metadata that it makes anew in a transaction, which
// is written to the journal (journal.go tells its format), then sealed by a commit block, and only
// later copied to its places: so after a cut of power the volume is as before it or as after it.
// Content of files goes straight to its blocks, which no file has until a transaction that
// comes after it says so.
//
// What is committed and not yet in its place is in FS.logged: whoever reads such a block
// gets it from there. A block that is freed must not come back from the journal over what it is used
// for next: it is taken out of there, and a revoke block says so to whoever replays. All such blocks are named, also those
// that the journal has not now: then all that is left in the ring from earlier can be replayed once more without harm, and a
// journal's superblock that was torn while it was written is no loss (journal.go, rebuilt).
//
// The medium must keep what it was asked to flush: the order is content and journal, flush, commit
// block, flush; and when the ring is full or the volume is put in order, places, flush, journal's superblock.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"alphaos/fs"
)

const (
	journalRevokes = 0x1 // an incompatible feature: there are revoke blocks

	keepLogged = 4096 // blocks that wait to be copied to their places
)

// tx is a change that is being made.
type tx struct {
	blocks  map[uint64][]byte
	revoked map[uint64]bool
	free    int64 // how many blocks more are free after it
	inodes  int64
	took    []run // blocks that no file had before
	gave    []run // blocks that no file has after it
}

var errTooLarge = errors.New("the change is larger than the volume's journal; make it in several steps, or the journal larger with tune2fs -J")

var errTooLong = errors.New("it is said to be longer than its partition")

// log is the journal as it is written.
type log struct {
	*journal
	head uint32 // the next block of the ring
	left uint32 // blocks of the ring from there on that nothing needs
	next uint32 // number of the next transaction
}

// Unwritable says why the volume is only read; nil if it can be written.
func (v *FS) unwritable() error {
	const (
		roKnown = roSparseSuper | 0x2 | 0x8 | roGroupSum | 0x20 | 0x40 | roMetadataSum | roOrphans // large_file, huge_file, dir_nlink, extra_isize
		never   = 0x100 | 0x10000 | 0x400                                                          // mmp, encrypt, ea_inode
	)
	names := map[uint32]string{0x100: "quota", 0x200: "bigalloc", 0x1000: "read-only", 0x2000: "project", 0x4000: "shared_blocks", 0x8000: "verity"}
	switch unknown := v.roCompat &^ roKnown; {
	case v.state&2 != 0:
		return errors.New("errors were found on it: check it with e2fsck")
	case v.compat&compatJournal == 0 || v.journal == 0:
		return errors.New("it has no journal, without which a cut of power could damage it; tune2fs -j gives it one")
	case v.incompat&0x40 == 0:
		return errors.New("it is ext2 or ext3, whose files have no extents; tune2fs -O extent makes it ext4")
	case v.incompat&incompatType == 0 || v.incompat&(never|incompatLarge) != 0:
		return fmt.Errorf("it has features of ext4 with which AlphaOS only reads (incompat %#x); use one made with mkfs.ext4", v.incompat)
	case unknown != 0:
		var list []string
		for bit := uint32(1); bit != 0; bit <<= 1 {
			if unknown&bit != 0 {
				list = append(list, cmp.Or(names[bit], fmt.Sprintf("ro_compat %#x", bit)))
			}
		}
		return fmt.Errorf("it has features of ext4 with which AlphaOS only reads (%v); use one made with mkfs.ext4", list)
	case v.disorder != nil:
		return fmt.Errorf("it has orphans that wait to be removed, which were deleted while they were open, and the list of them is damaged (%s); check it with e2fsck", reason(v.disorder))
	case v.blocks > uint64(v.vol.Size()/v.block):
		return errTooLong
	case int64(v.perGroup) > 8*v.block:
		return fmt.Errorf("it claims %d blocks in a group: %s", v.perGroup, remedy)
	}
	return nil
}

// Writable returns nil if the volume can be written, or else why not.
func (v *FS) Writable() error {
	if err := v.unwritable(); err != nil {
		return fs.Unwritable{Why: err}
	}
	return nil
}

// touch makes the volume ready for changes, which all come after it.
func (v *FS) touch() error {
	if v.broken != nil { // perhaps the medium is well again: what of the change is there, its journal tells
		if err := v.load(); err != nil {
			v.broken = err
			return fmt.Errorf("an earlier change has failed half-way, and the volume can't be read anew: %w", err)
		}
	}
	if v.inUse {
		return nil
	}
	if err := v.Writable(); err != nil {
		return err
	}
	if _, err := v.zones(); err != nil {
		return fs.Unwritable{Why: err}
	}
	fail := func(err error) error { return fmt.Errorf("preparing the volume's journal: %w", err) }
	j, err := v.openJournal()
	if err != nil {
		return fail(err)
	}
	next, ended := j.sequence, j.start == 0
	if !ended {
		if _, next, err = j.scan(); err != nil {
			return fail(err)
		}
		if j.features&journalFast != 0 && j.fastCommits(next) {
			return errors.New("the volume is only read: what was saved last on it is in fast commits; have a computer with Linux mount it once")
		}
		next++ // which a commit block that was torn may have
	}
	if next == 0 {
		next = 1
	}
	if err := v.settle(); err != nil {
		return fail(err)
	}
	if err := v.markUse(true); err != nil {
		return fail(err)
	}
	v.log = &log{journal: j, head: j.first, left: j.end - j.first - 1, next: next}
	v.log.prepare()
	if ended && !v.marked {
		v.log.next++ // so that no earlier one leads to it
		err = v.log.stop()
	}
	if err == nil {
		err = v.log.mark(v.log.head)
	}
	if err == nil && !ended && !v.marked { // not before, since what is there is still needed
		err = v.log.stop()
	}
	if err != nil {
		return fail(err)
	}
	v.logged, v.inUse, v.marked, v.waiting = map[uint64][]byte{}, true, true, false
	if v.bitmaps == nil {
		v.bitmaps = map[uint64][]byte{}
	}
	switch err := v.removeOrphans(); {
	case err == nil:
	case v.broken != nil: // the medium
		return fmt.Errorf("removing files that were deleted while they were open: %w", err)
	default: // they stay as they are, with their blocks, and are no reason to refuse changes of all else
		v.note("Files that were deleted while they were open can't be removed, and take room: %s. Check the volume with e2fsck.", reason(err))
	}
	return nil
}

// settle copies what waits in the journal to its places, the superblock last: if that is torn, its backup leads to all else.
func (v *FS) settle() error {
	b := make([]byte, v.block)
	order := slices.Clone(v.replayed)
	slices.SortStableFunc(order, func(a, b replayed) int { return v.isSuper(a.block) - v.isSuper(b.block) })
	for _, r := range order {
		if v.isSuper(r.block) > 0 {
			if err := v.dev.Flush(); err != nil {
				return err
			}
		}
		if err := v.readAt(int64(r.block)*v.block, b); err != nil {
			return err
		}
		if err := v.vol.Write(b, int64(r.block)*v.block); err != nil {
			return err
		}
	}
	if len(v.replayed) > 0 {
		if err := v.dev.Flush(); err != nil {
			return err
		}
	}
	v.replayed = nil
	v.mu.Lock()
	clear(v.chunks)
	v.mu.Unlock()
	return nil
}

// isSuper is 1 for the block with the superblock.
func (v *FS) isSuper(block uint64) int {
	if block == uint64(superAt/v.block) {
		return 1
	}
	return 0
}

// counted returns a number of the superblock, whose upper half may be elsewhere.
func (v *FS) counted(s []byte, low, high int) int64 {
	n := int64(binary.LittleEndian.Uint32(s[low:]))
	if high > 0 && v.incompat&incompat64 != 0 {
		n |= int64(binary.LittleEndian.Uint32(s[high:])) << 32
	}
	return n
}

// putCounts says in a superblock how many blocks and inodes are free.
func (v *FS) putCounts(s []byte, blocks, inodes int64) {
	binary.LittleEndian.PutUint32(s[0xC:], uint32(blocks))
	if v.incompat&incompat64 != 0 {
		binary.LittleEndian.PutUint32(s[0x158:], uint32(blocks>>32))
	}
	binary.LittleEndian.PutUint32(s[0x10:], uint32(inodes))
}

// editSuper changes the superblock, as a part of the change under way.
func (v *FS) editSuper(f func(s []byte)) error {
	b, err := v.edit(uint64(superAt / v.block))
	if err != nil {
		return err
	}
	s := b[superAt%v.block:][:superSize]
	f(s)
	v.sealSuper(s)
	return nil
}

func (v *FS) sealSuper(s []byte) {
	if v.is(roMetadataSum) {
		binary.LittleEndian.PutUint32(s[0x3FC:], crc32c(^uint32(0), s[:0x3FC]))
	}
}

// markUse says in the superblock whether the journal may have something. What is free is counted anew, since
// Linux brings that up to date only now and then. It is written in place, and only if it must be: if it is torn, its backups know nearly all.
func (v *FS) markUse(use bool) error {
	at, group := int64(superAt), v.group
	if group != 0 {
		at = int64(v.groupStart(group)) * v.block
	}
	was := make([]byte, superSize)
	if err := v.vol.Read(was, at); err != nil {
		return err
	}
	b := bytes.Clone(was)
	v.incompat &^= incompatReplay
	if use {
		v.incompat |= incompatReplay
	}
	var blocks, inodes uint64
	for g := range v.groups {
		d, err := v.descriptor(g)
		if err != nil {
			return err
		}
		blocks += v.wide(d, freeBlocksAt, 0x2C)
		inodes += v.wide(d, freeInodesAt, 0x2E)
	}
	v.putCounts(b, int64(blocks), int64(inodes))
	binary.LittleEndian.PutUint32(b[0x60:], v.incompat)
	binary.LittleEndian.PutUint32(b[0x64:], v.roCompat) // a backup does not know of orphans
	binary.LittleEndian.PutUint16(b[0x5A:], 0)
	v.group = 0
	if group == 0 && bytes.Equal(b, was) {
		return nil
	}
	v.sealSuper(b)
	// Only the sectors that change can be torn.
	for i := int64(0); i < superSize; i += 512 {
		if group != 0 || !bytes.Equal(b[i:i+512], was[i:i+512]) {
			if err := v.vol.Write(b[i:i+512], superAt+i); err != nil {
				return err
			}
		}
	}
	v.forget(uint64(superAt / v.block))
	return v.dev.Flush()
}

// forget drops a block from the cache of what is read.
func (v *FS) forget(block uint64) {
	v.mu.Lock()
	delete(v.chunks, int64(block)*v.block&^(chunkSize-1))
	v.mu.Unlock()
}

// put writes a block of metadata to its place.
func (v *FS) put(block uint64, b []byte) error {
	v.forget(block)
	return v.vol.Write(b, int64(block)*v.block)
}

// prepare chooses the features of the journal as it is written from here on.
func (l *log) prepare() {
	l.features |= journalRevokes
	if l.v.incompat&incompat64 != 0 {
		l.features |= journal64
	}
	if l.v.is(roMetadataSum) {
		l.features = l.features&^journalSum2 | journalSum3
	}
	if l.sums() {
		l.sum1 = false
	}
	if l.sums() {
		l.seed = crc32c(^uint32(0), l.uuid)
	}
}

// stop writes a transaction that changes nothing, to which no earlier one leads. When the superblock is torn later on, the
// last transaction in the ring is this one, or one that follows, and rebuild goes no further back: an earlier one, which somebody else wrote
// and which is in its place for long, may have the content of a file (data=journal) that was overwritten in place since.
func (l *log) stop() error {
	frames, err := l.frames(nil, nil, []uint64{})
	if err != nil {
		return err
	}
	return l.commit(frames)
}

// commit writes a transaction. What seals it is the head of the commit block, of which all else is there already: so it can't be torn.
func (l *log) commit(frames [][]byte) error {
	last := l.last()
	err := l.write(append(frames, append(make([]byte, 12), last[12:]...)))
	if err == nil {
		err = l.v.dev.Flush()
	}
	if err == nil {
		err = l.seal(last)
	}
	if err == nil {
		err = l.v.dev.Flush()
	}
	l.next++
	return err
}

// mark writes the journal's superblock: the next transaction comes to block start of the ring, or there is none.
func (l *log) mark(start uint32) error {
	be := binary.BigEndian
	at, err := l.at(0)
	if err != nil {
		return err
	}
	b := make([]byte, l.v.block)
	if l.rebuilt {
		copy(b, journalMagic)
		be.PutUint32(b[4:], journalSuper2)
		be.PutUint32(b[0xC:], uint32(l.v.block))
		be.PutUint32(b[0x10:], l.end)
		be.PutUint32(b[0x14:], l.first)
		copy(b[0x30:], l.uuid)
		be.PutUint32(b[0x40:], 1)
		l.rebuilt = false
	} else if err := l.v.vol.Read(b, int64(at)*l.v.block); err != nil {
		return err
	}
	if be.Uint32(b[4:]) == journalSuper1 {
		be.PutUint32(b[4:], journalSuper2)
		clear(b[0x24:superSize])
		copy(b[0x30:], l.v.uuid)
		be.PutUint32(b[0x40:], 1)
	}
	l.uuid = bytes.Clone(b[0x30:0x40])
	be.PutUint32(b[0x18:], l.next)
	be.PutUint32(b[0x1C:], start)
	be.PutUint32(b[0x28:], l.features)
	be.PutUint32(b[0x58:], 0) // no head, which a Linux may have left: touch begins at the ring's beginning, and rebuild counts on that
	be.PutUint32(b[0x24:], be.Uint32(b[0x24:])&^journalSum1)
	if l.sums() {
		b[0x50] = 4
		l.seed = crc32c(^uint32(0), b[0x30:0x40])
		be.PutUint32(b[0xFC:], crc32cHole(^uint32(0), b[:superSize], 0xFC, 4))
	}
	l.sum1 = false
	if err := l.v.put(at, b); err != nil {
		return err
	}
	return l.v.dev.Flush()
}

// change makes one: f collects it in v.tx, and if it has no error all of it is committed.
func (v *FS) change(f func() error) error {
	v.big.Lock()
	defer v.big.Unlock()
	return v.changeLocked(f)
}

func (v *FS) changeLocked(f func() error) error {
	if err := v.touch(); err != nil {
		return err
	}
	return v.transact(f)
}

func (v *FS) transact(f func() error) error {
	v.tx = &tx{blocks: map[uint64][]byte{}, revoked: map[uint64]bool{}}
	defer func() { v.tx = nil }()
	err := f()
	if err == nil {
		err = v.commit()
	}
	// Directories may be elsewhere now, and have other blocks.
	v.mu.Lock()
	clear(v.origin)
	clear(v.owner)
	v.mu.Unlock()
	back := v.tx.gave
	if err != nil {
		back = v.tx.took
	}
	for _, r := range back {
		v.release(r)
	}
	return err
}

// edit returns a block of metadata to be changed.
func (v *FS) edit(block uint64) ([]byte, error) {
	if b, ok := v.tx.blocks[block]; ok {
		return b, nil
	}
	b, err := v.metadata(block, 0, v.block)
	if err != nil {
		return nil, err
	}
	b = bytes.Clone(b)
	v.tx.blocks[block] = b
	return b, nil
}

// blank returns a block that becomes metadata, all zeros.
func (v *FS) blank(block uint64) []byte {
	b := make([]byte, v.block)
	v.tx.blocks[block] = b
	delete(v.tx.revoked, block)
	return b
}

// commit writes v.tx to the journal.
func (v *FS) commit() error {
	t, l := v.tx, v.log
	if len(t.blocks) == 0 {
		return nil
	}
	if t.free != 0 || t.inodes != 0 {
		if err := v.editSuper(func(s []byte) { v.putCounts(s, v.counted(s, 0xC, 0x158)+t.free, v.counted(s, 0x10, 0)+t.inodes) }); err != nil {
			return err
		}
	}
	order := slices.Sorted(maps.Keys(t.blocks))
	var revoked []uint64
	for b := range t.revoked {
		revoked = append(revoked, b)
	}
	slices.Sort(revoked)
	frames, err := l.frames(order, t.blocks, revoked)
	if err != nil {
		return err
	}
	need := uint32(len(frames) + 1)
	if int64(len(frames)+1) > int64(l.end-l.first)-2 {
		return errTooLarge
	}
	if need > l.left || len(v.logged) > keepLogged {
		if err := v.checkpoint(); err != nil {
			v.broken = err
			return err
		}
	}
	if err := l.commit(frames); err != nil {
		v.broken = err // nobody knows what of it is there
		return err
	}
	for _, b := range order {
		v.logged[b] = t.blocks[b]
	}
	for b := range t.revoked {
		delete(v.logged, b)
	}
	return nil
}

// frames are the blocks of a transaction but for the last.
func (l *log) frames(order []uint64, blocks map[uint64][]byte, revoked []uint64) (frames [][]byte, err error) {
	be := binary.BigEndian
	control := func(kind uint32) []byte {
		b := make([]byte, l.v.block)
		copy(b, journalMagic)
		be.PutUint32(b[4:], kind)
		be.PutUint32(b[8:], l.next)
		return b
	}
	end := int(l.v.block)
	if l.sums() {
		end -= 4
	}
	finish := func(b []byte) {
		if l.sums() {
			be.PutUint32(b[end:], crc32cHole(l.seed, b, end, 4))
		}
	}
	width := 4
	if l.features&journal64 != 0 {
		width = 8
	}
	for empty := revoked != nil && len(order) == 0; empty || len(revoked) > 0; empty = false {
		b := control(journalRevoke)
		at := 16
		for ; len(revoked) > 0 && at+width <= end; at += width {
			if width == 8 {
				be.PutUint64(b[at:], revoked[0])
			} else {
				be.PutUint32(b[at:], uint32(revoked[0]))
			}
			revoked = revoked[1:]
		}
		be.PutUint32(b[12:], uint32(at))
		finish(b)
		frames = append(frames, b)
	}
	size := 8
	switch {
	case l.features&journalSum3 != 0:
		size = 16
	case l.features&journalSum2 != 0:
		size = 10
	}
	if size < 16 && l.features&journal64 != 0 {
		size += 4
	}
	for len(order) > 0 {
		d := control(journalDescriptor)
		at, last := 12, 0
		var copies [][]byte
		for len(order) > 0 {
			n := size
			if len(copies) == 0 {
				n += 16 // the journal's UUID, once
			}
			if at+n > end {
				break
			}
			block := order[0]
			order = order[1:]
			b, flags := blocks[block], uint32(0)
			if bytes.Equal(b[:4], journalMagic) {
				b = bytes.Clone(b)
				clear(b[:4])
				flags = tagEscaped
			}
			if len(copies) > 0 {
				flags |= tagSameUUID
			} else {
				copy(d[at+size:], l.uuid)
			}
			sum := crc32c(crc32c(l.seed, be.AppendUint32(nil, l.next)), b)
			e := d[at:]
			be.PutUint32(e, uint32(block))
			if size == 16 {
				be.PutUint32(e[4:], flags)
				be.PutUint32(e[12:], sum)
			} else {
				if l.sums() {
					be.PutUint16(e[4:], uint16(sum))
				}
				be.PutUint16(e[6:], uint16(flags))
			}
			if l.features&journal64 != 0 {
				be.PutUint32(e[8:], uint32(block>>32))
			}
			last = at
			at += n
			copies = append(copies, b)
		}
		flagsAt := last + 6
		be.PutUint16(d[flagsAt:], be.Uint16(d[flagsAt:])|tagLast)
		finish(d)
		frames = append(append(frames, d), copies...)
	}
	return frames, nil
}

// last is the commit block of the transaction.
func (l *log) last() []byte {
	be := binary.BigEndian
	b := make([]byte, l.v.block)
	copy(b, journalMagic)
	be.PutUint32(b[4:], journalCommit)
	be.PutUint32(b[8:], l.next)
	now := l.v.Clock()
	be.PutUint64(b[48:], uint64(now.Unix()))
	be.PutUint32(b[56:], uint32(now.Nanosecond()))
	if l.sums() {
		be.PutUint32(b[16:], crc32cHole(l.seed, b, 16, 4))
	}
	return b
}

// seal writes the sector of a commit block, which is the last before the head, that has its head.
func (l *log) seal(b []byte) error {
	last := l.head - 1
	if l.head == l.first {
		last = l.end - 1
	}
	at, err := l.at(last)
	if err != nil {
		return err
	}
	l.v.forget(at)
	return l.v.vol.Write(b[:min(len(b), 512)], int64(at)*l.v.block)
}

// write writes blocks to the head of the ring, in requests as large as the journal's place allows.
func (l *log) write(frames [][]byte) error {
	for len(frames) > 0 {
		at, err := l.at(l.head)
		if err != nil {
			return err
		}
		var buf []byte
		for len(frames) > 0 && len(buf) < 1<<20 {
			next, err := l.at(l.head)
			if err != nil {
				return err
			}
			if next != at+uint64(len(buf))/uint64(l.v.block) {
				break
			}
			l.v.forget(next)
			l.v.soil(l.head)
			buf, frames = append(buf, frames[0]...), frames[1:]
			l.head, l.left = l.after(l.head, 1), l.left-1
		}
		if err := l.v.vol.Write(buf, int64(at)*l.v.block); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint copies what is committed to its places, so that the ring is free again.
func (v *FS) checkpoint() error {
	order := slices.Sorted(maps.Keys(v.logged))
	order = slices.DeleteFunc(order, func(b uint64) bool { return v.isSuper(b) > 0 })
	for i := 0; i < len(order); {
		var buf []byte
		first := order[i]
		for ; i < len(order) && order[i] == first+uint64(len(buf))/uint64(v.block) && len(buf) < 1<<20; i++ {
			v.forget(order[i])
			buf = append(buf, v.logged[order[i]]...)
		}
		if err := v.vol.Write(buf, int64(first)*v.block); err != nil {
			return err
		}
	}
	if err := v.dev.Flush(); err != nil {
		return err
	}
	at := uint64(superAt / v.block)
	if b := v.logged[at]; b != nil { // last, as settle has it
		if err := v.put(at, b); err != nil {
			return err
		}
		if err := v.dev.Flush(); err != nil {
			return err
		}
	}
	if err := v.log.mark(v.log.head); err != nil {
		return err
	}
	clear(v.logged)
	v.log.left = v.log.end - v.log.first - 1
	return nil
}

// soil notes that a block of the ring holds something.
func (v *FS) soil(block uint32) {
	if v.soiled != nil {
		v.soiled[block/64] |= 1 << (block % 64)
	}
}

// Scrub takes what earlier changes left in the volume's journal off the medium: the names of files that were removed are there, and what
// other systems have put there. The first time it reads the whole journal, later on only what was written since. Between pieces of it others can
// use the volume, and it ends when ctx is done; what was not done then, or has failed, the next call does. It goes from the end of the ring to its
// beginning, where the last transactions are: while there are others' they are the last, as stop has it.
func (v *FS) Scrub(ctx context.Context) error {
	for end := uint32(maxJournal); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := v.scrubPiece(end)
		if err != nil || next == 0 {
			return err
		}
		end = next
	}
}

// scrubPiece does so with the last piece of the ring before block end, and returns where it begins, 0 if there was none.
func (v *FS) scrubPiece(end uint32) (begin uint32, err error) {
	const most = 1 << 20
	v.big.Lock()
	defer v.big.Unlock()
	if err := v.touch(); err != nil {
		return 0, err
	}
	if end == maxJournal || len(v.logged) > 0 { // so that nothing in the ring is needed
		if err := v.checkpoint(); err != nil {
			v.broken = err
			return 0, err
		}
	}
	j := v.log.journal
	whole := uint32(min(maxJournal, j.n.size/v.block)) // with the area of fast commits
	if v.soiled == nil {
		v.soiled = slices.Repeat([]uint64{^uint64(0)}, int(whole/64+1))
	}
	end = min(end, whole)
	soiled := func(block uint32) bool { return v.soiled[block/64]&(1<<(block%64)) != 0 }
	for end > j.first && !soiled(end-1) {
		end--
	}
	if end <= j.first {
		return 0, v.dev.Flush()
	}
	begin = end - 1
	where, err := j.at(begin)
	if err != nil {
		return 0, err
	}
	for begin > j.first && int64(end-begin)*v.block < most && soiled(begin-1) {
		if before, err := j.at(begin - 1); err != nil || before != where-1 {
			break
		}
		begin, where = begin-1, where-1
	}
	size := int64(end-begin) * v.block
	b, zeros := make([]byte, size), make([]byte, size)
	if err := v.vol.Read(b, int64(where)*v.block); err != nil || !bytes.Equal(b, zeros) { // what can't be read may be written
		if err := v.vol.Write(zeros, int64(where)*v.block); err != nil {
			return 0, err
		}
	}
	for block := begin; block < end; block++ {
		v.forget(where + uint64(block-begin))
		v.soiled[block/64] &^= 1 << (block % 64)
	}
	return begin, nil
}

// Sync puts the volume in order, so that another system has nothing to replay.
func (v *FS) Sync() error {
	v.big.Lock()
	defer v.big.Unlock()
	return v.sync()
}

func (v *FS) sync() error {
	if v.broken != nil || v.waiting && v.Writable() == nil {
		if err := v.touch(); err != nil {
			return err
		}
	}
	if !v.inUse {
		return nil
	}
	err := v.checkpoint()
	if err == nil {
		err = v.log.mark(0)
	}
	if err == nil {
		err = v.markUse(false)
	}
	if err != nil {
		v.broken = err
		return err
	}
	v.inUse = false
	return nil
}
