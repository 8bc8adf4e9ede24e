package efi

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"alphaos/fs"
	"alphaos/uefi"
)

func TestInitOnHost(t *testing.T) {
	if err := Init(); !errors.Is(err, ErrNotBooted) {
		t.Errorf("Init on a host: %v", err)
	}
	if _, err := BootVolume(); !errors.Is(err, ErrNotBooted) {
		t.Errorf("BootVolume before Init: %v", err)
	}
	if _, err := OpenScreen(); !errors.Is(err, ErrNotBooted) {
		t.Errorf("OpenScreen before Init: %v", err)
	}
	if _, err := TextOutput().Write([]byte("x")); err == nil {
		t.Error("TextOutput before Init took text")
	}
}

func TestAttach(t *testing.T) {
	f := newFake(t)
	if err := TableCRC(); err != nil {
		t.Errorf("good tables: %v", err)
	}
	vendor, rev, spec := Firmware()
	if vendor != "Testware" || rev != 7 || spec != "2.70" {
		t.Errorf("Firmware: %q %d %q", vendor, rev, spec)
	}
	st := addr(f, f.st)

	f.bs.Header.CRC32++
	if err := attach(st, imageHandle); err != nil {
		t.Errorf("a bad checksum is fatal: %v", err)
	}
	if err := TableCRC(); !errors.Is(err, uefi.CRCError) || !strings.Contains(err.Error(), "boot services table") {
		t.Errorf("bad checksum: %v", err)
	}
	f.bs.Header.HeaderSize = 1 << 30
	if err := attach(st, imageHandle); err != nil || !errors.Is(TableCRC(), uefi.CRCError) {
		t.Errorf("absurd header size: %v, %v", err, TableCRC())
	}

	for name, spoil := range map[string]func(){
		"system table":           func() { f.st.Header.Signature++ },
		"boot services table":    func() { f.bs.Header.Signature++ },
		"runtime services table": func() { f.rt.Header.Signature++ },
		"boot services are gone": func() { f.st.BootServices = 0 },
		"no runtime services":    func() { f.st.RuntimeServices = 0 },
	} {
		bs, rt := f.st.BootServices, f.st.RuntimeServices
		spoil()
		if err := attach(st, imageHandle); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		f.st.BootServices, f.st.RuntimeServices = bs, rt
		f.seal()
	}
	if attach(0, imageHandle) == nil {
		t.Error("no system table was accepted")
	}
}

func TestTime(t *testing.T) {
	f := newFake(t)
	var now uefi.Time
	status := uefi.Success
	f.rt.GetTime = f.fn(func(a []uintptr) uefi.Status {
		if a[1] != 0 {
			t.Error("capabilities asked for")
		}
		*out[uefi.Time](f, a[0]) = now
		return status
	})
	for _, c := range []struct {
		zone int16
		want string
	}{
		{0x7ff, "2026-02-28T23:30:15.5Z"},  // unspecified: UTC
		{0, "2026-02-28T23:30:15.5Z"},      //
		{300, "2026-03-01T04:30:15.5Z"},    // New York: UTC = local + 300 minutes
		{-60, "2026-02-28T22:30:15.5Z"},    // Berlin
		{-2047, "2026-02-28T23:30:15.5Z"},  // nonsense: ignored
		{-1440, "2026-02-27T23:30:15.5Z"},  //
		{1440, "2026-03-01T23:30:15.5Z"},   //
		{-30000, "2026-02-28T23:30:15.5Z"}, //
	} {
		now = uefi.Time{Year: 2026, Month: 2, Day: 28, Hour: 23, Minute: 30, Second: 15, Nanosecond: 5e8, TimeZone: c.zone}
		got, err := Time()
		if err != nil || got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("time zone %d: %v, %v; want %s", c.zone, got, err, c.want)
		}
	}
	for _, bad := range []uefi.Time{
		{},
		{Year: 2026, Month: 13, Day: 1},
		{Year: 2026, Month: 2, Day: 30},
		{Year: 2026, Month: 2, Day: 1, Hour: 24},
		{Year: 1997, Month: 2, Day: 1},
		{Year: 2098, Month: 2, Day: 1},
	} {
		now = bad
		if got, err := Time(); err == nil {
			t.Errorf("%+v became %v", bad, got)
		}
	}
	// Garbage where nobody needs it.
	now = uefi.Time{Year: 2026, Month: 2, Day: 1, Nanosecond: 1e9, TimeZone: 300}
	if got, err := Time(); err != nil || got.Format(time.RFC3339Nano) != "2026-02-01T05:00:00Z" {
		t.Errorf("a second in nanoseconds: %v, %v", got, err)
	}
	status = uefi.DeviceError
	if _, err := Time(); !errors.Is(err, uefi.DeviceError) {
		t.Errorf("broken clock: %v", err)
	}
}

type variable struct {
	VariableName
	attr uint32
	data []byte
}

// variableStore gives the fake firmware variables.
func (f *fake) variableStore() *[]variable {
	vars := new([]variable)
	name := func(a uintptr) string { out[uint16](f, a); return textAt(a, 1024) }
	f.rt.GetVariable = f.fn(func(a []uintptr) uefi.Status {
		for _, v := range *vars {
			if v.Name == name(a[0]) && v.Vendor == f.guid(a[1]) {
				size := out[uint64](f, a[3])
				room := *size
				*size = uint64(len(v.data))
				if room < *size {
					return uefi.BufferTooSmall
				}
				*out[uint32](f, a[2]) = v.attr
				if len(v.data) > 0 {
					f.visible(a[4], uintptr(len(v.data)))
					copy(bytesAt(a[4], len(v.data)), v.data)
				}
				return uefi.Success
			}
		}
		return uefi.NotFound
	})
	f.rt.GetNextVariableName = f.fn(func(a []uintptr) uefi.Status {
		last := VariableName{name(a[1]), f.guid(a[2])}
		next := 0
		if last.Name != "" {
			next = -1
			for i, v := range *vars {
				if v.VariableName == last {
					next = i + 1
				}
			}
			if next < 0 {
				return uefi.InvalidParameter
			}
		}
		if next >= len(*vars) {
			return uefi.NotFound
		}
		if *out[uint64](f, a[0]) < 2048 {
			return uefi.BufferTooSmall
		}
		v := (*vars)[next]
		u := append([]rune(v.Name), 0)
		for i, r := range u {
			*out[uint16](f, a[1]+2*uintptr(i)) = uint16(r)
		}
		*out[uefi.GUID](f, a[2]) = v.Vendor
		return uefi.Success
	})
	return vars
}

func TestVariables(t *testing.T) {
	f := newFake(t)
	vars := f.variableStore()
	global := uefi.GUIDAt([]byte("\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"))
	ours := uefi.GUID{Data1: 0x11111111}
	small := VariableName{"BootCurrent", global}
	big := VariableName{"Größe", ours}
	if _, _, err := GetVariable(small); !errors.Is(err, uefi.NotFound) || !strings.Contains(err.Error(), "BootCurrent") {
		t.Errorf("missing variable: %v", err)
	}
	data := make([]byte, 10000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	*vars = []variable{{small, 3, []byte{1, 0}}, {big, 2, data}}
	if got, attr, err := GetVariable(small); err != nil || attr != 3 || string(got) != "\x01\x00" {
		t.Errorf("small: % x, %#x, %v", got, attr, err)
	}
	if got, attr, err := GetVariable(big); err != nil || attr != 2 || string(got) != string(data) {
		t.Errorf("big: %d bytes, %#x, %v", len(got), attr, err)
	}
	if list, err := Variables(); err != nil || !slices.Equal(list, []VariableName{small, big}) {
		t.Errorf("list: %v, %v", list, err)
	}
	if _, _, err := GetVariable(VariableName{strings.Repeat("x", 2000), ours}); !errors.Is(err, uefi.InvalidParameter) {
		t.Errorf("absurd name: %v", err)
	}
	for _, m := range f.blocks {
		if !m.free {
			t.Errorf("%d bytes of physical memory were not freed", len(m.b))
		}
	}
	// Firmware that starts over instead of ending.
	f.rt.GetNextVariableName = f.fn(func(a []uintptr) uefi.Status {
		*out[uint16](f, a[1]) = 'A'
		*out[uint16](f, a[1]+2) = 0
		return uefi.Success
	})
	if list, err := Variables(); err == nil || len(list) != 1 {
		t.Errorf("endless list: %v, %v", list, err)
	}
}

func TestMemoryMap(t *testing.T) {
	f := newFake(t)
	const count, step = 1000, 48 // more than fits at first, with room for the future in each
	f.bs.GetMemoryMap = f.fn(func(a []uintptr) uefi.Status {
		size := out[uint64](f, a[0])
		room := *size
		*size = count * step
		*out[uint64](f, a[3]) = step
		*out[uint32](f, a[4]) = 1
		if room < *size {
			return uefi.BufferTooSmall
		}
		f.visible(a[1], count*step)
		for i := range uintptr(count) {
			*at[uefi.MemoryDescriptor](a[1] + i*step) = uefi.MemoryDescriptor{Type: 7, PhysicalStart: uint64(i) << 20, NumberOfPages: 256, Attribute: 0xf}
		}
		return uefi.Success
	})
	list, err := MemoryMap()
	if err != nil || len(list) != count || list[999] != (uefi.MemoryDescriptor{Type: 7, PhysicalStart: 999 << 20, NumberOfPages: 256, Attribute: 0xf}) {
		t.Fatalf("%d descriptors, %v", len(list), err)
	}
	for _, m := range f.blocks {
		if !m.free {
			t.Error("the buffer was not freed")
		}
	}
	f.bs.GetMemoryMap = f.fn(func(a []uintptr) uefi.Status {
		*out[uint64](f, a[0]) = 480
		*out[uint64](f, a[3]) = 8
		return uefi.Success
	})
	if _, err := MemoryMap(); err == nil {
		t.Error("descriptors of 8 bytes were accepted")
	}
}

// loadedFrom installs the loaded image protocol.
func (f *fake) loadedFrom(device Handle) *uefi.LoadedImage {
	li := &uefi.LoadedImage{Revision: 0x1000, DeviceHandle: uintptr(device), ImageBase: 0x100000, ImageSize: 4096}
	f.install(imageHandle, uefi.LoadedImageGUID, addr(f, li))
	return li
}

func TestLoadedImage(t *testing.T) {
	f := newFake(t)
	if _, err := LoadedImage(); err == nil {
		t.Error("no error without a loaded image")
	}
	li := f.loadedFrom(0x77)
	var name []byte
	for _, r := range `\EFI\BOOT\BOOTX64.EFI` {
		name = append(name, byte(r), 0)
	}
	li.FilePath = f.path(node(pathMedia, 4, append(name, 0, 0)...))
	img, err := LoadedImage()
	if err != nil || img.Device != 0x77 || img.FilePath != `\EFI\BOOT\BOOTX64.EFI` || img.Options != "" || img.Base != 0x100000 || img.Size != 4096 {
		t.Errorf("%+v, %v", img, err)
	}
	options := func(addr uintptr, size uint32) string {
		li.LoadOptions, li.LoadOptionsSize = addr, size
		img, err := LoadedImage()
		if err != nil {
			t.Error(err)
		}
		return img.Options
	}
	if got := options(f.utf16("verbose  model=x "), 36); got != "verbose  model=x" {
		t.Errorf("options %q", got)
	}
	if got := options(f.utf16("verbose"), 6); got != "ver" {
		t.Errorf("options beyond their size: %q", got)
	}
	if got := options(f.utf16("verbose"), 7); got != "verbose" {
		t.Errorf("options with their size in characters: %q", got)
	}
	if got := options(f.utf16("verbose"), 15); got != "verbose" {
		t.Errorf("options of an odd size: %q", got)
	}
	if got := options(f.utf16("safe verbose"), 8); got != "safe" {
		t.Errorf("options without a terminator: %q", got)
	}
	binary := [8]byte{1, 0, 2, 0, 3, 0}
	if got := options(addr(f, &binary), 8); got != "" {
		t.Errorf("binary options became %q", got)
	}
	if got := options(f.utf16("x"), 1<<31); got != "" {
		t.Errorf("options of 2 GiB became %q", got)
	}
}

func TestShutdown(t *testing.T) {
	f := newFake(t)
	var reset []uintptr
	f.rt.ResetSystem = f.fn(func(a []uintptr) uefi.Status { reset = slices.Clone(a); return uefi.Unsupported })
	err := Shutdown()
	if err == nil || !strings.Contains(err.Error(), "did not power it off") || !slices.Equal(reset, []uintptr{2, 0, 0, 0}) {
		t.Errorf("shutdown: %v, %v", err, reset)
	}
	if Restart() == nil || reset[0] != 0 {
		t.Errorf("restart: %v", reset)
	}

	disk := f.newDisk(0x10, 64)
	disk.media.RemovableMedia = 1
	f.loadedFrom(0x10)
	d, err := BootVolume()
	if err != nil {
		t.Fatal(err)
	}
	reset = nil
	Shutdown(d)
	if disk.flushes != 1 || f.slept != settleTime || reset == nil {
		t.Errorf("%d flushes, slept %v, reset %v", disk.flushes, f.slept, reset)
	}
	reset = nil
	disk.status = uefi.DeviceError
	if err := Shutdown(d); !errors.Is(err, uefi.DeviceError) || !errors.Is(err, ErrUnflushed) || reset != nil {
		t.Errorf("a failed flush: %v, reset %v", err, reset)
	}
	f.uninstall(0x10)
	if err := Shutdown(d); errors.Is(err, fs.ErrRemoved) || reset == nil {
		t.Errorf("with the drive pulled out: %v, reset %v", err, reset)
	}
}

func TestTextAt(t *testing.T) {
	f := newFake(t)
	if got := textAt(f.utf16("Größe 𝛑"), 100); got != "Größe 𝛑" {
		t.Errorf("%q", got)
	}
	if got := textAt(f.utf16("abc"), 2); got != "ab" {
		t.Errorf("unbounded: %q", got)
	}
	if textAt(0, 10) != "" {
		t.Error("nil text")
	}
	params.Lock()
	defer params.Unlock()
	if _, ok := setText(strings.Repeat("x", len(params.text))); ok {
		t.Error("text without room for its NUL was accepted")
	}
	a, ok := setText("ok")
	if !ok || textAt(a, 10) != "ok" || a != uintptr(unsafe.Pointer(&params.text)) {
		t.Error("setText")
	}
}
