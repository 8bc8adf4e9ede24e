package efi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"alphaos/uefi"
)

// secret matches a mark "SECRET" in whatever form bytes are shown: as they are, as digits in
// either order, in UTF-16.
var secret = regexp.MustCompile(`(?i)SECRET|53-?45-?43|43-?45-?53|5300-?4500|83 69 67|S\W?E\W?C\W?R\W?E\W?T`)

// mark makes n bytes of secret.
func mark(n int) []byte { return []byte(strings.Repeat("SECRET", n/6+1)[:n]) }

// smbios makes a structure of fields and texts.
func smbios(kind byte, fields []byte, texts ...string) []byte {
	b := append([]byte{kind, byte(4 + len(fields)), 0, 0}, fields...)
	for _, s := range texts {
		b = append(append(b, s...), 0)
	}
	if len(texts) == 0 {
		b = append(b, 0)
	}
	return append(b, 0)
}

// smbiosTable is that of a machine with a secret in each field that tells it from others.
func smbiosTable() []byte {
	uuid := mark(16)
	var b []byte
	b = append(b, smbios(0, []byte{1, 2, 0, 0xe0, 3, 0}, "Firm Ware Inc.", "1.2.3", "01/02/2026")...)
	b = append(b, smbios(1, append(append([]byte{1, 2, 3, 4}, uuid...), 6, 5, 6), "Maker", "Laptop 9", "v1", "SECRET-SERIAL", "SECRET-SKU", "Family")...)
	b = append(b, smbios(2, []byte{1, 2, 3, 4, 5, 0, 6}, "Boards", "B-1", "rev 2", "SECRET-SERIAL", "SECRET-ASSET", "SECRET-PLACE")...)
	b = append(b, smbios(3, []byte{1, 0, 0, 2, 3}, "Chassis", "SECRET-SERIAL", "SECRET-ASSET")...)
	b = append(b, smbios(17, mark(30), "SECRET-DIMM")...)
	b = append(b, smbios(11, []byte{1}, "SECRET-OEM")...)
	b = append(b, smbios(32, mark(8))...)
	b = append(b, smbios(1, []byte{1, 1, 1, 1}, "SECRET-SECOND")...)
	return append(b, 127, 4, 0, 0, 0, 0)
}

// entryPoint64 is an entry point of the newer kind.
func entryPoint64(at uintptr, size int) []byte {
	b := append([]byte("_SM3_\x00\x18\x03\x02\x00\x01\x00"), byte(size), byte(size>>8), 0, 0)
	for i := range 8 {
		b = append(b, byte(at>>(8*i)))
	}
	return append(b, make([]byte, 8)...)
}

// mapAll makes the memory at these addresses part of the memory map.
func (f *fake) mapAll(pieces ...[]byte) {
	f.bs.GetMemoryMap = f.fn(func(a []uintptr) uefi.Status {
		*out[uint64](f, a[0]) = uint64(len(pieces)) * 48
		*out[uint64](f, a[3]) = 48
		for i, p := range pieces {
			start := addressOf(p) &^ 4095
			*at[uefi.MemoryDescriptor](a[1] + uintptr(i)*48) = uefi.MemoryDescriptor{Type: uefi.RuntimeServicesData,
				PhysicalStart: uint64(start), NumberOfPages: uint64(addressOf(p)+uintptr(len(p))-start+4095) / 4096}
		}
		return uefi.Success
	})
}

// withTables gives the firmware configuration tables.
func (f *fake) withTables(t *testing.T, tables ...uefi.ConfigurationTable) []byte {
	f.keep = append(f.keep, tables)
	f.st.NumberOfTableEntries, f.st.ConfigurationTable = uintptr(len(tables)), addr(f, &tables[0])
	return unsafe.Slice((*byte)(unsafe.Pointer(&tables[0])), len(tables)*24)
}

func TestReadSMBIOS(t *testing.T) {
	f := newFake(t)
	if _, err := ReadSMBIOS(); err == nil {
		t.Error("no error without a table")
	}
	table := smbiosTable()
	entry := entryPoint64(addressOf(table), len(table))
	old := make([]byte, 32)
	copy(old, "_SM_\x00\x1f\x02\x08")
	copy(old[16:], "_DMI_")
	list := f.withTables(t, uefi.ConfigurationTable{VendorGUID: uefi.GUID{Data1: 0x123}, VendorTable: 1},
		uefi.ConfigurationTable{VendorGUID: uefi.SMBIOS3TableGUID, VendorTable: addressOf(entry)},
		uefi.ConfigurationTable{VendorGUID: uefi.SMBIOSTableGUID, VendorTable: addressOf(old)})
	f.mapAll(list, entry, table, old)
	want := SMBIOS{"3.2", 8, "Firm Ware Inc.", "1.2.3", "01/02/2026", "Maker", "Laptop 9", "v1", "Family", "Boards", "B-1", "rev 2"}
	got, err := ReadSMBIOS()
	if err != nil || got != want {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	if s := fmt.Sprintf("%+v", got); secret.MatchString(s) {
		t.Error("it tells a secret:", s)
	}
	names, err := Tables()
	if err != nil || !slices.Equal(names, []string{"00000123-0000-0000-0000-000000000000", "SMBIOS 3", "SMBIOS"}) {
		t.Errorf("%q, %v", names, err)
	}
	f.mapAll(list, entry) // the table lies nowhere
	if got, err := ReadSMBIOS(); err == nil {
		t.Errorf("memory that is not there was read: %+v", got)
	}
	f.st.NumberOfTableEntries = 1 << 40
	if _, err := Tables(); err == nil {
		t.Error("there are a million million tables")
	}
}

func TestEntryPoint(t *testing.T) {
	old := make([]byte, 31)
	copy(old, "_SM_\x00\x1f\x02\x08")
	copy(old[16:], "_DMI_\x00\x34\x12\x78\x56\x34\x00")
	for _, c := range []struct {
		b       []byte
		at      uintptr
		size    int
		version string
	}{
		{old, 0x345678, 0x1234, "2.8"},
		{entryPoint64(0x123456789a, 0x2000), 0x123456789a, 0x2000, "3.2"},
		{entryPoint64(0, 0x2000), 0, 0, ""},
		{old[:20], 0, 0, ""},
		{make([]byte, 32), 0, 0, ""},
	} {
		at, size, version, err := parseEntryPoint(c.b)
		if at != c.at && err == nil || size != c.size && err == nil || version != c.version || (err == nil) != (c.at != 0) {
			t.Errorf("%x: %#x, %#x, %s, %v", c.b, at, size, version, err)
		}
	}
}

func TestCovered(t *testing.T) {
	ranges := []uefi.MemoryDescriptor{
		{Type: uefi.ConventionalMemory, PhysicalStart: 0x5000, NumberOfPages: 1},
		{Type: uefi.ReservedMemory, PhysicalStart: 0x4000, NumberOfPages: 1},
		{Type: uefi.MemoryMappedIO, PhysicalStart: 0x6000, NumberOfPages: 1},
		{Type: uefi.ConventionalMemory, PhysicalStart: 1 << 63, NumberOfPages: 1 << 52},
	}
	for _, c := range []struct {
		addr, n uint64
		want    bool
	}{
		{0x4000, 0x2000, true}, {0x4fff, 2, true}, {0x3fff, 2, false}, {0x5fff, 2, false}, {0x6000, 1, false},
		{0xf0000, 0x10000, true}, {0xf0000, 0x10001, false}, {0xdffff, 2, false}, {1<<64 - 1, 2, false}, {1 << 63, 1, false}, {0, 0, true},
	} {
		if got := covered(ranges, c.addr, c.n); got != c.want {
			t.Errorf("%#x bytes at %#x: %v", c.n, c.addr, got)
		}
	}
}

func FuzzSMBIOS(f *testing.F) {
	f.Add(smbiosTable())
	f.Add(entryPoint64(1, 2))
	f.Add([]byte{1, 27, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parseSMBIOS(b)
		if s.Structures > len(b)/4 {
			t.Errorf("%d structures in %d bytes", s.Structures, len(b))
		}
		for _, text := range []string{s.BIOSVendor, s.Product, s.Family, s.BoardVersion} {
			if len(text) > 64 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a text is %q", text)
			}
		}
		if at, size, _, err := parseEntryPoint(b); err == nil && (at == 0 || size <= 0 || size > maxSMBIOS) {
			t.Errorf("%d bytes at %#x", size, at)
		}
	})
}

func TestInventory(t *testing.T) {
	f := newFake(t)
	f.newDisk(0x10, 100)
	f.newDisk(0x11, 50)
	partition := hd(1)
	copy(partition[4+20:], mark(16))
	f.install(0x10, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x14, 0), usbPort(3), node(pathMessaging, 16, append([]byte{1, 0, 2, 0, 3, 0}, mark(12)...)...), partition))
	f.install(0x11, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x1d, 0), node(pathMessaging, 23, append([]byte{1, 0, 0, 0}, mark(8)...)...),
		node(pathMessaging, 11, mark(33)...), node(pathMedia, 4, mark(40)...), node(pathMedia, 4, []byte("P\x00c\x00i\x00(\x00S\x00E\x00C\x00R\x00E\x00T\x00")...),
		node(pathMessaging, 10, mark(30)...), node(pathHardware, 4, mark(30)...), node(pathMedia, 9, mark(9)...)))
	f.newGOP(0x20, uefi.GraphicsModeInfo{HorizontalResolution: 1280, VerticalResolution: 800, PixelFormat: uefi.PixelBGRX, PixelsPerScanLine: 1280},
		uefi.GraphicsModeInfo{HorizontalResolution: 2560, VerticalResolution: 1600, PixelFormat: uefi.PixelBGRX, PixelsPerScanLine: 2560})
	f.st.ConsoleOutHandle = 0x20
	f.rt.GetVariable = f.fn(func(a []uintptr) uefi.Status {
		*out[uint64](f, a[3]) = 1
		*out[byte](f, a[4]) = 0
		return uefi.Success
	})
	f.rt.GetTime = f.fn(func(a []uintptr) uefi.Status {
		*out[uefi.Time](f, a[0]) = uefi.Time{Year: 2026, TimeZone: -60, Daylight: 3}
		return uefi.Success
	})

	counts, err := Protocols()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, c := range counts {
		got[c.Name] = c.Handles
	}
	if got["block I/O"] != 2 || got["graphics output"] != 1 || got["Apple event"] != 0 || len(got) != len(uefi.KnownProtocols) {
		t.Errorf("%v", got)
	}
	displays, err := Displays()
	if err != nil || len(displays) != 1 {
		t.Fatalf("%+v, %v", displays, err)
	}
	if d := displays[0]; !d.Console || len(d.Modes) != 2 || d.Modes[1].Width != 2560 || d.Pixels != "BGRX" || d.Pitch != 1280 || d.Frame == 0 || d.Size != 1280*800*4 || d.Err != nil {
		t.Errorf("%+v", d)
	}
	if mode := ConsoleMode(); mode != "no console control" {
		t.Error(mode)
	}
	if s := SecureBoot(); s != "off" {
		t.Error(s)
	}
	if zone, daylight, err := ClockZone(); zone != -60 || daylight != 3 || err != nil {
		t.Error(zone, daylight, err)
	}
	disks, err := Disks()
	if err != nil || len(disks) != 2 {
		t.Fatal(disks, err)
	}
	for i, want := range []string{"USB PciRoot(0x0)/Pci(0x14,0x0)/USB(0x3,0x0)/UsbWwid/HD", "network PciRoot(0x0)/Pci(0x1d,0x0)/NVMe/Path(3,11)/File/File/VenMsg/VenHw/Path(4,9)"} {
		if got := disks[i].Bus() + " " + disks[i].Way(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if !secret.MatchString(disks[i].String()) {
			t.Errorf("the path has no secret to hide: %s", disks[i])
		}
		if secret.MatchString(disks[i].Way()) || disks[i].Align() != 4 {
			t.Error(disks[i].Way(), disks[i].Align())
		}
	}
}
