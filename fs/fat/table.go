package fat

// The file allocation table: one 32-bit entry for each cluster, of which 28
// bits count, that holds the number of the next cluster of the same file.
//
// It is read in chunks, several at once when a long chain is followed, and
// kept; when the chunks kept exceed a bound all are dropped and read again
// as needed, so that a volume of 2 TiB takes no more memory than a small one.
// What is changed in a chunk is written at once, to each copy of the table; of
// each copy only the entries in question change. A chain is trusted no further
// than the volume reaches: it can leave neither the clusters there are nor
// visit one twice.
//
// All of it is under FS.mu.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	entryMask = 0x0FFFFFFF
	entryBad  = 0x0FFFFFF7
	entryEnd  = 0x0FFFFFF8 // this and above

	chunkSize  = 64 << 10 // bytes of the table
	readChunks = 16       // at most, in one request
	keepChunks = 128
	moreChunks = 1 << 14 // read for one chain, besides each once
	maxRuns    = 1 << 20 // in a file
)

type tableChunk struct {
	copy  int
	index int64
}

// run is count neighbouring clusters from first on; at is how many clusters
// of the file come before them.
type run struct{ first, count, at uint32 }

var errReadFAT = errors.New("read FAT")

// ErrDisagree is returned, wrapped, for a file that is to be changed and that the FATs have in different places,
// or only a copy of the one in use has: its clusters may belong to others by now. Check mends that.
var ErrDisagree = errors.New("the FATs do not agree on where it lies: have the volume checked before this is changed")

// fileRuns returns where the content of e is, for reading.
func (v *FS) fileRuns(e entry) ([]run, error) {
	runs, _, err := v.fileChain(e)
	return runs, err
}

// ownRuns returns where the content of e is, for whoever writes there or frees it.
func (v *FS) ownRuns(e entry) ([]run, error) {
	runs, stray, err := v.fileChain(e)
	if stray {
		return nil, ErrDisagree
	}
	return runs, err
}

// pinnedRuns is ownRuns for whoever writes there without asking again: no other FAT may have a whole chain that
// leads elsewhere, which may be the right one.
func (v *FS) pinnedRuns(e entry) ([]run, error) {
	runs, err := v.ownRuns(e)
	if err != nil || !v.mirrored || e.size == 0 {
		return runs, err
	}
	for c := range v.copies {
		if c == v.active {
			continue
		}
		if others, cerr := v.follow(c, e.first, uint32(clustersIn(runs)), true); cerr == nil && !slices.Equal(runs, others) {
			return nil, ErrDisagree
		}
	}
	return runs, nil
}

func (v *FS) fileChain(e entry) (runs []run, stray bool, err error) {
	if e.size == 0 {
		return nil, false, nil
	}
	n := (int64(e.size) + v.cluster - 1) / v.cluster
	if n > int64(v.last)-1 {
		return nil, false, fmt.Errorf("its directory entry claims %d bytes, more than the volume holds", e.size)
	}
	return v.chain(e.first, uint32(n), true)
}

// chain follows a chain of clusters from first on: exactly n of them, or
// with exact unset to its end, which must come within n. When one FAT
// cannot be read or has a broken chain, its copies are tried; stray tells that
// the FAT in use says otherwise.
func (v *FS) chain(first, n uint32, exact bool) (runs []run, stray bool, err error) {
	runs, err = v.follow(v.active, first, n, exact)
	if err == nil || !v.mirrored {
		return runs, false, err
	}
	for c := range v.copies {
		if c == v.active {
			continue
		}
		if runs, cerr := v.follow(c, first, n, exact); cerr == nil {
			return runs, !errors.Is(err, errReadFAT), nil
		}
	}
	return nil, false, err
}

func (v *FS) follow(copy int, first, n uint32, exact bool) ([]run, error) {
	var runs []run
	var chunk []byte
	index, ahead, read := int64(-1), int64(readChunks), int64(0)
	for c, at := first, uint32(0); ; {
		switch {
		case c >= 2 && c <= v.last:
		case c >= 2 && c <= v.claimed:
			return nil, fmt.Errorf("it reaches to cluster %d, and the partition or medium, or the FAT, ends after %d: if the drive was copied, the copy is incomplete", c, v.last)
		case c < entryBad:
			return nil, fmt.Errorf("its chain of clusters leads to cluster %d, which does not exist: the volume is damaged; check it with fsck.fat or the like", c)
		case c == entryBad:
			return nil, errors.New("its chain of clusters leads to a bad cluster: the volume is damaged; check it with fsck.fat or the like")
		default: // the end
			if exact {
				return nil, fmt.Errorf("it ends after %d of %d clusters: the volume is damaged; check it with fsck.fat or the like", at, n)
			}
			return runs, checkRuns(runs)
		}
		if at == n { // only when not exact
			return nil, errors.New("its chain of clusters is too long or has no end: the volume is damaged; check it with fsck.fat or the like")
		}
		if k := len(runs) - 1; k >= 0 && runs[k].first+runs[k].count == c {
			runs[k].count++
		} else if len(runs) == maxRuns || read > v.tableLen/chunkSize+moreChunks {
			return nil, errors.New("it lies in too many pieces: copy it off the drive and back again")
		} else {
			runs = append(runs, run{c, 1, at})
		}
		at++
		if exact && at == n {
			return runs, checkRuns(runs)
		}
		if i := int64(c) * 4 / chunkSize; i != index {
			// More than one at once is of use as long as the chain goes on in the next.
			if i == index+1 {
				ahead = min(2*ahead, readChunks)
			} else if index >= 0 {
				ahead = 1
			}
			hint := int64(1)
			if exact {
				hint = min(hint+int64(n-at)*4/chunkSize, ahead)
			}
			if _, ok := v.tables[tableChunk{copy, i}]; !ok {
				read++
			}
			var err error
			if chunk, err = v.table(tableChunk{copy, i}, hint); err != nil {
				return nil, err
			}
			index = i
		}
		// Neighbours, of which there may be a million, two at a time.
		const both = entryMask | entryMask<<32
		b := chunk[int64(c)*4-index*chunkSize:]
		most := min(n-at, v.last-c, uint32(len(b)/4-1)) // after c, with entries in the chunk
		more, rest := uint32(0), b
		for want := uint64(c+1) | uint64(c+2)<<32; more+2 <= most && len(rest) >= 8 && binary.LittleEndian.Uint64(rest)&both == want; want += 2 | 2<<32 {
			more, rest = more+2, rest[8:]
		}
		if more < most && binary.LittleEndian.Uint32(rest)&entryMask == c+more+1 {
			more, rest = more+1, rest[4:]
		}
		runs[len(runs)-1].count += more
		at, c = at+more, c+more
		next := binary.LittleEndian.Uint32(rest) & entryMask
		if exact && at == n {
			return runs, checkRuns(runs)
		}
		c = next
	}
}

// checkRuns refuses runs that share clusters, which is what a chain that
// returns to itself looks like.
func checkRuns(runs []run) error {
	sorted := runs
	byFirst := func(a, b run) int { return int(int64(a.first) - int64(b.first)) }
	if !slices.IsSortedFunc(runs, byFirst) {
		sorted = slices.Clone(runs)
		slices.SortFunc(sorted, byFirst)
	}
	for i := 1; i < len(sorted); i++ {
		if sorted[i].first < sorted[i-1].first+sorted[i-1].count {
			return errors.New("its chain of clusters returns to itself: the volume is damaged; check it with fsck.fat or the like")
		}
	}
	return nil
}

// table returns a chunk of a FAT. hint is how many chunks from there on are
// likely to be asked for.
func (v *FS) table(k tableChunk, hint int64) ([]byte, error) {
	if b, ok := v.tables[k]; ok {
		return b, nil
	}
	off := k.index * chunkSize
	n := int64(1)
	for n < min(hint, readChunks) && off+n*chunkSize < v.tableLen {
		if _, ok := v.tables[tableChunk{k.copy, k.index + n}]; ok {
			break
		}
		n++
	}
	b := make([]byte, min(n*chunkSize, v.tableLen-off))
	if err := v.readAt(v.tableAt+int64(k.copy)*v.tableLen+off, b); err != nil {
		if n > 1 { // the bad block may be in what was only likely to be needed
			return v.table(k, 1)
		}
		return nil, fmt.Errorf("%w %d: %w", errReadFAT, k.copy+1, err)
	}
	if int64(len(v.tables))+n > keepChunks {
		clear(v.tables)
	}
	first := b[:min(chunkSize, len(b))]
	for i := int64(0); len(b) > 0; i++ {
		m := min(chunkSize, len(b))
		v.tables[tableChunk{k.copy, k.index + i}] = b[:m:m]
		b = b[m:]
	}
	return first, nil
}

// tableEntry returns what the FAT in use says of a cluster.
func (v *FS) tableEntry(c uint32) (uint32, error) {
	index := int64(c) * 4 / chunkSize
	chunk, err := v.table(tableChunk{v.active, index}, 1)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(chunk[int64(c)*4-index*chunkSize:]) & entryMask, nil
}

// eachEntry calls f for the entry of each cluster in the FAT in use. f may change those that it
// has been called for.
func (v *FS) eachEntry(f func(c, next uint32) error) error {
	for c := int64(2); c <= int64(v.last); {
		index := c / chunkEntries
		chunk, err := v.table(tableChunk{v.active, index}, readChunks)
		if err != nil {
			return err
		}
		for end := min((index+1)*chunkEntries, int64(v.last)+1); c < end; c++ {
			if err := f(uint32(c), binary.LittleEndian.Uint32(chunk[(c-index*chunkEntries)*4:])&entryMask); err != nil {
				return err
			}
		}
	}
	return nil
}

// tablesInUse are the FATs to write: all, or the one that the boot sector names.
func (v *FS) tablesInUse() []int {
	if !v.mirrored {
		return []int{v.active}
	}
	list := []int{v.active}
	for c := range v.copies {
		if c != v.active {
			list = append(list, c)
		}
	}
	return list
}

// setEntries sets the entries of count clusters from first on, in all FATs in use. Four
// bits of an entry are not ours.
func (v *FS) setEntries(first, count uint32, next func(c uint32) uint32) error {
	le := binary.LittleEndian
	for _, copy := range v.tablesInUse() {
		for c := int64(first); c < int64(first)+int64(count); {
			index := c * 4 / chunkSize
			chunk, err := v.table(tableChunk{copy, index}, 1)
			if err != nil {
				return err
			}
			from := c*4 - index*chunkSize
			to := min((int64(first)+int64(count))*4-index*chunkSize, int64(len(chunk)))
			if to <= from {
				return fmt.Errorf("FAT %d has no entry for cluster %d", copy+1, c)
			}
			for at := from; at < to; at, c = at+4, c+1 {
				le.PutUint32(chunk[at:], le.Uint32(chunk[at:])&^entryMask|next(uint32(c)))
			}
			// In whole blocks, if the chunk has them, so that none is read first.
			from &^= v.block - 1
			to = min((to+v.block-1)&^(v.block-1), int64(len(chunk)))
			if err := v.writeAt(v.tableAt+int64(copy)*v.tableLen+index*chunkSize+from, chunk[from:to]); err != nil {
				delete(v.tables, tableChunk{copy, index})
				v.free = unknownCount
				return fmt.Errorf("write FAT %d: %w", copy+1, err)
			}
		}
	}
	return nil
}

// setEntry sets the entry of one cluster.
func (v *FS) setEntry(c, next uint32) error {
	return v.setEntries(c, 1, func(uint32) uint32 { return next })
}

// linkRuns makes one chain of the clusters in runs; the last leads to next.
func (v *FS) linkRuns(runs []run, next uint32) error {
	for i, r := range runs {
		last, after := r.first+r.count-1, next
		if i+1 < len(runs) {
			after = runs[i+1].first
		}
		err := v.setEntries(r.first, r.count, func(c uint32) uint32 {
			if c == last {
				return after
			}
			return c + 1
		})
		if err != nil {
			return err
		}
	}
	return nil
}
