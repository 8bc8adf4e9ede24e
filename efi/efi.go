// Package efi is AlphaOS's view of the firmware: its services as Go functions,
// as many as the program needs (what is used exists since EFI 1.10). The
// structures and numbers of the specification are in package uefi.
//
// # The one rule
//
// The machine (package amd64) runs Go under its own page tables: Go's heap and
// stacks live at addresses the firmware cannot see. So every pointer handed to
// the firmware points either to a package-level variable of this image or to
// memory from amd64.AllocPhysical, never to the Go heap or to a stack. Small
// parameters go through one static, locked block (see memory.go), bulk data
// through physical buffers that are allocated once. Callers of this package
// need not know the rule: each function takes and returns ordinary Go values
// and copies at the edge. Only two doors take large memory straight through,
// when amd64.Physical says that it may: BlockDevice.ReadBlocks and WriteBlocks.
//
// The other direction is plain: firmware tables, protocol structures and
// buffers the firmware returns are read at their address.
//
// # Wiring
//
//	if err := efi.Init(); err != nil { ... }     // not under firmware, or no usable tables
//	screen, err := efi.OpenScreen()              // *efi.Screen is a console.Screen
//	serial, err := efi.OpenSerial()              // *efi.Serial is an io.ReadWriteCloser; efi.ErrNoSerial on a Mac
//	keys := []<-chan console.Key{efi.Keys(ctx, layout)}   // a nil layout is a US keyboard's
//	if serial != nil {
//		keys = append(keys, console.DecodeKeys(ctx, serial))
//	}
//	o := console.Options{Keys: console.MergeKeys(keys...)}
//	if screen != nil { o.Screen = screen }       // mind the typed nil
//	if serial != nil { o.Serial = serial } else if screen == nil {
//		o.Serial = efi.TextOutput()              // the firmware's own text console
//	}
//	con, err := console.New(o)
//
//	dev, err := efi.BootVolume()                 // the partition this image came from, writable
//	if errors.Is(err, efi.ErrNoBootVolume) {     // started from a shell, the network, a RAM disk
//		vols, err := efi.Volumes()               // likely ones first; read-only until dev.AllowWrites()
//	}
//	fsys, err := fat.Mount(dev)
//	...
//	err = efi.Shutdown(dev)                      // flush, let the medium settle, power off
//	// Shutdown returned: say that it is safe to hold the power button.
//
// Errors wrap a uefi.Status, so errors.Is(err, uefi.NoMedia) works and the text
// names the EFI status and says what it means. Those of a BlockDevice are also what
// package fs calls them.
package efi

import (
	"errors"
	"fmt"
	"hash/crc32"

	"alphaos/amd64"
	"alphaos/uefi"
)

// The machine underneath. They are variables so that tests can stand in for
// the firmware.
var (
	call     = amd64.Call
	alloc    = amd64.AllocLow
	free     = amd64.FreePhysical
	physical = amd64.Physical
	handBack = amd64.HandBack
	in8      = amd64.In8
	out8     = amd64.Out8
)

// ErrNotBooted is returned by Init when the program was not started by
// firmware but, say, on a Linux host.
var ErrNotBooted = errors.New("not running under UEFI firmware")

// errNoFirmware is what every function returns before a successful Init.
var errNoFirmware = fmt.Errorf("efi.Init has not succeeded: %w", ErrNotBooted)

// fw holds the firmware's tables once Init has checked them. It is written
// once, before anything else in this package is used.
var fw struct {
	image uintptr // handle of this image
	st    *uefi.SystemTable
	bs    *uefi.BootServices
	rt    *uefi.RuntimeServices
	crc   error // says which tables do not match their checksums
}

// Init finds the firmware's tables and checks their signatures. It must be
// called once before any other function of the package.
func Init() error {
	if !amd64.Booted() {
		return ErrNotBooted
	}
	return attach(amd64.SystemTable(), amd64.ImageHandle())
}

func attach(table, image uintptr) error {
	if table == 0 {
		return errors.New("the firmware passed no system table")
	}
	st := at[uefi.SystemTable](table)
	if err := checkSignature("system table", &st.Header, uefi.SystemTableSignature); err != nil {
		return err
	}
	if st.BootServices == 0 {
		return errors.New("the firmware's boot services are gone: another program has already ended them")
	}
	if st.RuntimeServices == 0 {
		return errors.New("the firmware's system table has no runtime services")
	}
	bs, rt := at[uefi.BootServices](st.BootServices), at[uefi.RuntimeServices](st.RuntimeServices)
	if err := checkSignature("boot services table", &bs.Header, uefi.BootServicesSignature); err != nil {
		return err
	}
	if err := checkSignature("runtime services table", &rt.Header, uefi.RuntimeServicesSignature); err != nil {
		return err
	}
	fw.image, fw.st, fw.bs, fw.rt = image, st, bs, rt
	fw.crc = errors.Join(
		checkCRC("system table", table),
		checkCRC("boot services table", st.BootServices),
		checkCRC("runtime services table", st.RuntimeServices))
	return nil
}

func checkSignature(name string, h *uefi.TableHeader, want uint64) error {
	if h.Signature != want {
		return fmt.Errorf("the firmware's %s has signature %#x instead of %#x", name, h.Signature, want)
	}
	return nil
}

// checkCRC compares the CRC-32 of a table with the one in its header
// (UEFI 2.10, 4.2.1: over HeaderSize bytes with the field itself as zero).
func checkCRC(name string, addr uintptr) error {
	h := at[uefi.TableHeader](addr)
	if h.HeaderSize < uefi.TableHeaderSize || h.HeaderSize > 4096 {
		return fmt.Errorf("%s: %w: header size %d makes no sense", name, uefi.CRCError, h.HeaderSize)
	}
	b := bytesAt(addr, int(h.HeaderSize))
	var zero [4]byte
	sum := crc32.ChecksumIEEE(b[:16])
	sum = crc32.Update(sum, crc32.IEEETable, zero[:])
	sum = crc32.Update(sum, crc32.IEEETable, b[20:])
	if sum != h.CRC32 {
		return fmt.Errorf("%s: %w: %#08x in the header, %#08x computed", name, uefi.CRCError, h.CRC32, sum)
	}
	return nil
}

// TableCRC returns an error wrapping CRCError when one of the tables does not
// match its checksum. It is worth a note, not a refusal: boot managers that
// replace an entry of a table (and many Macs have one) often leave the
// checksum as it was.
func TableCRC() error { return fw.crc }

// Firmware describes the firmware: its vendor, the vendor's own revision, and
// the version of the specification it follows, e.g. "EDK II", 0x10000, "2.70".
func Firmware() (vendor string, revision uint32, spec string) {
	if fw.st == nil {
		return "", 0, ""
	}
	// The low half counts hundredths: 2.10 is 2<<16|100, 2.3.1 is 2<<16|31.
	r := fw.st.Header.Revision
	return textAt(fw.st.FirmwareVendor, 100), fw.st.FirmwareRevision, fmt.Sprintf("%d.%02d", r>>16, r&0xffff)
}
