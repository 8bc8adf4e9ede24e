package efi

import (
	"bytes"
	"errors"
	"testing"

	"alphaos/fs"
	"alphaos/uefi"
)

// stick plugs a disk with two partitions into a USB port, on handles from h on.
func (f *fake) stick(h Handle, port byte, fill byte) (disks [3]*fakeDisk) {
	for i := range disks {
		d := f.newDisk(h+Handle(i), 64)
		path := [][]byte{pciRoot(), pci(0x14, 0), usbPort(port)}
		if i > 0 {
			d.media.LogicalPartition = 1
			path = append(path, hd(byte(i)))
		}
		d.data[0] = fill
		f.install(h+Handle(i), uefi.DevicePathGUID, f.path(path...))
		disks[i] = d
	}
	return disks
}

func TestDisk(t *testing.T) {
	f := newFake(t)
	f.stick(0x10, 1, 1)
	f.stick(0x20, 2, 2) // the same partitions, on another disk
	f.loadedFrom(0x11)
	d, err := BootVolume()
	if err != nil {
		t.Fatal(err)
	}
	disk, others, err := d.Disk()
	if err != nil || disk.handle != 0x10 || len(others) != 1 || others[0].handle != 0x12 {
		t.Fatalf("the disk is %v, the other partitions %v: %v", disk, others, err)
	}
	if others[0].allowed || disk.allowed {
		t.Error("what was found may be written")
	}
	number, guid, ok := others[0].Entry()
	if !ok || number != 2 || uefi.GUIDAt(guid[:]).String() != "00112233-4455-6677-8899-aabbccddeeff" {
		t.Errorf("partition %d, %x, %v", number, guid, ok)
	}
	if _, _, ok := disk.Entry(); ok {
		t.Error("a whole disk has an entry in a partition table")
	}
	if _, _, err := disk.Disk(); !errors.Is(err, uefi.NotFound) {
		t.Errorf("the disk of a disk: %v", err)
	}
	f.uninstall(0x10)
	if _, _, err := d.Disk(); !errors.Is(err, uefi.NotFound) {
		t.Errorf("a partition without its disk: %v", err)
	}
}

// The partitions of a drive come back on one disk: a copy of the drive, on which one of them was
// never written since and so looks the same, is not taken for any of them.
func TestTogether(t *testing.T) {
	f := newFake(t)
	one := f.stick(0x10, 1, 1)
	f.loadedFrom(0x11)
	a, err := BootVolume()
	if err != nil {
		t.Fatal(err)
	}
	_, others, err := a.Disk()
	if err != nil {
		t.Fatal(err)
	}
	b := others[0]
	b.AllowWrites()
	Together(a, b)
	changes := 0
	a.OnChange(func() { changes++ })
	p := make([]byte, 512)
	if err := errors.Join(a.ReadBlocks(0, p), b.ReadBlocks(0, p), b.WriteBlocks(7, p)); err != nil {
		t.Fatal(err)
	}
	pull := func(h Handle) {
		for i := range Handle(3) {
			f.uninstall(h + i)
		}
	}
	pull(0x10)
	// One of them notices; what a crash would write goes nowhere from then on.
	if err := b.Present(); !errors.Is(err, fs.ErrRemoved) || changes != 1 {
		t.Errorf("pulled out: %v, told %d times", err, changes)
	}
	if fn, _, _ := a.RawWriter(); fn != 0 {
		t.Error("a report would be written to a drive that is gone")
	}
	f.stick(0x20, 2, 1) // a copy: block 7 of the second partition is as it was once
	for _, d := range []*BlockDevice{a, b} {
		if err := d.Present(); !errors.Is(err, fs.ErrRemoved) {
			t.Errorf("%s is taken from a copy of the drive: %v", d, err)
		}
	}
	back := f.stick(0x30, 3, 1)
	for i, d := range back {
		copy(d.data, one[i].data)
	}
	if err := a.Present(); err != nil || changes != 2 {
		t.Errorf("plugged in again: %v, told %d times", err, changes)
	}
	if a.handle != 0x31 || b.handle != 0x32 {
		t.Errorf("they are on handles %#x and %#x", a.handle, b.handle)
	}
	p[0] = 'x'
	if err := b.WriteBlocks(9, p); err != nil || !bytes.Equal(back[2].data[9*512:10*512], p) {
		t.Errorf("written after it came back: %v", err)
	}
}
