package ext4

// Reading bytes of the volume: straight from the device, through what the journal has to say,
// and through a cache of what is not content of files.

import (
	"fmt"
	"sort"
)

const (
	chunkSize  = 64 << 10 // of metadata, read at once: neighbours are often wanted next
	keepChunks = 256
)

// readAt reads bytes of the volume as it is with its journal replayed.
func (v *FS) readAt(off int64, p []byte) error {
	for len(p) > 0 {
		block, in := uint64(off/v.block), off%v.block
		i := sort.Search(len(v.replayed), func(i int) bool { return v.replayed[i].block >= block })
		n := int64(len(p))
		var err error
		switch {
		case i == len(v.replayed):
			err = v.vol.Read(p, off)
		case v.replayed[i].block > block:
			n = min(n, int64(v.replayed[i].block)*v.block-off)
			err = v.vol.Read(p[:n], off)
		default:
			n = min(n, v.block-in)
			err = v.vol.Read(p[:n], v.replayed[i].at+in)
			if v.replayed[i].escaped && in < int64(len(journalMagic)) {
				copy(p[:n], journalMagic[in:])
			}
		}
		if err != nil {
			return err
		}
		off, p = off+n, p[n:]
	}
	return nil
}

// metadata returns n bytes of a block, which the caller must not change.
func (v *FS) metadata(block uint64, in, n int64) ([]byte, error) {
	if block >= v.blocks {
		return nil, fmt.Errorf("block %d of %d does not exist: %s", block, v.blocks, remedy)
	}
	if v.tx != nil {
		if b := v.tx.blocks[block]; b != nil {
			return b[in:][:n:n], nil
		}
	}
	if b := v.logged[block]; b != nil {
		return b[in:][:n:n], nil
	}
	off := int64(block)*v.block + in
	start := off &^ (chunkSize - 1)
	v.mu.Lock()
	chunk := v.chunks[start]
	v.mu.Unlock()
	if chunk == nil {
		chunk = make([]byte, max(0, min(chunkSize, v.vol.Size()-start)))
		if off+n > start+int64(len(chunk)) || v.readAt(start, chunk) != nil {
			// Its neighbours may be what cannot be read.
			b := make([]byte, n)
			return b, v.readAt(off, b)
		}
		v.mu.Lock()
		if len(v.chunks) >= keepChunks {
			clear(v.chunks)
		}
		v.chunks[start] = chunk
		v.mu.Unlock()
	}
	if off+n > start+int64(len(chunk)) {
		return nil, fmt.Errorf("block %d lies beyond the end of the medium; the copy of this drive may be incomplete", block)
	}
	return chunk[off-start:][:n:n], nil
}
