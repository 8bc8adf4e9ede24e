package efi

// SMBIOS (DSP0134 3.6): what the machine's maker says of it. Only what is the same for all
// machines of a kind is read: no serial numbers, UUIDs, asset tags or places.
//
// The tables are the firmware's, and found at addresses that it gives. Invariant: nothing is
// read that is not in the firmware's memory map, or where such tables lay before there was
// one; a structure is believed only as far as the table reaches, and each one moves on.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"alphaos/uefi"
)

// SMBIOS is the kind of machine. Texts that the maker left out are empty.
type SMBIOS struct {
	Version    string // of the tables, "3.2"
	Structures int

	BIOSVendor, BIOSVersion, BIOSDate             string // type 0
	Manufacturer, Product, ProductVersion, Family string // type 1
	BoardMaker, Board, BoardVersion               string // type 2
}

const maxSMBIOS = 1 << 20 // bytes of tables that are believed

// ReadSMBIOS reads the tables, those of the newer kind if there are both.
func ReadSMBIOS() (SMBIOS, error) {
	if err := ready(); err != nil {
		return SMBIOS{}, err
	}
	err := errors.New("the firmware has no SMBIOS tables")
	for _, guid := range []uefi.GUID{uefi.SMBIOS3TableGUID, uefi.SMBIOSTableGUID} {
		addr := configurationTable(guid)
		if addr == 0 {
			continue
		}
		const longest = 32 // an entry point
		var entry []byte
		if entry, err = memoryAt(addr, longest); err != nil {
			continue
		}
		var at uintptr
		var size int
		var version string
		if at, size, version, err = parseEntryPoint(entry); err != nil {
			continue
		}
		var table []byte
		if table, err = memoryAt(at, size); err != nil {
			continue
		}
		s := parseSMBIOS(table)
		s.Version = version
		return s, nil
	}
	return SMBIOS{}, fmt.Errorf("SMBIOS: %w", err)
}

// parseEntryPoint reads one of both kinds (5.2.1, 5.2.2): where the structures are and how
// many bytes they may take.
func parseEntryPoint(b []byte) (at uintptr, size int, version string, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) >= 24 && bytes.HasPrefix(b, []byte("_SM3_")):
		at, size = uintptr(le.Uint64(b[16:])), int(min(le.Uint32(b[12:]), maxSMBIOS))
		version = fmt.Sprintf("%d.%d", b[7], b[8])
	case len(b) >= 31 && bytes.HasPrefix(b, []byte("_SM_")) && bytes.Equal(b[16:21], []byte("_DMI_")):
		at, size = uintptr(le.Uint32(b[24:])), int(le.Uint16(b[22:]))
		version = fmt.Sprintf("%d.%d", b[6], b[7])
	default:
		return 0, 0, "", errors.New("the entry point is not one")
	}
	if at == 0 || size == 0 {
		return 0, 0, "", errors.New("the entry point leads nowhere")
	}
	return at, size, version, nil
}

// parseSMBIOS reads structures up to the one that ends them, or the first that makes no sense.
func parseSMBIOS(b []byte) (s SMBIOS) {
	const end = 127
	seen := [3]bool{}
	for len(b) >= 4 && b[0] != end {
		kind, n := int(b[0]), int(b[1])
		if n < 4 || n > len(b) {
			break
		}
		fields := b[:n]
		var texts [][]byte
		texts, b = smbiosTexts(b[n:])
		s.Structures++
		if kind >= len(seen) || seen[kind] { // only the first of a kind
			continue
		}
		seen[kind] = true
		text := func(at int) string {
			if at >= len(fields) {
				return ""
			}
			i := int(fields[at]) - 1
			if i < 0 || i >= len(texts) {
				return ""
			}
			return plain(texts[i])
		}
		switch kind { // 7.1, 7.2, 7.3
		case 0:
			s.BIOSVendor, s.BIOSVersion, s.BIOSDate = text(4), text(5), text(8)
		case 1:
			s.Manufacturer, s.Product, s.ProductVersion, s.Family = text(4), text(5), text(6), text(26)
		case 2:
			s.BoardMaker, s.Board, s.BoardVersion = text(4), text(5), text(6)
		}
	}
	return s
}

// smbiosTexts splits off the texts behind a structure, each with a zero at its end, and one
// zero more; where there are none, two zeros (6.1.3).
func smbiosTexts(b []byte) (texts [][]byte, rest []byte) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return texts, nil
		}
		if i == 0 {
			if len(texts) == 0 && len(b) > 1 && b[1] == 0 {
				return nil, b[2:]
			}
			return texts, b[1:]
		}
		texts, b = append(texts, b[:i]), b[i+1:]
	}
}

// plain makes a stranger's text short, and one line of plain characters.
func plain(b []byte) string {
	const most = 64
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b[:min(len(b), most)]))
	return strings.Join(strings.Fields(s), " ")
}

// configurationTable returns the address of a table, 0 if there is none.
func configurationTable(guid uefi.GUID) uintptr {
	list, _ := configurationTables()
	for _, t := range list {
		if t.VendorGUID == guid {
			return t.VendorTable
		}
	}
	return 0
}

// memoryAt returns a copy of memory that the firmware may have something in.
func memoryAt(addr uintptr, n int) ([]byte, error) {
	ranges, err := MemoryMap()
	if err != nil {
		return nil, err
	}
	if !covered(ranges, uint64(addr), uint64(n)) {
		return nil, errors.New("the firmware gives an address that is not in its memory map")
	}
	return bytes.Clone(bytesAt(addr, n)), nil
}

// covered reports whether n bytes at addr lie in ranges of memory, or where the tables of a
// BIOS lie, which is in no map.
func covered(ranges []uefi.MemoryDescriptor, addr, n uint64) bool {
	const biosFrom, biosTo = 0xe0000, 0x100000
	if n > math.MaxUint64-addr {
		return false
	}
	end := addr + n
	if addr >= biosFrom && end <= biosTo {
		return true
	}
	for range len(ranges) + 1 { // each time one range further at least
		if addr >= end {
			return true
		}
		from := addr
		for _, r := range ranges {
			if r.Type == uefi.MemoryMappedIO || r.Type == uefi.MemoryMappedIOPortSpace || r.Type == uefi.UnusableMemory ||
				r.NumberOfPages > 1<<51 || r.PhysicalStart > math.MaxUint64-r.NumberOfPages*4096 {
				continue
			}
			if addr >= r.PhysicalStart && addr < r.PhysicalStart+r.NumberOfPages*4096 {
				addr = r.PhysicalStart + r.NumberOfPages*4096
			}
		}
		if addr == from {
			return false
		}
	}
	return addr >= end
}
