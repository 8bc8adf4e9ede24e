package fat

// Free room: which clusters the next file gets, how many are left, and how the volume says
// that it is being changed.
//
// Clusters are handed out in the order of their numbers, from where the last one was, so that
// files written one after the other lie in one piece each. A cluster is free when all FATs
// say so and nobody has it already: those that a Writer has taken are only in FS.reserved
// until it commits. What a file had that a reader still has open is freed when that is closed.
//
// Before its first change a volume is marked as being in use, and its count of free clusters
// as unknown; Sync writes the count and takes the mark away. Other systems check a marked
// volume. One that was marked when it was mounted, or on which the medium failed in the middle
// of a change, stays so until somebody has checked it.

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"sort"
	"sync/atomic"

	"alphaos/fs"
)

const (
	cleanShutdown = 1 << 27            // bit of FAT[1]: the volume is not in use
	bootDirty     = 65                 // byte of the boot sector, of which bit 0 says the contrary
	unknownCount  = ^uint32(0)         // of free clusters, in FSInfo
	infoLead      = "RRaA"             // FSInfo begins so,
	infoMid       = "rrAa"             // and goes on so at 484
	infoTail      = "\x00\x00\x55\xAA" // and ends so
	infoFree      = 488                // where its count is
	infoNext      = 492                // where to look for free ones
	chunkEntries  = chunkSize / 4      // of a FAT
)

// state is what a mounted volume knows of its free room and of what is under way.
type state struct {
	wasDirty bool   // when it was mounted, or since a change has failed half-way
	twoNames bool   // something may have two names, of which none may be removed
	dirty    bool   // it is marked as being in use
	free     uint32 // clusters, or unknownCount
	counted  bool   // free comes from the FAT, not from FSInfo
	next     uint32 // where to look for free ones
	full     []bool // chunks of the FAT with no free entry
	reserved []run  // clusters taken that are free in the FAT, by first
}

// watched is the medium, and tells whether a change may have been done in part: a write or a
// flush has failed since begin, or a read has after a write.
type watched struct {
	fs.BlockDevice
	wrote, failed atomic.Bool
}

func (w *watched) begin() {
	w.wrote.Store(false)
	w.failed.Store(false)
}

func (w *watched) ReadBlocks(lba uint64, p []byte) error {
	err := w.BlockDevice.ReadBlocks(lba, p)
	if err != nil && w.wrote.Load() {
		w.failed.Store(true)
	}
	return err
}

func (w *watched) WriteBlocks(lba uint64, p []byte) error {
	w.wrote.Store(true)
	err := w.BlockDevice.WriteBlocks(lba, p)
	if err != nil {
		w.failed.Store(true)
	}
	return err
}

func (w *watched) Flush() error {
	err := w.BlockDevice.Flush()
	if err != nil {
		w.failed.Store(true)
	}
	return err
}

// held is a file's clusters as long as readers have them.
type held struct {
	readers int
	doomed  []run // to be freed after them
}

// pin says where the entry of a pinned file is.
type pin struct {
	at    origin
	path  string
	users int
}

// readState finds out what the volume says of its free room. What cannot be read is unknown.
func (v *FS) readState() {
	if v.full != nil {
		return
	}
	v.free, v.next = unknownCount, 2
	v.full = make([]bool, int64(v.last)/chunkEntries+1)
	b, ok := v.readInfo()
	if !ok {
		return
	}
	le := binary.LittleEndian
	if next := le.Uint32(b[infoNext:]); next >= 2 && next <= v.last {
		v.next = next
	}
	if free := le.Uint32(b[infoFree:]); !v.wasDirty && free < v.last {
		v.free = free
	}
}

// readInfo returns the sector FSInfo, and whether it is one.
func (v *FS) readInfo() ([]byte, bool) {
	b := make([]byte, 512)
	if v.info == 0 || v.readAt(v.info, b) != nil {
		return b, false
	}
	return b, string(b[:4]) == infoLead && string(b[484:488]) == infoMid && string(b[508:512]) == infoTail
}

func (v *FS) writeInfo(free uint32) error {
	b, ok := v.readInfo()
	if !ok {
		return nil
	}
	le := binary.LittleEndian
	if le.Uint32(b[infoFree:]) == free && le.Uint32(b[infoNext:]) == v.next {
		return nil
	}
	le.PutUint32(b[infoFree:], free)
	le.PutUint32(b[infoNext:], v.next)
	return v.writeAt(v.info, b)
}

// Dirty tells whether the volume was not put in order when it was last used, its boot sector is
// damaged, or a change has failed half-way since: somebody should check it.
func (v *FS) Dirty() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.wasDirty || v.fromBackup
}

// Reread forgets what is known of the tables and directories: the medium was away, and somebody may have changed them. Files that are open
// must be where they were, as whatever changes a volume leaves those that it has no business with.
func (v *FS) Reread() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.tables)
	clear(v.dirs)
	clear(v.origin)
	clear(v.owner)
	v.entries, v.full, v.dirty = 0, nil, false
	if _, err := v.loadDir(v.root, origin{}); err != nil {
		return err
	}
	v.readState()
	return v.count()
}

// changeable returns nil if the layout of the volume is known well enough to change it.
func (v *FS) changeable() error {
	switch {
	case v.short:
		return errors.New("the volume is said to be longer than it is: nothing new is written on it")
	case v.cluster%v.block != 0 || v.dataAt%v.block != 0:
		return errors.New("the clusters of the volume are not whole blocks of the device: nothing new is written on it")
	case v.fromBackup:
		return errors.New("the volume's boot sector is damaged: have it repaired before anything new is written on it")
	case v.twoNames:
		return errors.New("a file or directory may have two names since the medium failed while it was renamed: have the volume checked before anything new is written on it")
	}
	return nil
}

// touch marks the volume as being in use. All changes come after it.
func (v *FS) touch() error {
	if err := v.changeable(); err != nil || v.dirty {
		return err
	}
	v.readState()
	if err := v.mark(true); err != nil {
		return err
	}
	if err := v.writeInfo(unknownCount); err != nil {
		return err
	}
	if err := v.dev.Flush(); err != nil {
		return err
	}
	v.dirty = true
	return nil
}

// mark says in the boot sector and in the FATs whether the volume is in use.
func (v *FS) mark(dirty bool) error {
	boot := make([]byte, 512)
	if err := v.readAt(0, boot); err != nil {
		return err
	}
	one, err := v.tableEntry(1)
	if err != nil {
		return err
	}
	if was := boot[bootDirty]&1 != 0; was != dirty {
		boot[bootDirty] ^= 1
		if err := v.writeAt(0, boot); err != nil {
			return err
		}
	}
	next := one | cleanShutdown
	if dirty {
		next = one &^ cleanShutdown
	}
	if next == one {
		return nil
	}
	return v.setEntry(1, next)
}

// Sync makes all that was committed durable and takes the mark of being in use away, so that
// other systems find the volume in order. What a Writer has not committed is not part of it.
func (v *FS) Sync() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	fail := func(err error) error { return fmt.Errorf("the volume could not be put in order: %w", err) }
	if err := v.dev.Flush(); err != nil {
		return fail(err)
	}
	if !v.dirty {
		return nil
	}
	for _, h := range v.held {
		if len(h.doomed) > 0 { // they are nobody's, and not free
			return nil
		}
	}
	// Until then the count is said to be unknown, so it may come later than the mark.
	if err := v.writeInfo(v.free); err != nil {
		return fail(err)
	}
	if !v.wasDirty {
		if err := v.mark(false); err != nil {
			return fail(err)
		}
		v.dirty = false
	}
	if err := v.dev.Flush(); err != nil {
		return fail(err)
	}
	return nil
}

// Free returns how many bytes are free. If the volume does not tell, all of a FAT is read.
func (v *FS) Free() (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readState()
	if v.free == unknownCount {
		if err := v.count(); err != nil {
			return 0, err
		}
	}
	n := int64(v.free)
	for _, r := range v.reserved {
		n -= int64(r.count)
	}
	return max(n, 0) * v.cluster, nil
}

// count counts the free clusters.
func (v *FS) count() error {
	n := uint32(0)
	err := v.freeRuns(2, v.last, v.last, true, func(r run) bool { n += r.count; return true })
	if err != nil {
		return fmt.Errorf("the free room could not be counted: %w", err)
	}
	v.free, v.counted = n, true
	return nil
}

// ClusterSize returns the bytes in a cluster, of which each file takes whole ones.
func (v *FS) ClusterSize() int64 { return v.cluster }

// Size returns how many bytes the volume has for files and directories.
func (v *FS) Size() int64 { return (int64(v.last) - 1) * v.cluster }

// freeRuns calls f for the runs of free clusters from first to last until it returns false;
// a run ends with a chunk of the table, or has most. Reserved ones are not free, unless all
// is set.
func (v *FS) freeRuns(first, last, most uint32, all bool, f func(run) bool) error {
	le := binary.LittleEndian
	for c := int64(first); c <= int64(last); {
		index := c / chunkEntries
		end := min((index+1)*chunkEntries, int64(last)+1)
		if v.full[index] {
			c = end
			continue
		}
		whole := c%chunkEntries == 0 || c == 2
		found := false
		var chunks [][]byte
		for _, copy := range v.tablesInUse() {
			chunk, err := v.table(tableChunk{copy, index}, readChunks)
			if err != nil {
				return err
			}
			chunks = append(chunks, chunk)
		}
		for c < end {
			r := run{first: uint32(c)}
			for ; c < end && r.count < most; c++ {
				at := (c - index*chunkEntries) * 4
				free := true
				for _, chunk := range chunks {
					free = free && le.Uint32(chunk[at:])&entryMask == 0
				}
				if !free {
					break
				}
				r.count++
			}
			if r.count < most {
				c++
			}
			found = found || r.count > 0
			for r.count > 0 {
				part := r
				if !all {
					part = v.unreserved(r)
				}
				if part.count > 0 && !f(part) {
					return nil
				}
				next := part.first + part.count
				r.count -= next - r.first
				r.first = next
			}
		}
		c = end
		if whole && !found && (end == (index+1)*chunkEntries || end == int64(v.last)+1) {
			v.full[index] = true
		}
	}
	return nil
}

// unreserved returns the first part of r that is not reserved; it may be empty, at the end.
func (v *FS) unreserved(r run) run {
	end := r.first + r.count
	i := sort.Search(len(v.reserved), func(i int) bool { return v.reserved[i].first+v.reserved[i].count > r.first })
	for ; i < len(v.reserved) && v.reserved[i].first <= r.first && r.first < end; i++ {
		r.first = min(end, v.reserved[i].first+v.reserved[i].count)
	}
	if i < len(v.reserved) {
		end = min(end, max(r.first, v.reserved[i].first))
	}
	return run{first: r.first, count: end - r.first}
}

// reserve takes clusters that are free.
func (v *FS) reserve(r run) {
	i := sort.Search(len(v.reserved), func(i int) bool { return v.reserved[i].first > r.first })
	if i > 0 && v.reserved[i-1].first+v.reserved[i-1].count == r.first {
		v.reserved[i-1].count += r.count
		return
	}
	v.reserved = slices.Insert(v.reserved, i, run{first: r.first, count: r.count})
}

// unreserve gives back clusters, or leaves them to the FAT.
func (v *FS) unreserve(runs []run) {
	for _, r := range runs {
		for i := 0; i < len(v.reserved) && r.count > 0; i++ {
			q := v.reserved[i]
			from, to := max(q.first, r.first), min(q.first+q.count, r.first+r.count)
			if from >= to {
				continue
			}
			var rest []run
			if q.first < from {
				rest = append(rest, run{first: q.first, count: from - q.first})
			}
			if to < q.first+q.count {
				rest = append(rest, run{first: to, count: q.first + q.count - to})
			}
			v.reserved = slices.Replace(v.reserved, i, i+1, rest...)
			i += len(rest) - 1
		}
	}
}

// alloc takes n free clusters, in as few pieces as it finds at once: behind the cluster
// after, if that is not 0, or else from where the last ones were.
func (v *FS) alloc(n, after uint32) ([]run, error) {
	if n == 0 {
		return nil, nil
	}
	v.readState()
	if v.free != unknownCount && n > v.free && !v.counted { // FSInfo may be wrong
		if err := v.count(); err != nil {
			return nil, err
		}
	}
	if v.free != unknownCount && n > v.free {
		return nil, fs.ErrNoRoom
	}
	var runs []run
	got := uint32(0)
	take := func(r run) bool {
		r.count = min(r.count, n-got)
		runs = appendRun(runs, r)
		v.reserve(r)
		got += r.count
		v.next = r.first + r.count - 1
		return got < n
	}
	start := v.next
	if after != 0 && after < v.last {
		start = after + 1
	}
	for _, part := range [][2]uint32{{start, v.last}, {2, start - 1}} {
		if got < n && part[0] <= part[1] {
			if err := v.freeRuns(part[0], part[1], n, false, take); err != nil {
				v.unreserve(runs)
				return nil, err
			}
		}
	}
	if got < n {
		v.unreserve(runs)
		return nil, fs.ErrNoRoom
	}
	return runs, nil
}

// findPiece returns n neighbouring free clusters.
func (v *FS) findPiece(n int64) (found run, err error) {
	v.readState()
	for _, part := range [][2]uint32{{v.next, v.last}, {2, v.last}} {
		var r run
		err = v.freeRuns(part[0], part[1], v.last, false, func(q run) bool {
			if r.count > 0 && r.first+r.count == q.first {
				r.count += q.count
			} else {
				r = q
			}
			return int64(r.count) < n
		})
		if err != nil {
			return run{}, err
		}
		if n > 0 && int64(r.count) >= n {
			return run{first: r.first, count: uint32(n)}, nil
		}
	}
	return run{}, fmt.Errorf("%w in one piece", fs.ErrNoRoom)
}

// appendRun adds a run of clusters to those of a file.
func appendRun(runs []run, r run) []run {
	if k := len(runs) - 1; k >= 0 {
		last := &runs[k]
		if last.first+last.count == r.first {
			last.count += r.count
			return runs
		}
		r.at = last.at + last.count
	} else {
		r.at = 0
	}
	return append(runs, r)
}

// clustersIn returns how many clusters runs have.
func clustersIn(runs []run) uint32 {
	if len(runs) == 0 {
		return 0
	}
	r := runs[len(runs)-1]
	return r.at + r.count
}

// firstOf returns the first cluster, 0 if there is none.
func firstOf(runs []run) uint32 {
	if len(runs) == 0 {
		return 0
	}
	return runs[0].first
}

// lastOf returns the last cluster, 0 if there is none.
func lastOf(runs []run) uint32 {
	if len(runs) == 0 {
		return 0
	}
	r := runs[len(runs)-1]
	return r.first + r.count - 1
}

// cutRuns returns the first n clusters of runs, and the others.
func cutRuns(runs []run, n uint32) (head, tail []run) {
	for _, r := range runs {
		if k := min(r.count, n-min(n, r.at)); k > 0 {
			head = append(head, run{r.first, k, r.at})
			r = run{r.first + k, r.count - k, 0}
		}
		if r.count > 0 {
			tail = appendRun(tail, r)
		}
	}
	return head, tail
}

// claim writes the chain of clusters that were reserved, which no file has yet; the last leads
// to next. It is on the medium after the next flush.
func (v *FS) claim(runs []run, next uint32) error {
	if len(runs) == 0 {
		return nil
	}
	if err := v.linkRuns(runs, next); err != nil {
		return err
	}
	v.unreserve(runs)
	if v.free != unknownCount {
		v.free -= min(v.free, clustersIn(runs))
	}
	return nil
}

// release frees the clusters of a file that begins, or began, with the cluster first, once
// nobody reads them. No entry must lead to them on the medium.
func (v *FS) release(first uint32, runs []run) error {
	if h := v.held[first]; h != nil {
		h.doomed = append(h.doomed, runs...)
		return nil
	}
	for _, r := range runs {
		if err := v.setEntries(r.first, r.count, func(uint32) uint32 { return 0 }); err != nil {
			return err
		}
		for i := int64(r.first) / chunkEntries; i <= int64(r.first+r.count-1)/chunkEntries; i++ {
			v.full[i] = false
		}
		if v.free != unknownCount {
			v.free += r.count
		}
	}
	return nil
}

// hold keeps the clusters of a file for a reader.
func (v *FS) hold(first uint32) {
	if first == 0 {
		return
	}
	if v.held[first] == nil {
		v.held[first] = &held{}
	}
	v.held[first].readers++
}

// letGo ends what hold began.
func (v *FS) letGo(name string, first uint32) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.held[first]
	if h == nil {
		return nil
	}
	if h.readers--; h.readers > 0 {
		return nil
	}
	delete(v.held, first)
	if len(h.doomed) == 0 {
		return nil
	}
	return v.changeLocked("close", name, func() error { return v.release(0, h.doomed) })
}

// pin keeps a file where it is.
func (v *FS) pin(op, name string, e entry) error {
	if v.writers[keyOf(e)] != nil {
		return &iofs.PathError{Op: op, Path: name, Err: fs.ErrBusy}
	}
	if e.first != 0 {
		p := v.pins[e.first]
		v.pins[e.first] = pin{at: e.origin, path: name, users: p.users + 1}
	}
	return nil
}

// unpin ends what pin began.
func (v *FS) unpin(e entry) {
	p, ok := v.pins[e.first]
	if !ok {
		return
	}
	if p.users--; p.users == 0 {
		delete(v.pins, e.first)
		return
	}
	v.pins[e.first] = p
}
