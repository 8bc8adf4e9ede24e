package efi

// Device paths (UEFI 2.10, chapter 10) as bytes and as text. The text follows
// section 10.6.1.6 for the nodes met on the way to a disk, a console or a
// file. It is made here, not by the firmware's converter, which not every
// machine has. Invariant: a path is read only as far as its nodes' lengths
// make sense, and never beyond maxDevicePath bytes.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"alphaos/uefi"
)

// devicePath is the nodes of a path without the end node.
type devicePath []byte

const maxDevicePath = 8 << 10

// readDevicePath copies the path at an address; a nil address is the empty
// path. Reading stops where the nodes stop making sense.
func readDevicePath(addr uintptr) devicePath {
	if addr == 0 {
		return nil
	}
	var p devicePath
	for len(p) < maxDevicePath {
		head := bytesAt(addr+uintptr(len(p)), 4)
		n := int(binary.LittleEndian.Uint16(head[2:]))
		if n < 4 || len(p)+n > maxDevicePath || head[0] == pathEnd && head[1] == pathEndEntire {
			break
		}
		p = append(p, bytesAt(addr+uintptr(len(p)), n)...)
	}
	return p
}

// handlePath returns the device path installed on a handle, if any.
func handlePath(h Handle) devicePath {
	addr, err := protocol(h, &uefi.DevicePathGUID)
	if err != nil {
		return nil
	}
	return readDevicePath(addr)
}

// Types and sub-types of nodes.
const (
	pathHardware  = 1
	pathACPI      = 2
	pathMessaging = 3
	pathMedia     = 4
	pathEnd       = 0x7f

	pathEndEntire  = 0xff
	mediaHardDrive = 1
	mediaFile      = 4
)

// next splits off the first node: its type, sub-type and data. ok is false at
// the end or where the bytes make no sense.
func (p devicePath) next() (kind, sub byte, data []byte, rest devicePath, ok bool) {
	if len(p) < 4 {
		return 0, 0, nil, nil, false
	}
	n := int(binary.LittleEndian.Uint16(p[2:]))
	if n < 4 || n > len(p) {
		return 0, 0, nil, nil, false
	}
	return p[0], p[1], p[4:n], p[n:], true
}

// usb reports whether the path leads over USB.
func (p devicePath) usb() bool { return p.over(5, 15, 16) }

// serial reports whether the path leads over a serial line: a terminal is there.
func (p devicePath) serial() bool { return p.over(14) }

// over reports whether the path has a messaging node of one of these sub-types (10.3.4).
func (p devicePath) over(subs ...byte) bool {
	for {
		kind, sub, _, rest, ok := p.next()
		if !ok {
			return false
		}
		if kind == pathMessaging && slices.Contains(subs, sub) {
			return true
		}
		p = rest
	}
}

// acpi returns the number of the ACPI device PNP<pnp> that a node of the path is, if one is.
func (p devicePath) acpi(pnp uint16) (uid uint32, ok bool) {
	for {
		kind, sub, data, rest, ok := p.next()
		if !ok {
			return 0, false
		}
		if kind == pathACPI && sub == 1 && len(data) == 8 && binary.LittleEndian.Uint32(data) == uint32(pnp)<<16|eisaPNP {
			return binary.LittleEndian.Uint32(data[4:]), true
		}
		p = rest
	}
}

const eisaPNP = 0x41d0 // "PNP" compressed

// partition returns the node that names the partition at the end of the path:
// its number, place, size and signature. It is the same in every USB port; nil
// means no partition.
func (p devicePath) partition() devicePath {
	for {
		kind, sub, _, rest, ok := p.next()
		switch {
		case !ok:
			return nil
		case len(rest) == 0 && kind == pathMedia && sub == mediaHardDrive:
			return p
		}
		p = rest
	}
}

// disk returns the path of the whole disk: without the node of a partition at the end.
func (p devicePath) disk() devicePath { return p[:len(p)-len(p.partition())] }

// contains reports whether inner is reached through p: p is a proper prefix.
func (p devicePath) contains(inner devicePath) bool {
	return len(p) < len(inner) && bytes.HasPrefix(inner, p)
}

// String returns the path as text, e.g.
// "PciRoot(0x0)/Pci(0x14,0x0)/USB(0x1,0x0)/HD(1,GPT,...)", or "" for none.
func (p devicePath) String() string {
	var nodes []string
	for {
		kind, sub, data, rest, ok := p.next()
		if !ok {
			return strings.Join(nodes, "/")
		}
		if kind == pathEnd {
			nodes = append(nodes, ",")
		} else {
			nodes = append(nodes, nodeText(kind, sub, data))
		}
		p = rest
	}
}

func nodeText(kind, sub byte, d []byte) string {
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(d[i:]) }
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(d[i:]) }
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(d[i:]) }
	n := len(d)
	switch int(kind)<<8 | int(sub) {
	case pathHardware<<8 | 1:
		if n == 2 {
			return fmt.Sprintf("Pci(%#x,%#x)", d[1], d[0])
		}
	case pathHardware<<8 | 4:
		if n >= 16 {
			return fmt.Sprintf("VenHw(%s)", uefi.GUIDAt(d))
		}
	case pathHardware<<8 | 5:
		if n == 4 {
			return fmt.Sprintf("Ctrl(%#x)", u32(0))
		}
	case pathACPI<<8 | 1:
		if n == 8 {
			id, uid := u32(0), u32(4)
			switch {
			case id == 0x0a03<<16|eisaPNP:
				return fmt.Sprintf("PciRoot(%#x)", uid)
			case id == 0x0a08<<16|eisaPNP:
				return fmt.Sprintf("PcieRoot(%#x)", uid)
			case id == 0x0501<<16|eisaPNP:
				return fmt.Sprintf("Serial(%#x)", uid)
			case id&0xffff == eisaPNP:
				return fmt.Sprintf("Acpi(PNP%04X,%#x)", id>>16, uid)
			}
			return fmt.Sprintf("Acpi(%#08x,%#x)", id, uid)
		}
	case pathMessaging<<8 | 1:
		if n == 4 {
			return fmt.Sprintf("Ata(%#x)", u16(2))
		}
	case pathMessaging<<8 | 2:
		if n == 4 {
			return fmt.Sprintf("Scsi(%#x,%#x)", u16(0), u16(2))
		}
	case pathMessaging<<8 | 5:
		if n == 2 {
			return fmt.Sprintf("USB(%#x,%#x)", d[0], d[1])
		}
	case pathMessaging<<8 | 10:
		if n >= 16 {
			return fmt.Sprintf("VenMsg(%s)", uefi.GUIDAt(d))
		}
	case pathMessaging<<8 | 14:
		if n == 15 {
			return fmt.Sprintf("Uart(%d,%d)", u64(4), d[12])
		}
	case pathMessaging<<8 | 15:
		if n == 7 {
			return fmt.Sprintf("UsbClass(%#x,%#x)", u16(0), u16(2))
		}
	case pathMessaging<<8 | 16:
		if n >= 6 {
			return fmt.Sprintf("UsbWwid(%#x,%#x)", u16(2), u16(4))
		}
	case pathMessaging<<8 | 17:
		if n == 1 {
			return fmt.Sprintf("Unit(%#x)", d[0])
		}
	case pathMessaging<<8 | 18:
		if n == 6 {
			return fmt.Sprintf("Sata(%#x,%#x,%#x)", u16(0), u16(2), u16(4))
		}
	case pathMessaging<<8 | 23:
		if n == 12 {
			e := d[4:12]
			return fmt.Sprintf("NVMe(%#x,%02X-%02X-%02X-%02X-%02X-%02X-%02X-%02X)", u32(0), e[7], e[6], e[5], e[4], e[3], e[2], e[1], e[0])
		}
	case pathMessaging<<8 | 26:
		if n == 1 {
			return fmt.Sprintf("SD(%#x)", d[0])
		}
	case pathMessaging<<8 | 29:
		if n == 1 {
			return fmt.Sprintf("eMMC(%#x)", d[0])
		}
	case pathMedia<<8 | mediaHardDrive:
		if n == 38 {
			switch d[37] {
			case 2:
				return fmt.Sprintf("HD(%d,GPT,%s,%#x,%#x)", u32(0), uefi.GUIDAt(d[20:]), u64(4), u64(12))
			case 1:
				return fmt.Sprintf("HD(%d,MBR,%#08x,%#x,%#x)", u32(0), u32(20), u64(4), u64(12))
			}
			return fmt.Sprintf("HD(%d,%d,%x,%#x,%#x)", u32(0), d[37], d[20:36], u64(4), u64(12))
		}
	case pathMedia<<8 | 2:
		if n == 20 {
			return fmt.Sprintf("CDROM(%#x)", u32(0))
		}
	case pathMedia<<8 | 3:
		if n >= 16 {
			return fmt.Sprintf("VenMedia(%s)", uefi.GUIDAt(d))
		}
	case pathMedia<<8 | mediaFile:
		units := make([]uint16, 0, n/2)
		for i := 0; i+1 < n && u16(i) != 0; i += 2 {
			units = append(units, u16(i))
		}
		return strings.Map(func(r rune) rune {
			if r < ' ' {
				return -1
			}
			return r
		}, string(utf16.Decode(units)))
	}
	return fmt.Sprintf("Path(%d,%d,%X)", kind, sub, d)
}
