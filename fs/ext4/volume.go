package ext4

// Reading bytes of the volume: straight from the device, through what the journal has to say,
// and through a cache of what is not content of files.

import (
	"fmt"
	"sort"
)

const (
	maxRequest = 8 << 20  // bytes in one request to the medium
	bounceSize = 64 << 10 // an unaligned request up to this is bounced whole
	chunkSize  = 64 << 10 // of metadata, read at once: neighbours are often wanted next
	keepChunks = 256
)

// size returns the bytes that the device holds.
func (v *FS) size() int64 {
	const most = 1 << 62
	return int64(min(v.dev.Blocks(), most/uint64(v.sector))) * v.sector
}

// readAt reads bytes of the volume as it is with its journal replayed.
func (v *FS) readAt(off int64, p []byte) error {
	for len(p) > 0 {
		block, in := uint64(off/v.block), off%v.block
		i := sort.Search(len(v.replayed), func(i int) bool { return v.replayed[i].block >= block })
		n := int64(len(p))
		var err error
		switch {
		case i == len(v.replayed):
			err = v.readDevice(off, p)
		case v.replayed[i].block > block:
			n = min(n, int64(v.replayed[i].block)*v.block-off)
			err = v.readDevice(off, p[:n])
		default:
			n = min(n, v.block-in)
			err = v.readDevice(v.replayed[i].at+in, p[:n])
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

// readDevice reads bytes of the device: whole blocks straight into p, in the largest requests;
// the rest of a block at either end, or a small unaligned request as one, through a bounce
// buffer.
func (v *FS) readDevice(off int64, p []byte) error {
	for len(p) > 0 {
		lba, head := uint64(off/v.sector), off%v.sector
		n := int64(len(p))
		whole := n &^ (v.sector - 1)
		var err error
		if head == 0 && whole > 0 && (whole == n || n > bounceSize) {
			n = min(whole, maxRequest)
			err = v.dev.ReadBlocks(lba, p[:n])
		} else {
			if head+n > bounceSize {
				n = v.sector - head
			}
			err = v.bounce(lba, head, p[:n])
		}
		if err != nil {
			return err
		}
		off, p = off+n, p[n:]
	}
	return nil
}

// bounce reads at most bounceSize bytes in one request.
func (v *FS) bounce(lba uint64, head int64, p []byte) error {
	buf := v.scratch.Get().(*[]byte)
	defer v.scratch.Put(buf)
	b := (*buf)[:(head+int64(len(p))+v.sector-1)&^(v.sector-1)]
	err := v.dev.ReadBlocks(lba, b)
	copy(p, b[head:])
	return err
}

// metadata returns n bytes of a block, which the caller must not change.
func (v *FS) metadata(block uint64, in, n int64) ([]byte, error) {
	if block >= v.blocks {
		return nil, fmt.Errorf("block %d of %d does not exist: %s", block, v.blocks, remedy)
	}
	off := int64(block)*v.block + in
	start := off &^ (chunkSize - 1)
	v.mu.Lock()
	chunk := v.chunks[start]
	v.mu.Unlock()
	if chunk == nil {
		chunk = make([]byte, max(0, min(chunkSize, v.size()-start)))
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
