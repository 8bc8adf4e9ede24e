// Package fs reaches the drive: a medium is a BlockDevice, a partition is a
// Section of one. Packages gpt and mbr find the partitions, package volume says
// what is in each and mounts it; packages fat, exfat and ext4 know the files in them.
//
// Nothing here knows where the blocks come from. Under firmware they come
// from Block I/O, on a host from an image file (FileDevice), in tests from
// memory (package fstest), so the code that runs on the machine is the code that
// is tested and fuzzed on the host.
//
// Bytes on a medium are never trusted: every size, count and block number
// that was read from it is checked against the device before it is used.
package fs

import (
	"errors"
	"fmt"
)

// BlockDevice is a medium that is read and written in whole blocks.
//
// ReadBlocks and WriteBlocks move len(p) bytes, which must be a multiple of
// BlockSize, beginning at block lba. One call is one request to the medium
// wherever the medium allows it, so that the caller decides how large
// requests are; 1 to 8 MiB is where media are fastest. Implementations must
// be safe for concurrent use and must not keep p.
type BlockDevice interface {
	BlockSize() int // bytes in a block: 512 or 4096
	Blocks() uint64 // blocks on the medium
	ReadBlocks(lba uint64, p []byte) error
	WriteBlocks(lba uint64, p []byte) error
	// Flush asks the medium to make what was written durable. Firmware
	// drivers for USB and SCSI ignore it, so nothing may depend on it alone.
	Flush() error
}

// ErrOutOfRange is returned, wrapped, for a request that reaches beyond the
// last block of a device.
var ErrOutOfRange = errors.New("beyond the end of the medium")

// CheckRequest returns an error unless len(p) is a multiple of dev's block
// size and the blocks from lba on that p covers lie on the device.
// Implementations of BlockDevice call it first.
func CheckRequest(dev BlockDevice, lba uint64, p []byte) error {
	return checkRequest(dev.BlockSize(), dev.Blocks(), lba, p)
}

func checkRequest(blockSize int, blocks, lba uint64, p []byte) error {
	if len(p)%blockSize != 0 {
		return fmt.Errorf("request of %d bytes is not a multiple of the block size %d", len(p), blockSize)
	}
	n := uint64(len(p) / blockSize)
	if lba > blocks || n > blocks-lba {
		return fmt.Errorf("request for %d blocks at block %d of %d: %w", n, lba, blocks, ErrOutOfRange)
	}
	return nil
}

// section is the blocks [first, first+count) of dev.
type section struct {
	dev          BlockDevice
	first, count uint64
}

// Section returns the count blocks of dev from block first on as a device of
// its own: a partition. Blocks that dev does not have are cut off, so that
// the section never promises more than the medium holds.
func Section(dev BlockDevice, first, count uint64) BlockDevice {
	total := dev.Blocks()
	first = min(first, total)
	count = min(count, total-first)
	return &section{dev, first, count}
}

func (s *section) BlockSize() int { return s.dev.BlockSize() }
func (s *section) Blocks() uint64 { return s.count }
func (s *section) Flush() error   { return s.dev.Flush() }

func (s *section) ReadBlocks(lba uint64, p []byte) error {
	if err := CheckRequest(s, lba, p); err != nil {
		return err
	}
	return s.dev.ReadBlocks(s.first+lba, p)
}

func (s *section) WriteBlocks(lba uint64, p []byte) error {
	if err := CheckRequest(s, lba, p); err != nil {
		return err
	}
	return s.dev.WriteBlocks(s.first+lba, p)
}

// ReadOnly returns dev as a device that cannot be written, for a medium that is
// not ours.
func ReadOnly(dev BlockDevice) BlockDevice { return readOnly{dev} }

type readOnly struct{ BlockDevice }

func (readOnly) WriteBlocks(uint64, []byte) error { return ErrReadOnly }
func (readOnly) Flush() error                     { return nil }
