package fstest

import (
	"math/rand/v2"

	"alphaos/fs"
)

// Device is a Disk as a block device, for tests of file systems and of partition
// tables.
type Device struct {
	*Disk
}

// NewDevice returns a device over data, which it uses and changes in place, with
// blocks of blockSize bytes. A last incomplete block is left out. When power goes,
// all blocks before the one that is being written are on the medium, and that
// stays as it was; Disk has settings for worse.
func NewDevice(data []byte, blockSize int) Device {
	d := New(0, blockSize, 0, rand.New(rand.NewPCG(1, 1)))
	d.data = data[:len(data)/blockSize*blockSize]
	d.InOrder, d.Tear = true, TearOld
	return Device{d}
}

// BlockSize returns the bytes in a block.
func (d Device) BlockSize() int { return d.sector }

// Blocks returns the number of blocks.
func (d Device) Blocks() uint64 { return uint64(len(d.data) / d.sector) }

// ReadBlocks reads len(p) bytes from block lba on.
func (d Device) ReadBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return err
	}
	_, err := d.ReadAt(p, int64(lba)*int64(d.sector))
	return err
}

// WriteBlocks writes len(p) bytes from block lba on.
func (d Device) WriteBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return err
	}
	_, err := d.WriteAt(p, int64(lba)*int64(d.sector))
	return err
}

// Flush makes what was written durable.
func (d Device) Flush() error { return d.Sync() }
