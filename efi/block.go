package efi

// Block I/O (UEFI 2.10, 13.9) as an fs.BlockDevice.
//
// Invariants. Before every request the handle is asked for its interface
// again and the medium for its number: a drive that was pulled, or exchanged,
// gives an error, never a call into a driver that is gone nor blocks of
// another medium. The firmware gets only buffers it can see, aligned as the
// device demands: physical memory goes straight through, anything else by way
// of a buffer of the device's own. And a device that was found by searching
// refuses writes until it is told that it is the right one, so that no search
// can end in writing to a Mac's own disk.

import (
	"fmt"
	"sync"

	"alphaos/fs"
)

const (
	bounceSize = 1 << 20
	// maxRequest is the most bytes one firmware call is given. Callers ask
	// for 8 MiB at most; the bound is for drivers that keep sizes in few bits.
	maxRequest = 16 << 20
)

// BlockDevice is a disk or a partition behind the firmware's Block I/O. It
// implements fs.BlockDevice and may be used by several goroutines.
type BlockDevice struct {
	handle  Handle
	io      uintptr // blockIO
	path    devicePath
	mediaID uint32
	media   blockIOMedia // as it was when the device was opened

	mu      sync.Mutex // one request at a time, and the fields below
	allowed bool       // to write
	bounce  []byte     // physical memory; nil until it is needed
}

var _ fs.BlockDevice = (*BlockDevice)(nil)

// openBlock opens the Block I/O of a handle. The error wraps Unsupported or
// NotFound when it has none, and NoMedia when nothing is in the device.
func openBlock(h Handle) (*BlockDevice, error) {
	addr, err := protocol(h, &blockIOGUID)
	if err != nil {
		return nil, err
	}
	media := at[blockIO](addr).Media
	if media == 0 {
		return nil, NotFound
	}
	d := &BlockDevice{handle: h, io: addr, media: *at[blockIOMedia](media), path: handlePath(h)}
	d.mediaID = d.media.MediaID
	if d.media.MediaPresent == 0 {
		return nil, fmt.Errorf("%s: %w", d, NoMedia)
	}
	size, align := d.media.BlockSize, d.media.IoAlign
	if size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return nil, fmt.Errorf("%s has blocks of %d bytes, which is not supported", d, size)
	}
	if align&(align-1) != 0 || align > 4096 {
		return nil, fmt.Errorf("%s wants buffers aligned to %d bytes, which is not supported", d, align)
	}
	if d.media.LastBlock >= 1<<63/uint64(size) {
		return nil, fmt.Errorf("%s claims to have %d blocks, which is not possible", d, d.media.LastBlock)
	}
	return d, nil
}

// String returns the device's path, for messages.
func (d *BlockDevice) String() string {
	if s := d.path.String(); s != "" {
		return s
	}
	return fmt.Sprintf("block device %#x", uintptr(d.handle))
}

// BlockSize returns the bytes in a block.
func (d *BlockDevice) BlockSize() int { return int(d.media.BlockSize) }

// Blocks returns the number of blocks.
func (d *BlockDevice) Blocks() uint64 { return d.media.LastBlock + 1 }

// Partition reports whether the device is a partition of another one.
func (d *BlockDevice) Partition() bool { return d.media.LogicalPartition != 0 }

// RawWriter returns the address of the device's EFI_BLOCK_IO_PROTOCOL.WriteBlocks and its
// first two arguments, for a report that is written when Go itself has crashed.
func (d *BlockDevice) RawWriter() (fn, this uintptr, mediaID uint32) {
	return at[blockIO](d.io).WriteBlocks, d.io, d.mediaID
}

// ReadOnly reports whether the medium is write protected.
func (d *BlockDevice) ReadOnly() bool { return d.media.ReadOnly != 0 }

// Removable reports whether the medium can be taken out: it says so itself,
// or it is on USB.
func (d *BlockDevice) Removable() bool { return d.media.RemovableMedia != 0 || d.path.usb() }

// AllowWrites lets a device that was found by Disks or Volumes be written.
func (d *BlockDevice) AllowWrites() {
	d.mu.Lock()
	d.allowed = true
	d.mu.Unlock()
}

// ReadBlocks reads len(p) bytes from block lba on. Memory for which
// amd64.Physical holds is read into directly.
func (d *BlockDevice) ReadBlocks(lba uint64, p []byte) error {
	return d.transfer("reading", lba, p, false)
}

// WriteBlocks writes len(p) bytes from block lba on.
func (d *BlockDevice) WriteBlocks(lba uint64, p []byte) error {
	return d.transfer("writing", lba, p, true)
}

// Flush asks the firmware to write out what it or the device has cached. Many
// drivers, that for USB among them, ignore it.
func (d *BlockDevice) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(); err != nil {
		return fmt.Errorf("flushing %s: %w", d, err)
	}
	st := Status(call(at[blockIO](d.io).FlushBlocks, d.io))
	if st == Unsupported { // nothing is cached
		return nil
	}
	if err := st.Err(); err != nil {
		return fmt.Errorf("flushing %s: %w", d, err)
	}
	return nil
}

// check makes sure that the device and the medium are still there.
func (d *BlockDevice) check() error {
	addr, err := protocol(d.handle, &blockIOGUID)
	if err != nil || addr != d.io {
		return fmt.Errorf("the drive was unplugged: %w", MediaChanged)
	}
	media := at[blockIO](d.io).Media
	if media == 0 {
		return NoMedia
	}
	m := at[blockIOMedia](media)
	if m.MediaPresent == 0 {
		return NoMedia
	}
	if m.MediaID != d.mediaID {
		return MediaChanged
	}
	return nil
}

func (d *BlockDevice) transfer(what string, lba uint64, p []byte, write bool) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return fmt.Errorf("%s %s: %w", what, d, err)
	}
	if len(p) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fail := func(err error) error {
		return fmt.Errorf("%s %d blocks at %d of %s: %w", what, len(p)/d.BlockSize(), lba, d, err)
	}
	if write && !d.allowed {
		return fail(fmt.Errorf("the drive was found by searching and is not to be written: %w", AccessDenied))
	}
	if write && d.ReadOnly() {
		return fail(WriteProtected)
	}
	if err := d.check(); err != nil {
		return fail(err)
	}
	fn := at[blockIO](d.io).ReadBlocks
	if write {
		fn = at[blockIO](d.io).WriteBlocks
	}
	direct := physical(p) && (d.media.IoAlign <= 1 || addressOf(p)&uintptr(d.media.IoAlign-1) == 0)
	if !direct && d.bounce == nil {
		b, err := alloc(bounceSize)
		if err != nil {
			return fail(err)
		}
		d.bounce = b
	}
	for len(p) > 0 {
		part := p[:min(len(p), maxRequest)]
		buf := part
		if !direct {
			part = p[:min(len(p), bounceSize)]
			buf = d.bounce[:len(part)]
			if write {
				copy(buf, part)
			}
		}
		st := Status(call(fn, d.io, uintptr(d.mediaID), uintptr(lba), uintptr(len(buf)), addressOf(buf)))
		if err := st.Err(); err != nil {
			return fail(err)
		}
		if !direct && !write {
			copy(part, buf)
		}
		lba += uint64(len(part) / d.BlockSize())
		p = p[len(part):]
	}
	return nil
}
