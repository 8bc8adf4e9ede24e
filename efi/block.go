package efi

// Block I/O (UEFI 2.10, 13.9) as an fs.BlockDevice.
//
// Invariants. Before every request the handle is asked for its interface again
// and the medium for its number: a drive that was pulled, or exchanged, gives an
// error, never a call into a driver that is gone nor blocks of another medium. After an error a
// USB device is asked whether it answers at all: there is firmware that never notices that it was pulled.
// When the same drive is plugged in again, wherever that is, the next request
// finds it: the partition has the same name and size, and the few blocks that are
// remembered are the same, which are its first one and those that were written
// last. So another drive is not taken for it, nor one where any of these was
// changed elsewhere meanwhile; a change to other blocks only is not seen. Partitions of one
// disk that are used Together come back together, on one disk: not one of them from a
// copy of the drive. The
// firmware gets only buffers it can see, aligned as the device demands: physical
// memory goes straight through, anything else by way of one buffer that all devices
// share, below 4 GiB. There are controllers whose data never arrives above that, without
// an error: the first read that would go there is tried with a known answer. And a device that was found by searching refuses writes until AllowWrites
// is called, so that no search can end in writing to a Mac's own
// disk.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"alphaos/fs"
	"alphaos/uefi"
)

const (
	bounceSize = 1 << 20
	probeSize  = 64 << 10
	// directAlign is what memory is aligned to that goes straight through: there are
	// controllers that demand more than IoAlign says.
	directAlign = 4096
	// maxRequest is the most bytes one firmware call is given. Callers ask
	// for 8 MiB at most; the bound is for drivers that keep sizes in few bits.
	maxRequest = 16 << 20
)

// smaller are the sizes that a failed request is tried again in: there is firmware that
// fails beyond 640 KiB, and some beyond 64.
var smaller = [...]int{512 << 10, 64 << 10}

// lowMemory ends where a controller with addresses of 32 bits reaches. A variable for tests.
var lowMemory uintptr = 1 << 32

// BlockDevice is a disk or a partition behind the firmware's Block I/O. It
// implements fs.BlockDevice and may be used by several goroutines.
type BlockDevice struct {
	media uefi.BlockIOMedia // as it was when the device was opened

	mu      *sync.Mutex    // one request at a time, and the fields below; the same for all of group
	group   []*BlockDevice // see Together; nil: the device alone
	handle  Handle
	io      uintptr // uefi.BlockIO
	path    devicePath
	mediaID uint32
	allowed bool  // to write
	most    int   // bytes of a request, after larger ones failed where this did not; 0: maxRequest
	high    reach // whether data arrives above lowMemory

	known   []block              // block 0 and the last ones written, by which the drive is recognised
	gone    bool                 // it was not there the last time
	waited  time.Time            // when explain last waited to see whether the drive is gone
	mute    bool                 // it does not answer: it was pulled out, though the firmware still lists it
	dead    map[string]time.Time // when disks that do not answer were last asked, by their paths
	moved   bool                 // gone or io changed, and changed has not been called yet
	changed []func()
	failed  func(error)
	said    string // the last error given to failed
}

// bounce is what requests with other than physical memory go through. It is kept: low memory may be
// scarce, and devices are opened again whenever somebody looks for drives.
var bounce struct {
	sync.Mutex        // held for a request, within the lock of its device
	b          []byte // physical memory; nil until it is needed
}

// reach is what is known of a controller.
type reach byte

const (
	reachUntried reach = iota
	reachAll
	reachLow
)

// block is the content of a block.
type block struct {
	lba  uint64
	data []byte
}

var _ fs.BlockDevice = (*BlockDevice)(nil)

// openBlock opens the Block I/O of a handle. The error wraps Unsupported or
// NotFound when it has none, and NoMedia when nothing is in the device.
func openBlock(h Handle) (*BlockDevice, error) {
	addr, err := protocol(h, &uefi.BlockIOGUID)
	if err != nil {
		return nil, err
	}
	media := at[uefi.BlockIO](addr).Media
	if media == 0 {
		return nil, uefi.NotFound
	}
	d := &BlockDevice{mu: new(sync.Mutex), handle: h, io: addr, media: *at[uefi.BlockIOMedia](media), path: handlePath(h)}
	d.mediaID = d.media.MediaID
	if d.media.MediaPresent == 0 {
		return nil, fmt.Errorf("%s: %w", d, medium(uefi.NoMedia))
	}
	size, align := d.media.BlockSize, d.media.IoAlign
	if size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return nil, fmt.Errorf("%s has blocks of %d bytes, which is not supported", d, size)
	}
	if align&(align-1) != 0 || align > directAlign {
		return nil, fmt.Errorf("%s wants buffers aligned to %d bytes, which is not supported", d, align)
	}
	if d.media.LastBlock >= 1<<63/uint64(size) {
		return nil, fmt.Errorf("%s claims to have %d blocks, which is not possible", d, d.media.LastBlock)
	}
	return d, nil
}

// mediumError is a status that a medium gave, together with what package fs calls it.
type mediumError struct {
	uefi.Status
	kind error
}

func (e mediumError) Unwrap() []error { return []error{e.Status, e.kind} }

// medium returns nil for success and for warnings, else an error that wraps the status.
func medium(s uefi.Status) error {
	switch s {
	case uefi.NoMedia, uefi.MediaChanged:
		return mediumError{s, fs.ErrRemoved}
	case uefi.WriteProtected:
		return mediumError{s, fs.ErrReadOnly}
	case uefi.DeviceError, uefi.NoResponse, uefi.Timeout, uefi.CRCError, uefi.Aborted, uefi.NotReady:
		return mediumError{s, fs.ErrIO}
	}
	return s.Err()
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
// first two arguments, for a report that is written when Go itself has crashed; zeros while the
// drive is not there.
func (d *BlockDevice) RawWriter() (fn, this uintptr, mediaID uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return 0, 0, 0
	}
	return at[uefi.BlockIO](d.io).WriteBlocks, d.io, d.mediaID
}

// OnError has f called with errors of requests, but only with the first of several equal ones in a
// row. f must not use the device.
func (d *BlockDevice) OnError(f func(error)) {
	d.mu.Lock()
	d.failed = f
	d.mu.Unlock()
}

// OnChange has f called when what RawWriter returns has changed: the drive was found missing, or
// found again, after all others that were given. f must not use the device in any other way.
func (d *BlockDevice) OnChange(f func()) {
	d.mu.Lock()
	d.changed = append(d.changed, f)
	d.mu.Unlock()
}

// ReadOnly reports whether the medium is write protected.
func (d *BlockDevice) ReadOnly() bool { return d.media.ReadOnly != 0 }

// Removable reports whether the medium can be taken out: it says so itself,
// or it is on USB.
func (d *BlockDevice) Removable() bool { return d.media.RemovableMedia != 0 || d.path.usb() }

// AllowWrites permits writing to a device that was found by Disks or Volumes.
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
	return d.request(func() error {
		if err := d.check(); err != nil {
			return fmt.Errorf("flushing %s: %w", d, err)
		}
		st := uefi.Status(call(at[uefi.BlockIO](d.io).FlushBlocks, d.io))
		if st == uefi.Unsupported { // nothing is cached
			return nil
		}
		if err := d.explain(medium(st)); err != nil {
			return fmt.Errorf("flushing %s: %w", d, err)
		}
		return nil
	})
}

// Present returns nil if the drive is there, perhaps again.
func (d *BlockDevice) Present() error { return d.request(d.check) }

// request holds the device for f.
func (d *BlockDevice) request(f func() error) error {
	d.mu.Lock()
	err := f()
	var changed []func()
	for _, x := range d.together() {
		if x.moved && len(x.changed) > 0 {
			changed = append(changed, x.changed...)
		}
		x.moved = false
	}
	var failed func(error)
	if err == nil {
		d.said = ""
	} else if text := err.Error(); text != d.said {
		d.said, failed = text, d.failed
	}
	d.mu.Unlock()
	for _, f := range changed {
		f()
	}
	if failed != nil {
		failed(err)
	}
	return err
}

// check makes sure that the device and the medium are there, or there again.
func (d *BlockDevice) check() error {
	err := d.there()
	if err != nil && d.find() {
		err = nil
	}
	if gone := err != nil; gone != d.gone {
		d.notice()
	}
	return err
}

// notice takes down which parts are there.
func (d *BlockDevice) notice() {
	for _, x := range d.together() {
		if gone := x.there() != nil; gone != x.gone {
			x.gone, x.moved = gone, true
		}
	}
}

// Together makes partitions of one disk parts of one drive: when it was pulled out, they are
// found again only all on one disk. It comes before they are used by several goroutines.
func Together(list ...*BlockDevice) {
	for _, d := range list {
		d.mu, d.group = list[0].mu, list
	}
}

// together returns the group of d, at least d itself.
func (d *BlockDevice) together() []*BlockDevice {
	if d.group == nil {
		return []*BlockDevice{d}
	}
	return d.group
}

// there returns nil if the device and the medium are still the same.
func (d *BlockDevice) there() error {
	if d.mute {
		return fmt.Errorf("the drive does not answer: %w", medium(uefi.MediaChanged))
	}
	addr, err := protocol(d.handle, &uefi.BlockIOGUID)
	if err != nil || addr != d.io {
		return fmt.Errorf("the drive was unplugged: %w", medium(uefi.MediaChanged))
	}
	media := at[uefi.BlockIO](d.io).Media
	if media == 0 {
		return medium(uefi.NoMedia)
	}
	m := at[uefi.BlockIOMedia](media)
	if m.MediaPresent == 0 {
		return medium(uefi.NoMedia)
	}
	if m.MediaID != d.mediaID {
		return medium(uefi.MediaChanged)
	}
	return nil
}

// find looks for the drive among those that are there now, and for all parts of it that are
// used.
func (d *BlockDevice) find() bool {
	if !slices.ContainsFunc(d.together(), func(x *BlockDevice) bool { return len(x.known) > 0 }) {
		return false
	}
	connectUSB()
	hs, err := handles(&uefi.BlockIOGUID)
	if err != nil {
		return false
	}
	disks := map[string][]*BlockDevice{} // what there is that may be one, by the path of the whole disk
	var paths []string
	for _, h := range hs {
		n, err := openBlock(h)
		if err != nil {
			continue
		}
		path := string(n.path.disk())
		if asked, dead := d.dead[path]; dead { // a request may take a minute there
			if time.Since(asked) < askAgain {
				continue
			}
			if d.dead[path] = time.Now(); !n.answers() {
				continue
			}
			delete(d.dead, path)
		}
		if disks[path] == nil {
			paths = append(paths, path)
		}
		disks[path] = append(disks[path], n)
	}
	for _, path := range paths {
		if d.foundOn(disks[path]) {
			return true
		}
	}
	return false
}

// foundOn reports whether the parts of one disk are those of the drive, and goes on with them
// then.
func (d *BlockDevice) foundOn(parts []*BlockDevice) bool {
	var found []*BlockDevice
	for _, x := range d.together() {
		i := slices.IndexFunc(parts, x.is)
		if i < 0 {
			return false
		}
		found = append(found, parts[i])
	}
	for i, x := range d.together() {
		if n := found[i]; x == d || x.there() != nil {
			x.handle, x.io, x.path, x.mediaID = n.handle, n.io, n.path, n.mediaID
			x.mute, x.moved = false, true
		}
	}
	return true
}

// is reports whether n is the same device, perhaps in another place.
func (d *BlockDevice) is(n *BlockDevice) bool {
	return n.media.BlockSize == d.media.BlockSize && n.media.LastBlock == d.media.LastBlock && n.media.IoAlign <= d.media.IoAlign &&
		n.media.LogicalPartition == d.media.LogicalPartition && n.media.ReadOnly == d.media.ReadOnly &&
		bytes.Equal(n.path.partition(), d.path.partition()) && n.holds(d.known)
}

// holds reports whether the device has these blocks.
func (d *BlockDevice) holds(blocks []block) bool {
	buf, err := alloc(d.BlockSize())
	if err != nil {
		return false
	}
	defer free(buf)
	for _, b := range blocks {
		st := uefi.Status(call(at[uefi.BlockIO](d.io).ReadBlocks, d.io, uintptr(d.mediaID), uintptr(b.lba), uintptr(len(buf)), addressOf(buf)))
		if st.Err() != nil || !bytes.Equal(buf, b.data) {
			return false
		}
	}
	return true
}

// know remembers a block of those that were read or written: block 0, or else
// the last one that was written. What a failed write may have changed is
// not known any more.
func (d *BlockDevice) know(lba uint64, p []byte, write, failed bool) {
	size := d.BlockSize()
	n := uint64(len(p) / size)
	if write {
		d.known = slices.DeleteFunc(d.known, func(b block) bool { return b.lba >= lba && b.lba < lba+n })
	}
	if failed || !write && lba > 0 {
		return
	}
	b := block{0, p[:size]}
	if lba > 0 {
		b = block{lba + n - 1, p[len(p)-size:]}
	} else if len(d.known) > 0 && d.known[0].lba == 0 {
		d.known = d.known[1:]
	}
	b.data = bytes.Clone(b.data)
	if lba == 0 {
		d.known = slices.Insert(d.known, 0, b)
		return
	}
	const most = 3 // two of them are the newest blocks of the journal's copies
	if len(d.known) == most {
		d.known = slices.Delete(d.known, 1, 2)
	}
	d.known = append(d.known, b)
}

const (
	goneAfter = 1500 * time.Millisecond // in which firmware notices that a drive was pulled out
	goneAgain = 10 * time.Second        // before it is waited for that again
	askAgain  = 2 * time.Second         // before a drive that does not answer is asked again
)

// explain tells a drive that was just pulled out apart from one that fails: until
// it looks at the port, firmware reports both as an error of the device. EDK II before 2025 may never look: after a
// failed request it resets the port, and so clears the port's note that something was pulled out.
func (d *BlockDevice) explain(err error) error {
	if !errors.Is(err, fs.ErrIO) || !d.Removable() {
		return err
	}
	answers := d.answers()
	if !answers || time.Since(d.waited) >= goneAgain {
		for waited := time.Duration(0); waited < goneAfter && d.there() == nil; waited += goneAfter / 30 {
			sleep(goneAfter / 30)
		}
		d.waited = time.Now()
	}
	if !answers && d.there() == nil && !d.answers() {
		for _, x := range d.together() {
			if x.dead == nil {
				x.dead = map[string]time.Time{}
			}
			x.mute, x.dead[string(x.path.disk())] = true, time.Now()
		}
	}
	if gone := d.there(); gone != nil {
		d.notice()
		return fmt.Errorf("%w, after %w", gone, err)
	}
	return err
}

// answers reports whether the USB device that d is behind answers the request for its status, which
// each must (USB 2.0, 9.4.5), whatever became of its medium. To stall is an answer. What is not on USB, as far as the
// firmware tells, is taken to answer.
func (d *BlockDevice) answers() bool {
	hs, err := handles(&uefi.USBIOGUID)
	if err != nil {
		return true
	}
	var device Handle
	var path devicePath
	for _, h := range hs {
		if p := handlePath(h); len(p) > len(path) && bytes.HasPrefix(d.path, p) {
			device, path = h, p
		}
	}
	io, err := protocol(device, &uefi.USBIOGUID)
	if err != nil {
		return true
	}
	const dataIn, timeout, stalled = 0, 500, 2 // timeout in ms: USB 2.0, 9.2.6.4
	getStatus := [...]byte{0x80, 0, 0, 0, 0, 0, 2, 0}
	params.Lock()
	defer params.Unlock()
	request, status := params.data[:len(getStatus)], params.data[len(getStatus):][:2]
	copy(request, getStatus[:])
	st := uefi.Status(call(at[uefi.USBIO](io).ControlTransfer, io, addressOf(request), dataIn, timeout, addressOf(status), uintptr(len(status)), cell(0, 0)))
	return st != uefi.DeviceError && st != uefi.Timeout || params.cell[0]&stalled != 0
}

func (d *BlockDevice) transfer(what string, lba uint64, p []byte, write bool) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return fmt.Errorf("%s %s: %w", what, d, err)
	}
	if len(p) == 0 {
		return nil
	}
	return d.request(func() error {
		err := d.allow(write)
		if err == nil {
			err = d.move(lba, p, write)
			d.know(lba, p, write, err != nil)
		}
		if err != nil {
			return fmt.Errorf("%s %d blocks at %d of %s: %w", what, len(p)/d.BlockSize(), lba, d, err)
		}
		return nil
	})
}

// allow returns nil if the drive may now be read, or written.
func (d *BlockDevice) allow(write bool) error {
	if write && !d.allowed {
		return fmt.Errorf("the drive was found by searching and is not to be written: %w", uefi.AccessDenied)
	}
	if write && d.ReadOnly() {
		return medium(uefi.WriteProtected)
	}
	return d.check()
}

// try reads into a buffer above lowMemory what it first reads below. The caller holds bounce.
func (d *BlockDevice) try(lba uint64, p []byte) {
	p = p[:min(len(p), probeSize)]
	low := bounce.b[:len(p)]
	read := func(buf []byte) error {
		st := call(at[uefi.BlockIO](d.io).ReadBlocks, d.io, uintptr(d.mediaID), uintptr(lba), uintptr(len(buf)), addressOf(buf))
		return uefi.Status(st).Err()
	}
	if read(low) != nil {
		return
	}
	for i, b := range low { // nothing is there yet that could be right
		p[i] = ^b
	}
	if read(p) != nil {
		return
	}
	d.high = reachLow
	if bytes.Equal(p, low) {
		d.high = reachAll
	}
}

// Habits says what was found out about the device, in words for a log.
func (d *BlockDevice) Habits() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := fmt.Sprintf("requests of up to %d KiB", cmp.Or(d.most, maxRequest)>>10)
	if d.most != 0 {
		text += ", larger ones fail"
	}
	return text + [...]string{
		reachUntried: "; no data went above 4 GiB yet",
		reachAll:     "; data arrives above 4 GiB",
		reachLow:     "; data does not arrive above 4 GiB, and is copied there",
	}[d.high]
}

func (d *BlockDevice) move(lba uint64, p []byte, write bool) error {
	fn := at[uefi.BlockIO](d.io).ReadBlocks
	if write {
		fn = at[uefi.BlockIO](d.io).WriteBlocks
	}
	direct := physical(p) && addressOf(p)%directAlign == 0
	high := direct && addressOf(p)+uintptr(len(p)) > lowMemory
	if !direct || high && d.high != reachAll {
		bounce.Lock()
		defer bounce.Unlock()
		if bounce.b == nil {
			b, err := alloc(bounceSize)
			if err != nil {
				return err
			}
			bounce.b = b
		}
	}
	if high {
		if d.high == reachUntried && !write {
			d.try(lba, p)
		}
		direct = d.high == reachAll
	}
	most := cmp.Or(d.most, maxRequest)
	if !direct {
		most = min(most, bounceSize)
	}
	limited := false
	for len(p) > 0 {
		part := p[:min(len(p), most)]
		buf := part
		if !direct {
			buf = bounce.b[:len(part)]
			if write {
				copy(buf, part)
			}
		}
		st := uefi.Status(call(fn, d.io, uintptr(d.mediaID), uintptr(lba), uintptr(len(buf)), addressOf(buf)))
		if st == uefi.DeviceError || st == uefi.BadBufferSize || st == uefi.InvalidParameter || st == uefi.OutOfResources {
			if i := slices.IndexFunc(smaller[:], func(n int) bool { return n < len(part) }); i >= 0 && d.answers() && d.there() == nil {
				most, limited = smaller[i], true
				continue
			}
		}
		if err := d.explain(medium(st)); err != nil {
			return err
		}
		if !direct && !write {
			copy(part, buf)
		}
		lba += uint64(len(part) / d.BlockSize())
		p = p[len(part):]
	}
	if limited { // all of it could be had in this size, so the size was what failed
		d.most = most
	}
	return nil
}
