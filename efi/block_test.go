package efi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/uefi"
)

// fakeDisk is Block I/O over memory.
type fakeDisk struct {
	f       *fake
	io      *uefi.BlockIO
	media   *uefi.BlockIOMedia
	data    []byte
	reqs    []string // "R lba bytes"
	flushes int
	status  uefi.Status // answer to every request, if not Success
	largest uintptr     // bytes of a request that works; 0: any
	bad     uintptr     // a block that cannot be read; 0: none
	lost    []byte      // memory that data neither reaches nor leaves, though requests succeed
}

// newDisk installs a disk of 512-byte blocks on a handle.
func (f *fake) newDisk(h Handle, blocks int) *fakeDisk {
	d := &fakeDisk{f: f, data: make([]byte, blocks*512)}
	for i := range d.data {
		d.data[i] = byte(i / 512 * 31)
	}
	d.media = &uefi.BlockIOMedia{MediaID: 9, MediaPresent: 1, BlockSize: 512, IoAlign: 4, LastBlock: uint64(blocks - 1)}
	move := func(kind string, a []uintptr) uefi.Status {
		f.visible(a[4], a[3])
		d.reqs = append(d.reqs, fmt.Sprintf("%s %d %d", kind, a[2], a[3]))
		bs := uintptr(d.media.BlockSize)
		switch {
		case d.status != uefi.Success:
			return d.status
		case uint32(a[1]) != d.media.MediaID:
			return uefi.MediaChanged
		case d.largest != 0 && a[3] > d.largest, d.bad >= a[2] && d.bad < a[2]+a[3]/bs && d.bad != 0:
			return uefi.DeviceError
		case a[3]%bs != 0:
			return uefi.BadBufferSize
		case a[4]&uintptr(d.media.IoAlign-1) != 0, (a[2]*bs + a[3]) > uintptr(len(d.data)):
			return uefi.InvalidParameter
		}
		buf, disk := bytesAt(a[4], int(a[3])), d.data[a[2]*bs:]
		if lost := addressOf(d.lost); d.lost != nil && a[4] >= lost && a[4] < lost+uintptr(len(d.lost)) {
			return uefi.Success
		}
		if kind == "R" {
			copy(buf, disk)
		} else {
			copy(disk, buf)
		}
		return uefi.Success
	}
	d.io = &uefi.BlockIO{
		Media:       addr(f, d.media),
		Reset:       f.fn(func([]uintptr) uefi.Status { f.t.Error("the device was reset"); return uefi.Success }),
		ReadBlocks:  f.fn(func(a []uintptr) uefi.Status { return move("R", a) }),
		WriteBlocks: f.fn(func(a []uintptr) uefi.Status { return move("W", a) }),
		FlushBlocks: f.fn(func(a []uintptr) uefi.Status { d.flushes++; return d.status }),
	}
	f.install(h, uefi.BlockIOGUID, addr(f, d.io))
	return d
}

func pci(dev, fn byte) []byte { return node(pathHardware, 1, fn, dev) }
func pciRoot() []byte         { return node(pathACPI, 1, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0) }
func usbPort(port byte) []byte {
	return node(pathMessaging, 5, port, 0)
}

// hd is a GPT partition node.
func hd(number byte) []byte {
	data := make([]byte, 38)
	data[0] = number
	data[4+1] = 8 // starts at block 2048
	data[12+2] = 1
	copy(data[20:], "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff") // 00112233-4455-6677-8899-aabbccddeeff
	data[36], data[37] = 2, 2
	return node(pathMedia, mediaHardDrive, data...)
}

// bootVolume installs a disk as the one the image came from.
func bootVolume(t *testing.T, blocks int) (*fake, *fakeDisk, *BlockDevice) {
	f := newFake(t)
	disk := f.newDisk(0x10, blocks)
	f.install(0x10, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x14, 0), usbPort(2), hd(1)))
	f.loadedFrom(0x10)
	d, err := BootVolume()
	if err != nil {
		t.Fatal(err)
	}
	return f, disk, d
}

func (d *fakeDisk) expect(t *testing.T, want ...string) {
	t.Helper()
	if strings.Join(d.reqs, ", ") != strings.Join(want, ", ") {
		t.Errorf("the firmware got %q, want %q", d.reqs, want)
	}
	d.reqs = nil
}

// Devices that are opened again and again, as when somebody looks for drives, cost no memory.
func TestBounceIsShared(t *testing.T) {
	f, disk, d := bootVolume(t, 64)
	f.newDisk(0x11, 64)
	for range 10 {
		volumes, err := Volumes()
		if err != nil || len(volumes) != 2 {
			t.Fatal(volumes, err)
		}
		for _, v := range volumes {
			if err := v.ReadBlocks(3, make([]byte, 512)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := make([]byte, 512)
	if err := d.ReadBlocks(5, p); err != nil || !bytes.Equal(p, disk.data[5*512:][:512]) {
		t.Error(err)
	}
	size := 0
	for _, m := range f.blocks {
		if !m.free {
			size += len(m.b)
		}
	}
	if size != bounceSize {
		t.Errorf("%d bytes are allocated", size)
	}
}

func TestBlockDevice(t *testing.T) {
	f, disk, d := bootVolume(t, 8192)
	if d.BlockSize() != 512 || d.Blocks() != 8192 || d.Partition() || d.ReadOnly() || !d.Removable() {
		t.Errorf("%d blocks of %d, partition %v, read-only %v, removable %v", d.Blocks(), d.BlockSize(), d.Partition(), d.ReadOnly(), d.Removable())
	}
	if got, want := d.String(), "PciRoot(0x0)/Pci(0x14,0x0)/USB(0x2,0x0)/HD(1,GPT,00112233-4455-6677-8899-aabbccddeeff,0x800,0x10000)"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}

	// Physical memory goes straight through, in one request.
	direct, _ := f.alloc(4 << 20)
	if err := d.ReadBlocks(0, direct); err != nil || !bytes.Equal(direct, disk.data) {
		t.Errorf("direct read: %v", err)
	}
	disk.expect(t, "R 0 4194304")
	if bounce.b != nil {
		t.Error("a buffer was allocated though none was needed")
	}
	// Go memory goes by way of the device's buffer.
	p := make([]byte, 3<<20)
	if err := d.ReadBlocks(100, p); err != nil || !bytes.Equal(p, disk.data[100*512:][:3<<20]) {
		t.Errorf("bounced read: %v", err)
	}
	disk.expect(t, "R 100 1048576", "R 2148 1048576", "R 4196 1048576")
	// So does physical memory that is not aligned.
	if err := d.ReadBlocks(7, direct[2:][:512]); err != nil || !bytes.Equal(direct[2:][:512], disk.data[7*512:][:512]) {
		t.Errorf("unaligned read: %v", err)
	}
	disk.expect(t, "R 7 512")

	for i := range p {
		p[i] = byte(i*13 + i>>10)
	}
	if err := d.WriteBlocks(1, p[:1<<20+1024]); err != nil || !bytes.Equal(disk.data[512:][:1<<20+1024], p[:1<<20+1024]) {
		t.Errorf("bounced write: %v", err)
	}
	disk.expect(t, "W 1 1048576", "W 2049 1024")
	copy(direct, p)
	if err := d.WriteBlocks(4000, direct[:4096]); err != nil || !bytes.Equal(disk.data[4000*512:][:4096], p[:4096]) {
		t.Errorf("direct write: %v", err)
	}
	disk.expect(t, "W 4000 4096")

	if err := d.ReadBlocks(0, nil); err != nil {
		t.Errorf("empty read: %v", err)
	}
	if err := d.ReadBlocks(8191, p[:1024]); !errors.Is(err, fs.ErrOutOfRange) {
		t.Errorf("read beyond the end: %v", err)
	}
	if err := d.ReadBlocks(1<<63, p[:512]); !errors.Is(err, fs.ErrOutOfRange) {
		t.Errorf("read far beyond the end: %v", err)
	}
	if d.ReadBlocks(0, p[:100]) == nil {
		t.Error("part of a block was read")
	}
	disk.expect(t)
	if err := d.Flush(); err != nil || disk.flushes != 1 {
		t.Errorf("flush: %v", err)
	}
	disk.status = uefi.Unsupported
	if err := d.Flush(); err != nil {
		t.Errorf("flush where nothing is cached: %v", err)
	}
	disk.status = uefi.DeviceError
	if err := d.ReadBlocks(5, p[:512]); !errors.Is(err, uefi.DeviceError) || !strings.HasPrefix(err.Error(), "reading 1 blocks at 5 of PciRoot(0x0)/") {
		t.Errorf("broken device: %v", err)
	}
	if err := d.WriteBlocks(5, p[:512]); !errors.Is(err, uefi.DeviceError) {
		t.Errorf("broken device: %v", err)
	}
	if err := d.Flush(); !errors.Is(err, uefi.DeviceError) {
		t.Errorf("broken device: %v", err)
	}
}

// Firmware that fails large requests is asked in smaller ones from then on; a drive with a
// bad block is not.
func TestRequestSize(t *testing.T) {
	f, disk, d := bootVolume(t, 8192)
	disk.media.RemovableMedia = 0
	direct, _ := f.alloc(4 << 20)
	small, _ := f.alloc(1 << 20)
	disk.bad = 5
	if err := d.ReadBlocks(0, small); !errors.Is(err, uefi.DeviceError) && !errors.Is(err, fs.ErrIO) {
		t.Errorf("a bad block: %v", err)
	}
	disk.expect(t, "R 0 1048576", "R 0 524288", "R 0 65536")
	disk.bad = 0
	if err := d.ReadBlocks(0, small); err != nil {
		t.Error(err)
	}
	disk.expect(t, "R 0 1048576")
	disk.largest = 640 << 10
	for range 2 {
		if err := d.ReadBlocks(0, direct); err != nil || !bytes.Equal(direct, disk.data) {
			t.Errorf("at most 640 KiB at once: %v", err)
		}
	}
	if n := len(disk.reqs); n != 1+8+8 || d.most != 512<<10 {
		t.Errorf("%d requests, of at most %d bytes", n, d.most)
	}
	disk.reqs, disk.largest = nil, 64<<10
	clear(direct)
	for range 2 {
		if err := d.WriteBlocks(0, direct); err != nil || !bytes.Equal(direct, disk.data) {
			t.Errorf("at most 64 KiB at once: %v", err)
		}
	}
	if n := len(disk.reqs); n != 1+64+64 || d.most != 64<<10 {
		t.Errorf("%d requests, of at most %d bytes", n, d.most)
	}
}

// A controller whose data does not arrive in high memory, and does not say so, gets buffers in
// low memory.
func TestHighMemory(t *testing.T) {
	for _, reaches := range []bool{true, false} {
		f, disk, d := bootVolume(t, 8192)
		buf, _ := f.alloc(2 << 20)
		want := bytes.Clone(disk.data[:len(buf)])
		lowMemory = addressOf(buf) // the bounce buffer may lie on either side: what is asked is where buf is
		if !reaches {
			disk.lost = buf
		}
		if err := d.WriteBlocks(0, buf[:512]); err != nil { // nothing is known yet
			t.Error(err)
		}
		disk.expect(t, "W 0 512")
		copy(disk.data, want)
		for range 2 {
			clear(buf)
			if err := d.ReadBlocks(0, buf); err != nil || !bytes.Equal(buf, want) {
				t.Errorf("reaches high memory: %v; %v, read right: %v", reaches, err, bytes.Equal(buf, want))
			}
		}
		if reaches {
			disk.expect(t, "R 0 65536", "R 0 65536", "R 0 2097152", "R 0 2097152")
		} else {
			disk.expect(t, "R 0 65536", "R 0 65536", "R 0 1048576", "R 2048 1048576", "R 0 1048576", "R 2048 1048576")
		}
		if got := d.Habits(); strings.Contains(got, "does not arrive") == reaches {
			t.Errorf("told as %q", got)
		}
		copy(buf, bytes.Repeat([]byte("high"), 1<<19))
		if err := d.WriteBlocks(0, buf); err != nil || !bytes.Equal(disk.data[:len(buf)], buf) {
			t.Errorf("writing: %v", err)
		}
	}
}

func TestBlockDeviceLost(t *testing.T) {
	f, disk, d := bootVolume(t, 64)
	p := make([]byte, 512)
	try := func(want uefi.Status) {
		t.Helper()
		for _, err := range []error{d.ReadBlocks(0, p), d.WriteBlocks(0, p), d.Flush()} {
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if len(disk.reqs) > 0 {
			t.Errorf("the driver was called: %v", disk.reqs)
		}
	}
	disk.media.MediaPresent = 0
	try(uefi.NoMedia)
	disk.media.MediaPresent = 1
	disk.media.MediaID++ // another stick
	try(uefi.MediaChanged)
	disk.media.MediaID--
	io := f.proto[0].iface
	f.proto[0].iface = addr(f, &uefi.BlockIO{}) // the driver started anew: another interface
	try(uefi.MediaChanged)
	f.proto[0].iface = io
	f.uninstall(0x10) // pulled: the handle is gone
	try(uefi.MediaChanged)
}

// A drive that is plugged in again, also in another port, is used again; another one, or one that was
// written elsewhere meanwhile, is not.
func TestBlockDeviceReturns(t *testing.T) {
	f, disk, d := bootVolume(t, 64)
	p := bytes.Repeat([]byte("a"), 512)
	changes := 0
	d.OnChange(func() {
		changes++
		fn, this, id := d.RawWriter()
		if there := d.Present() == nil; there != (fn != 0) || there && (this != d.io || id != d.mediaID) {
			t.Errorf("a report would be written by %#x of %#x, medium %d", fn, this, id)
		}
	})
	if err := errors.Join(d.ReadBlocks(0, make([]byte, 1024)), d.WriteBlocks(7, p), d.WriteBlocks(20, p)); err != nil {
		t.Fatal(err)
	}
	lost := func(when string) {
		t.Helper()
		for _, err := range []error{d.ReadBlocks(1, make([]byte, 512)), d.WriteBlocks(7, p), d.Flush(), d.Present()} {
			if !errors.Is(err, fs.ErrRemoved) {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	plug := func(h Handle, port byte, data []byte) *fakeDisk {
		n := f.newDisk(h, 64)
		copy(n.data, data)
		n.media.MediaID = uint32(h)
		f.install(h, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x14, 0), usbPort(port), hd(1)))
		return n
	}
	f.uninstall(0x10)
	var log []string
	d.OnError(func(err error) { log = append(log, err.Error()) })
	lost("pulled out")
	if changes != 1 {
		t.Errorf("the change was told %d times", changes)
	}
	d.Present()
	d.Present()
	// OnChange asked first.
	if len(log) != 5 || !strings.HasPrefix(log[1], "reading 1 blocks at 1 of PciRoot(0x0)/") {
		t.Errorf("logged %q", log)
	}
	used := bytes.Clone(disk.data)
	used[20*512]++
	plug(0x11, 3, used)
	lost("written elsewhere")
	f.uninstall(0x11)
	other := bytes.Clone(disk.data)
	other[3]++
	plug(0x12, 3, other)
	lost("another drive")
	// Firmware sees the port, but leaves it to us to start what is in it.
	var back *fakeDisk
	f.bs.ConnectController = f.fn(func(a []uintptr) uefi.Status {
		if a[0] != 0x20 || a[3] != 1 {
			t.Errorf("connected %#x", a)
		}
		f.users[0x20] = []uint32{uefi.OpenByDriver}
		back = plug(0x13, 5, disk.data)
		return uefi.Success
	})
	f.install(0x20, uefi.USBIOGUID, 0x999)
	f.install(0x21, uefi.USBIOGUID, 0x999)
	f.users[0x21] = []uint32{uefi.OpenByDriver} // a keyboard
	if err := d.Present(); err != nil || changes != 2 {
		t.Errorf("plugged in again: %v, told %d times", err, changes)
	}
	if err := d.WriteBlocks(21, p); err != nil || !bytes.Equal(back.data[21*512:22*512], p) {
		t.Errorf("written after it came back: %v", err)
	}
	if want := "USB(0x5,0x0)"; !strings.Contains(d.String(), want) {
		t.Errorf("it is called %s", d)
	}

	// A write that failed in the middle leaves its block unknown, not the drive.
	back.status = uefi.DeviceError
	if err := d.WriteBlocks(21, p); !errors.Is(err, fs.ErrIO) || errors.Is(err, fs.ErrRemoved) {
		t.Errorf("the device failed: %v", err)
	}
	back.data[21*512]++
	f.uninstall(0x13)
	plug(0x14, 5, back.data)
	if err := d.Present(); err != nil {
		t.Error(err)
	}
}

// Firmware notices late that a drive was pulled out, and reports an error of the device until then.
func TestPulledInMidRequest(t *testing.T) {
	f, disk, d := bootVolume(t, 64)
	disk.status = uefi.DeviceError
	sleep = func(time.Duration) { f.uninstall(0x10) }
	if err := d.WriteBlocks(7, make([]byte, 512)); !errors.Is(err, fs.ErrRemoved) || !strings.Contains(err.Error(), "EFI_DEVICE_ERROR") {
		t.Error(err)
	}
}

// There is firmware that never notices: the device behind its Block I/O has ceased to answer then.
func TestPulledOutUnnoticed(t *testing.T) {
	f, disk, d := bootVolume(t, 4096)
	answers, stalled, silent, asked := uefi.Success, uint32(0), 0, func() {}
	stick := f.fn(func(a []uintptr) uefi.Status {
		if request := bytesAt(a[1], 8); !bytes.Equal(request, []byte{0x80, 0, 0, 0, 0, 0, 2, 0}) || a[2] != 0 || a[3] != 500 || a[5] != 2 {
			t.Errorf("the device was asked %x, %x", request, a[2:])
		}
		f.visible(a[1], 8)
		f.visible(a[4], 2)
		*out[uint32](f, a[6]) = stalled
		asked()
		if silent--; silent >= 0 {
			return uefi.Timeout
		}
		return answers
	})
	other := f.fn(func([]uintptr) uefi.Status { t.Error("another device was asked"); return uefi.Success })
	usb := func(h Handle, transfer uintptr, path ...[]byte) {
		f.install(h, uefi.USBIOGUID, addr(f, &uefi.USBIO{ControlTransfer: transfer}))
		f.install(h, uefi.DevicePathGUID, f.path(path...))
		f.users[h] = []uint32{uefi.OpenByDriver}
	}
	usb(0x20, other, pciRoot(), pci(0x14, 0))
	usb(0x21, stick, pciRoot(), pci(0x14, 0), usbPort(2))
	usb(0x22, other, pciRoot(), pci(0x14, 0), usbPort(3))
	if err := d.ReadBlocks(0, make([]byte, 512)); err != nil {
		t.Fatal(err)
	}

	// It fails, but is there.
	for _, answers = range []uefi.Status{uefi.Success, uefi.Unsupported} {
		disk.bad, disk.reqs = 7, nil
		if err := d.ReadBlocks(7, make([]byte, 512)); errors.Is(err, fs.ErrRemoved) || !errors.Is(err, fs.ErrIO) {
			t.Error(err)
		}
		if err := d.ReadBlocks(9, make([]byte, 512)); err != nil {
			t.Error(err)
		}
		disk.expect(t, "R 7 512", "R 9 512")
	}
	answers, stalled = uefi.DeviceError, 2
	if err := d.ReadBlocks(7, make([]byte, 512)); errors.Is(err, fs.ErrRemoved) {
		t.Error("to stall is an answer:", err)
	}
	stalled, answers, silent = 0, uefi.Success, 1
	if err := d.ReadBlocks(7, make([]byte, 512)); errors.Is(err, fs.ErrRemoved) {
		t.Error("silent once, it is taken for pulled out:", err)
	}
	answers = uefi.DeviceError
	if err := d.ReadBlocks(9, make([]byte, 512)); err != nil {
		t.Error(err)
	}

	disk.status, disk.reqs = uefi.DeviceError, nil
	if err := d.WriteBlocks(8, make([]byte, 1<<20)); !errors.Is(err, fs.ErrRemoved) || !strings.Contains(err.Error(), "EFI_DEVICE_ERROR") {
		t.Error(err)
	}
	disk.expect(t, "W 8 1048576") // not tried again in smaller pieces
	if fn, _, _ := d.RawWriter(); fn != 0 {
		t.Error("a report would be written to it")
	}
	again := func() { // the time has passed after which it is asked again
		for path := range d.dead {
			d.dead[path] = time.Time{}
		}
	}
	for range 3 {
		if err := d.Present(); !errors.Is(err, fs.ErrRemoved) {
			t.Error(err)
		}
		again()
	}
	disk.expect(t)

	disk.status, answers = uefi.Success, uefi.Success // plugged in where it was, or it only hung
	if err := d.WriteBlocks(8, make([]byte, 512)); err != nil {
		t.Error(err)
	}
	disk.expect(t, "R 0 512", "W 8 512")

	disk.status, answers = uefi.DeviceError, uefi.Timeout
	if err := d.Flush(); !errors.Is(err, fs.ErrRemoved) {
		t.Error(err)
	}
	moved := f.newDisk(0x11, 4096)
	copy(moved.data, disk.data)
	f.install(0x11, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x14, 0), usbPort(4), hd(1)))
	disk.reqs = nil
	if err := d.WriteBlocks(9, make([]byte, 512)); err != nil {
		t.Error(err)
	}
	disk.expect(t)
	moved.expect(t, "R 0 512", "R 8 512", "W 9 512")
	usb(0x23, stick, pciRoot(), pci(0x14, 0), usbPort(4))

	// Pulled out there as well, and noticed just after a request failed: it is not tried again in smaller
	// pieces, by a driver that is gone, and what is dead is still not read.
	moved.status, answers, asked = uefi.DeviceError, uefi.Success, func() { f.uninstall(0x11) }
	if err := d.WriteBlocks(16, make([]byte, 1<<20)); !errors.Is(err, fs.ErrRemoved) {
		t.Error(err)
	}
	moved.expect(t, "W 16 1048576")
	answers, asked = uefi.Timeout, func() {}
	if err := d.Present(); !errors.Is(err, fs.ErrRemoved) {
		t.Error(err)
	}
	again()
	if err := d.Present(); !errors.Is(err, fs.ErrRemoved) {
		t.Error(err)
	}
	disk.expect(t)
}

func TestBlockDeviceProtected(t *testing.T) {
	f, disk, d := bootVolume(t, 64)
	found, err := Disks()
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	p := make([]byte, 512)
	if err := found[0].WriteBlocks(0, p); !errors.Is(err, uefi.AccessDenied) {
		t.Errorf("a disk that was only found was written: %v", err)
	}
	disk.expect(t)
	found[0].AllowWrites()
	if err := found[0].WriteBlocks(0, p); err != nil {
		t.Error(err)
	}
	disk.expect(t, "W 0 512")
	disk.status = uefi.WriteProtected
	if err := d.WriteBlocks(0, p); !errors.Is(err, uefi.WriteProtected) {
		t.Errorf("write protected: %v", err)
	}
	disk.reqs = nil
	disk.media.ReadOnly = 1
	d, _ = BootVolume()
	if err := d.WriteBlocks(0, p); !d.ReadOnly() || !errors.Is(err, uefi.WriteProtected) {
		t.Errorf("write protected: %v", err)
	}
	disk.expect(t)
	_ = f
}

func TestBlockDeviceRefused(t *testing.T) {
	f := newFake(t)
	if _, err := BootVolume(); err == nil {
		t.Error("no loaded image, no error")
	}
	li := f.loadedFrom(0)
	if _, err := BootVolume(); !errors.Is(err, ErrNoBootVolume) {
		t.Errorf("no device handle: %v", err)
	}
	li.DeviceHandle = 0x99
	if _, err := BootVolume(); !errors.Is(err, ErrNoBootVolume) {
		t.Errorf("unknown handle: %v", err)
	}
	f.install(0x99, uefi.DevicePathGUID, f.path(pciRoot()))
	if _, err := BootVolume(); !errors.Is(err, ErrNoBootVolume) {
		t.Errorf("no Block I/O: %v", err)
	}
	disk := f.newDisk(0x99, 64)
	good := *disk.media
	for _, spoil := range []func(m *uefi.BlockIOMedia){
		func(m *uefi.BlockIOMedia) { m.BlockSize = 0 },
		func(m *uefi.BlockIOMedia) { m.BlockSize = 513 },
		func(m *uefi.BlockIOMedia) { m.IoAlign = 3 },
		func(m *uefi.BlockIOMedia) { m.IoAlign = 1 << 20 },
		func(m *uefi.BlockIOMedia) { m.LastBlock = 1<<64 - 1 },
		func(m *uefi.BlockIOMedia) { m.MediaPresent = 0 },
	} {
		*disk.media = good
		spoil(disk.media)
		if d, err := BootVolume(); err == nil || errors.Is(err, ErrNoBootVolume) {
			t.Errorf("%+v: %v, %v", *disk.media, d, err)
		}
	}
	*disk.media = good
	disk.io.Media = 0
	if _, err := BootVolume(); err == nil {
		t.Error("Block I/O without media was accepted")
	}
}

func TestVolumes(t *testing.T) {
	f := newFake(t)
	if list, err := Volumes(); len(list) != 0 || err != nil {
		t.Errorf("nothing there: %v, %v", list, err)
	}
	add := func(h Handle, path ...[]byte) *fakeDisk {
		d := f.newDisk(h, 64)
		f.install(h, uefi.DevicePathGUID, f.path(path...))
		if len(path[len(path)-1]) == 42 {
			d.media.LogicalPartition = 1
		}
		return d
	}
	add(1, pciRoot(), pci(0x1d, 0))                    // internal disk ...
	add(2, pciRoot(), pci(0x1d, 0), hd(1))             // ... with a partition
	add(3, pciRoot(), pci(0x1f, 2))                    // internal, partitionless
	add(4, pciRoot(), pci(0x14, 0), usbPort(1))        // stick ...
	add(5, pciRoot(), pci(0x14, 0), usbPort(1), hd(1)) // ... with a partition
	add(6, pciRoot(), pci(0x14, 0), usbPort(2))        // partitionless stick
	add(7, pciRoot(), pci(0x14, 0), usbPort(3)).media.MediaPresent = 0
	add(8, pciRoot(), pci(0x14, 0), usbPort(4)).media.BlockSize = 520
	order := func(list []*BlockDevice) (s string) {
		for _, d := range list {
			s += fmt.Sprint(uintptr(d.handle))
		}
		return s
	}
	list, err := Volumes()
	if order(list) != "5263" {
		t.Errorf("volumes in order %s", order(list))
	}
	if err == nil || !strings.Contains(err.Error(), "520 bytes") || strings.Contains(err.Error(), "NO_MEDIA") {
		t.Errorf("the error should tell of the disk with strange blocks only: %v", err)
	}
	if list, _ := Disks(); order(list) != "1346" {
		t.Errorf("disks %s", order(list))
	}
}

func TestConnectStorage(t *testing.T) {
	f := newFake(t)
	var connected []uintptr
	f.bs.ConnectController = f.fn(func(a []uintptr) uefi.Status {
		if a[1] != 0 || a[2] != 0 || a[3] != 1 {
			t.Errorf("ConnectController(%#x)", a)
		}
		connected = append(connected, a[0])
		if a[0] == 6 {
			return uefi.NotFound
		}
		return uefi.Success
	})
	add := func(h Handle, class uint16, users ...uint32) {
		p := &uefi.PCIIO{PciRead: f.fn(func(a []uintptr) uefi.Status {
			if a[1] != 1 || a[2] != 0x0a || a[3] != 1 {
				t.Errorf("configuration read %#x", a[1:])
			}
			*out[uint16](f, a[4]) = class
			return uefi.Success
		})}
		f.install(h, uefi.PCIIOGUID, addr(f, p))
		f.users[h] = users
	}
	add(1, 0x0108)                                                     // NVMe without a driver
	add(2, 0x0106, uefi.OpenByDriver)                                  // AHCI, live
	add(3, 0x0c03)                                                     // USB without a driver
	add(4, 0x0300)                                                     // graphics
	add(5, 0x0c03, uefi.OpenGetProtocol, uefi.OpenByDriver|0x20, 0x04) // USB, live
	add(6, 0x0104)                                                     // RAID without a driver to be had
	add(7, 0x0c05, uefi.OpenGetProtocol)                               // SMBus
	f.install(8, uefi.USBIOGUID, addr(f, new(uefi.PCIIO)))             // a second stick on the live controller
	f.install(9, uefi.USBIOGUID, addr(f, new(uefi.PCIIO)))
	f.users[9] = []uint32{uefi.OpenByDriver} // the one that was started from
	n, err := ConnectStorage()
	if n != 3 || err != nil || fmt.Sprint(connected) != "[1 3 6 8]" {
		t.Errorf("%d started, %v; connected %v", n, err, connected)
	}
}

func TestDevicePathText(t *testing.T) {
	for _, c := range []struct {
		want  string
		nodes [][]byte
	}{
		{"", nil},
		{"PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0x1,0xffff,0x0)", [][]byte{pciRoot(), pci(0x1f, 2), node(pathMessaging, 18, 1, 0, 0xff, 0xff, 0, 0)}},
		{"NVMe(0x1,00-11-22-33-44-55-66-77)", [][]byte{node(pathMessaging, 23, 1, 0, 0, 0, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00)}},
		{"Serial(0x0)/Uart(115200,8)", [][]byte{node(pathACPI, 1, 0xd0, 0x41, 0x01, 0x05, 0, 0, 0, 0), node(pathMessaging, 14, 0, 0, 0, 0, 0, 0xc2, 1, 0, 0, 0, 0, 0, 8, 1, 1)}},
		{"Scsi(0x1,0x2)", [][]byte{node(pathMessaging, 2, 1, 0, 2, 0)}},
		{"Path(1,1,00)", [][]byte{node(pathHardware, 1, 0)}}, // too short for what it claims to be
		{"Path(9,8,0102)", [][]byte{node(9, 8, 1, 2)}},
	} {
		if got := devicePath(bytes.Join(c.nodes, nil)).String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	f := newFake(t)
	if got := readDevicePath(f.path(pciRoot(), pci(1, 0))).String(); got != "PciRoot(0x0)/Pci(0x1,0x0)" {
		t.Error(got)
	}
	endless := bytes.Repeat(pci(1, 0), 3000)
	f.keep = append(f.keep, endless)
	if p := readDevicePath(addressOf(endless)); len(p) > maxDevicePath {
		t.Errorf("%d bytes of a path without an end", len(p))
	}
	broken := append(pci(1, 0), 1, 1, 0, 0) // a node of no length
	f.keep = append(f.keep, broken)
	if p := readDevicePath(addressOf(broken)); len(p) != 6 {
		t.Errorf("broken path: % x", p)
	}
}

func FuzzDevicePath(f *testing.F) {
	f.Add([]byte(bytes.Join([][]byte{pciRoot(), pci(0x14, 0), usbPort(1), hd(1)}, nil)))
	f.Add(node(pathMessaging, 23, make([]byte, 12)...))
	f.Add(node(pathMedia, 4, 'a', 0, 1, 0))
	f.Add([]byte{1, 1, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := devicePath(b)
		for _, r := range p.String() {
			if r < ' ' {
				t.Errorf("control character in %q", p.String())
			}
		}
		p.usb()
		p.acpi(0x0501)
		if p.contains(p) {
			t.Error("a path contains itself")
		}
	})
}
