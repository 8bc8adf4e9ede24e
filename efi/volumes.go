package efi

// Which disks there are. Invariant: looking changes nothing. What a driver already
// manages is left alone: only storage and USB controllers without any driver are started, by
// ConnectStorage, and USB devices without one, by connectUSB when something is missing.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"alphaos/uefi"
)

// ErrNoBootVolume is returned when the device this program came from is not
// known or is not a disk: it was started from a shell, the network or memory.
var ErrNoBootVolume = errors.New("the firmware does not say which disk this program was started from")

// BootVolume returns the partition, or partitionless disk, from which the
// firmware loaded this program. It is the one device that may be written
// without further ado. Take it once: the device keeps what it needs.
func BootVolume() (*BlockDevice, error) {
	img, err := LoadedImage()
	if err != nil {
		return nil, err
	}
	if img.Device == 0 {
		return nil, ErrNoBootVolume
	}
	d, err := openBlock(img.Device)
	if errors.Is(err, uefi.Unsupported) || errors.Is(err, uefi.NotFound) || errors.Is(err, uefi.InvalidParameter) {
		return nil, fmt.Errorf("%w: %w", ErrNoBootVolume, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the disk this program was started from: %w", err)
	}
	d.AllowWrites()
	return d, nil
}

// Disks returns all whole disks that have a medium. Devices that cannot be
// used are left out; the error names them and may come with a list.
func Disks() ([]*BlockDevice, error) {
	return blockDevices(func(d *BlockDevice) bool { return !d.Partition() })
}

// Volumes returns what may hold a file system: all partitions, and the disks
// that have none. Likely ones come first: partitions before disks, removable
// before built-in ones. They are not writable until AllowWrites is called.
// When nothing fits, ConnectStorage may bring more to light.
func Volumes() ([]*BlockDevice, error) {
	list, err := blockDevices(func(*BlockDevice) bool { return true })
	list = slices.DeleteFunc(list, func(d *BlockDevice) bool {
		return !d.Partition() && slices.ContainsFunc(list, func(p *BlockDevice) bool {
			return p.Partition() && len(d.path) > 0 && d.path.contains(p.path)
		})
	})
	rank := func(d *BlockDevice) int {
		r := 0
		if !d.Partition() {
			r += 2
		}
		if !d.Removable() {
			r++
		}
		return r
	}
	slices.SortStableFunc(list, func(a, b *BlockDevice) int { return cmp.Compare(rank(a), rank(b)) })
	return list, err
}

// Disk returns the whole disk that the partition d is on, and its other partitions. None of
// them is writable until AllowWrites is called.
func (d *BlockDevice) Disk() (disk *BlockDevice, others []*BlockDevice, err error) {
	if d.path.partition() == nil {
		return nil, nil, fmt.Errorf("%s is no partition of a disk: %w", d, uefi.NotFound)
	}
	// An error is about devices that are left out. If the disk is one, that is said below.
	list, _ := blockDevices(func(n *BlockDevice) bool { return bytes.Equal(n.path.disk(), d.path.disk()) })
	for _, n := range list {
		switch {
		case n.path.partition() == nil:
			disk = n
		case n.handle != d.handle:
			others = append(others, n)
		}
	}
	if disk == nil {
		return nil, nil, fmt.Errorf("the disk that %s is on cannot be found: %w", d, uefi.NotFound)
	}
	return disk, others, nil
}

// Same reports whether d and other are the same device of the firmware.
func (d *BlockDevice) Same(other *BlockDevice) bool { return d.handle == other.handle }

// Entry returns the number of a partition and its GUID in the disk's partition table, if that is
// one of GUIDs (10.3.5.1).
func (d *BlockDevice) Entry() (number int, guid [16]byte, ok bool) {
	_, _, node, _, ok := d.path.partition().next()
	if !ok || len(node) != 38 || node[37] != 2 {
		return 0, guid, false
	}
	return int(binary.LittleEndian.Uint32(node)), [16]byte(node[20:36]), true
}

func blockDevices(want func(*BlockDevice) bool) ([]*BlockDevice, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	hs, err := handles(&uefi.BlockIOGUID)
	if err != nil {
		return nil, fmt.Errorf("looking for disks: %w", err)
	}
	var list []*BlockDevice
	var errs []error
	for _, h := range hs {
		d, err := openBlock(h)
		switch {
		case errors.Is(err, uefi.NoMedia): // an empty card reader
		case err != nil:
			errs = append(errs, err)
		case want(d):
			list = append(list, d)
		}
	}
	return list, errors.Join(errs...)
}

// ConnectStorage starts the PCI storage and USB controllers that no driver
// manages, and what is attached to them, and further devices on live USB
// controllers: some firmware, Apple's among it, starts only what it booted from. Live
// controllers and devices are not touched, since reconnecting one resets its devices. It
// returns how many were started and may take seconds: call it only when something was
// not found otherwise.
func ConnectStorage() (started int, err error) {
	if err := ready(); err != nil {
		return 0, err
	}
	hs, err := handles(&uefi.PCIIOGUID)
	if err != nil {
		return 0, fmt.Errorf("looking for storage controllers: %w", err)
	}
	var errs []error
	for _, h := range hs {
		class, err := pciClass(h)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if class>>8 != 0x01 && class != 0x0c03 { // mass storage; serial bus, USB
			continue
		}
		live, err := managed(h, &uefi.PCIIOGUID)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", handlePath(h), err))
			continue
		}
		if live {
			continue
		}
		switch err := connect(h); {
		case err == nil:
			started++
		case !errors.Is(err, uefi.NotFound): // no driver for it
			errs = append(errs, fmt.Errorf("starting %s: %w", handlePath(h), err))
		}
	}
	return started + connectUSB(), errors.Join(errs...)
}

// connectUSB starts USB devices that no driver manages, and returns how many: firmware that
// started only what it booted from leaves others, and one that is plugged in later, as they are.
func connectUSB() (started int) {
	hs, err := handles(&uefi.USBIOGUID)
	if err != nil {
		return 0 // there is no USB, or nothing to be found there
	}
	for _, h := range hs {
		if live, err := managed(h, &uefi.USBIOGUID); err == nil && !live && connect(h) == nil { // else there is no driver for it
			started++
		}
	}
	return started
}

// pciClass reads the class and sub-class of a PCI device, offset 0x0A of its
// configuration space (UEFI 2.10, 14.4.6).
func pciClass(h Handle) (uint16, error) {
	const width16, offset = 1, 0x0a
	// A look without a claim: GET_PROTOCOL does not count as a user.
	addr, err := openProtocol(h, &uefi.PCIIOGUID, uefi.OpenGetProtocol)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", handlePath(h), err)
	}
	params.Lock()
	defer params.Unlock()
	st := uefi.Status(call(at[uefi.PCIIO](addr).PciRead, addr, width16, offset, 1, cell(0, 0)))
	if err := st.Err(); err != nil {
		return 0, fmt.Errorf("reading the PCI class: %w", err)
	}
	return uint16(params.cell[0]), nil
}
