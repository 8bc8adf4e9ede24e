package exfat

// Where the bytes of a file are: neighbouring clusters, or a chain in the FAT, which has a
// 32-bit entry for each cluster with the number of the next one of the same file (4.1).
//
// The FAT is read in chunks, several at once when a long chain is followed, and kept; when
// the chunks kept exceed a bound all are dropped and read again as needed. A chain is
// trusted no further than the volume reaches: it can leave neither the clusters there are
// nor visit one twice.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"alphaos/fs/readfs"
)

const (
	entryBad = 0xFFFFFFF7
	entryEnd = 0xFFFFFFFF

	chunkSize  = 64 << 10 // bytes of the FAT
	readChunks = 16       // at most, in one request
	keepChunks = 128
	moreChunks = 1 << 14 // read for one chain, besides each once
	maxRuns    = 1 << 20 // in a file
)

// checkCluster tells why a file cannot have a cluster.
func (v *FS) checkCluster(c uint32) error {
	switch {
	case c >= 2 && c <= v.last:
		return nil
	case c >= 2 && c <= v.claimed:
		return fmt.Errorf("it reaches to cluster %d, and the partition or medium ends after %d: if the drive was copied, the copy is incomplete", c, v.last)
	case c == entryBad:
		return errors.New("its chain of clusters leads to a bad cluster: the volume is damaged; check it with fsck.exfat or the like")
	}
	return fmt.Errorf("its clusters lead to cluster %d, which does not exist: the volume is damaged; check it with fsck.exfat or the like", c)
}

// runs returns where size bytes are that begin in the cluster first.
func (v *FS) runs(first uint32, size int64, contiguous bool) ([]readfs.Run, error) {
	if size == 0 {
		return nil, nil
	}
	n := (size-1)/v.cluster + 1
	if n > int64(v.claimed)-1 {
		return nil, fmt.Errorf("its directory entry claims %d bytes, more than the volume holds: the volume is damaged; check it with fsck.exfat or the like", size)
	}
	if contiguous {
		if err := v.checkCluster(first); err != nil {
			return nil, err
		}
		// The last one decides; beyond all that there are it names the first that is not.
		if last := int64(first) + n - 1; last > int64(v.last) {
			return nil, v.checkCluster(uint32(min(last, int64(v.claimed)+1)))
		}
		return []readfs.Run{{Off: 0, At: v.at(first), Len: size}}, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	runs, _, err := v.chain(first, n, true)
	if err != nil {
		return nil, err
	}
	last := &runs[len(runs)-1]
	last.Len = size - last.Off // the last cluster may be used in part
	return runs, nil
}

// at returns where a cluster begins, in bytes.
func (v *FS) at(c uint32) int64 { return v.heapAt + int64(c-2)*v.cluster }

// written cuts runs where the written part of a file ends. What follows is zeros.
func written(runs []readfs.Run, valid int64) []readfs.Run {
	for i, r := range runs {
		if r.Off+r.Len <= valid {
			continue
		}
		last := runs[len(runs)-1]
		end := last.Off + last.Len
		runs = runs[:i]
		if valid > r.Off {
			r.Len = valid - r.Off
			runs = append(runs, r)
		}
		return append(runs, readfs.Run{Off: valid, At: readfs.Zeros, Len: end - valid})
	}
	return runs
}

// chain follows a chain of n clusters from first on. With exact unset it may end before,
// and more tells whether it goes on. v.mu is held.
func (v *FS) chain(first uint32, n int64, exact bool) (runs []readfs.Run, more bool, err error) {
	var chunk []byte
	index, ahead, read := int64(-1), int64(readChunks), int64(0)
	for c, at := first, int64(0); ; {
		if c == entryEnd && at > 0 {
			if exact {
				return nil, false, fmt.Errorf("it ends after %d of %d clusters: the volume is damaged; check it with fsck.exfat or the like", at, n)
			}
			return runs, false, checkRuns(runs)
		}
		if !exact && at == n {
			return runs, true, checkRuns(runs)
		}
		if err := v.checkCluster(c); err != nil {
			return nil, false, err
		}
		where := v.at(c)
		if k := len(runs) - 1; k >= 0 && runs[k].At+runs[k].Len == where {
			runs[k].Len += v.cluster
		} else if len(runs) == maxRuns || read > v.tableLen/chunkSize+moreChunks {
			return nil, false, errors.New("it lies in too many pieces: copy it off the drive and back again")
		} else {
			runs = append(runs, readfs.Run{Off: at * v.cluster, At: where, Len: v.cluster})
		}
		at++
		if exact && at == n {
			return runs, false, checkRuns(runs)
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
				hint = min(hint+(n-at)*4/chunkSize, ahead)
			}
			if v.tables[i] == nil {
				read++
			}
			if chunk, err = v.table(i, hint); err != nil {
				return nil, false, err
			}
			index = i
		}
		c = binary.LittleEndian.Uint32(chunk[int64(c)*4-index*chunkSize:])
	}
}

// checkRuns refuses runs that share clusters, which is what a chain that returns to itself
// looks like.
func checkRuns(runs []readfs.Run) error {
	sorted := runs
	byPlace := func(a, b readfs.Run) int { return int(a.At - b.At) }
	if !slices.IsSortedFunc(runs, byPlace) {
		sorted = slices.Clone(runs)
		slices.SortFunc(sorted, byPlace)
	}
	for i := 1; i < len(sorted); i++ {
		if sorted[i].At < sorted[i-1].At+sorted[i-1].Len {
			return errors.New("its chain of clusters returns to itself: the volume is damaged; check it with fsck.exfat or the like")
		}
	}
	return nil
}

// table returns a chunk of the FAT. hint is how many chunks from there on are likely to be
// asked for. v.mu is held.
func (v *FS) table(index, hint int64) ([]byte, error) {
	if b, ok := v.tables[index]; ok {
		return b, nil
	}
	off := index * chunkSize
	n := int64(1)
	for n < min(hint, readChunks) && off+n*chunkSize < v.tableLen && v.tables[index+n] == nil {
		n++
	}
	b := make([]byte, min(n*chunkSize, v.tableLen-off))
	if err := v.vol.Read(b, v.tableAt+off); err != nil {
		if n > 1 { // the bad block may be in what was only likely to be needed
			return v.table(index, 1)
		}
		return nil, fmt.Errorf("read the FAT: %w", err)
	}
	if int64(len(v.tables))+n > keepChunks {
		clear(v.tables)
	}
	first := b[:min(chunkSize, len(b))]
	for i := index; len(b) > 0; i++ {
		m := min(chunkSize, len(b))
		v.tables[i] = b[:m:m]
		b = b[m:]
	}
	return first, nil
}
