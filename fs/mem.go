package fs

import (
	"errors"
	"fmt"
	"sync"
)

// MemDevice is a BlockDevice in memory, for tests, that misbehaves on
// request: it fails chosen reads and writes, and it loses power in the
// middle of a write. It also counts requests, since the number of requests
// is what start-up time on a slow medium is made of.
type MemDevice struct {
	mu        sync.Mutex
	blockSize int
	data      []byte

	fault func(write bool, lba, count uint64) error
	left  int // blocks that can still be written before power is cut; <0: no cut
	stats MemStats
}

// MemStats counts the requests that a MemDevice was given.
type MemStats struct {
	Reads, Writes, Flushes  int
	BytesRead, BytesWritten int64
	LargestRead             int // bytes
}

// ErrPowerCut is what a MemDevice returns for every request after its power
// was cut.
var ErrPowerCut = errors.New("power was cut")

// NewMemDevice returns a device over data, which it uses and changes in
// place, with blocks of blockSize bytes. A last incomplete block is left out.
func NewMemDevice(data []byte, blockSize int) *MemDevice {
	return &MemDevice{blockSize: blockSize, data: data[:len(data)/blockSize*blockSize], left: -1}
}

// CutAfter cuts the power once n more blocks have been written: a longer
// write reaches the medium up to there, it and everything after fail with
// ErrPowerCut. A negative n restores the power.
func (d *MemDevice) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// SetFault has f asked before each request; an error it returns is the
// result of the request, which then has no effect. A nil f ends that. f must
// not use the device.
func (d *MemDevice) SetFault(f func(write bool, lba, count uint64) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Stats returns the requests counted so far and begins again at zero.
func (d *MemDevice) Stats() MemStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	d.stats = MemStats{}
	return s
}

// Bytes returns the content of the device itself, not a copy.
func (d *MemDevice) Bytes() []byte { return d.data }

// BlockSize returns the bytes in a block.
func (d *MemDevice) BlockSize() int { return d.blockSize }

// Blocks returns the number of blocks.
func (d *MemDevice) Blocks() uint64 { return uint64(len(d.data) / d.blockSize) }

// ReadBlocks reads len(p) bytes from block lba on.
func (d *MemDevice) ReadBlocks(lba uint64, p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(false, lba, p); err != nil {
		return err
	}
	d.stats.Reads++
	d.stats.BytesRead += int64(len(p))
	d.stats.LargestRead = max(d.stats.LargestRead, len(p))
	copy(p, d.data[lba*uint64(d.blockSize):])
	return nil
}

// WriteBlocks writes len(p) bytes from block lba on.
func (d *MemDevice) WriteBlocks(lba uint64, p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(true, lba, p); err != nil {
		return err
	}
	d.stats.Writes++
	if d.left >= 0 {
		n := min(d.left, len(p)/d.blockSize)
		d.left -= n
		if keep := n * d.blockSize; keep < len(p) {
			copy(d.data[lba*uint64(d.blockSize):], p[:keep])
			d.stats.BytesWritten += int64(keep)
			return fmt.Errorf("write at block %d: %w", lba, ErrPowerCut)
		}
	}
	copy(d.data[lba*uint64(d.blockSize):], p)
	d.stats.BytesWritten += int64(len(p))
	return nil
}

// Flush counts the request; there is nothing to make durable.
func (d *MemDevice) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return ErrPowerCut
	}
	d.stats.Flushes++
	return nil
}

func (d *MemDevice) check(write bool, lba uint64, p []byte) error {
	if err := CheckRequest(d, lba, p); err != nil {
		return err
	}
	if d.left == 0 {
		return ErrPowerCut
	}
	if d.fault != nil {
		return d.fault(write, lba, uint64(len(p)/d.blockSize))
	}
	return nil
}
