package efi

import (
	"errors"
	"hash/crc32"
	"testing"
	"time"
	"unicode/utf16"
	"unsafe"

	"alphaos/uefi"
)

// fake is a firmware in Go. It holds its callers to the one rule: every
// address they pass must be one that firmware can see.
type fake struct {
	t      *testing.T
	st     *uefi.SystemTable
	bs     *uefi.BootServices
	rt     *uefi.RuntimeServices
	funcs  map[uintptr]func(a []uintptr) uefi.Status
	keep   []any               // what the firmware points at
	blocks []memory            // from alloc
	proto  []installed         // protocols in order of installation
	users  map[Handle][]uint32 // attributes of the opens of PCI I/O or USB I/O
	pool   map[uintptr]bool    // buffers to be freed
	log    []string            // what was asked of the firmware, where order matters
	slept  time.Duration
}

type memory struct {
	b    []byte
	free bool
}

type installed struct {
	h     Handle
	guid  uefi.GUID
	iface uintptr
}

const imageHandle = 0x4000

// newFake builds a firmware with the services every test needs and attaches
// the package to it for the length of the test.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, st: new(uefi.SystemTable), bs: new(uefi.BootServices), rt: new(uefi.RuntimeServices),
		funcs: map[uintptr]func([]uintptr) uefi.Status{}, users: map[Handle][]uint32{}, pool: map[uintptr]bool{},
	}
	f.st.FirmwareVendor = f.utf16("Testware")
	f.st.FirmwareRevision = 7
	f.st.RuntimeServices = addr(f, f.rt)
	f.st.BootServices = addr(f, f.bs)
	f.bs.HandleProtocol = f.fn(func(a []uintptr) uefi.Status { return f.handleProtocol(a[0], a[1], a[2]) })
	f.bs.OpenProtocol = f.fn(func(a []uintptr) uefi.Status {
		if a[3] != imageHandle || a[4] != 0 || uint32(a[5]) != uefi.OpenGetProtocol {
			t.Errorf("OpenProtocol with agent %#x, controller %#x, attributes %#x", a[3], a[4], a[5])
		}
		return f.handleProtocol(a[0], a[1], a[2])
	})
	f.bs.LocateProtocol = f.fn(func(a []uintptr) uefi.Status {
		for _, p := range f.proto {
			if p.guid == f.guid(a[0]) {
				*out[uint64](f, a[2]) = uint64(p.iface)
				return uefi.Success
			}
		}
		return uefi.NotFound
	})
	f.bs.LocateHandleBuffer = f.fn(func(a []uintptr) uefi.Status {
		if a[0] != 2 {
			t.Errorf("LocateHandleBuffer with search type %d", a[0])
		}
		var list []Handle
		for _, p := range f.proto {
			if p.guid == f.guid(a[1]) {
				list = append(list, p.h)
			}
		}
		if list == nil {
			return uefi.NotFound
		}
		*out[uint64](f, a[3]) = uint64(len(list))
		*out[uint64](f, a[4]) = uint64(f.poolBuffer(unsafe.Pointer(&list[0]), list))
		return uefi.Success
	})
	f.bs.OpenProtocolInformation = f.fn(func(a []uintptr) uefi.Status {
		if g := f.guid(a[1]); g != uefi.PCIIOGUID && g != uefi.USBIOGUID {
			t.Errorf("OpenProtocolInformation about %s", f.guid(a[1]))
		}
		list := make([]uefi.OpenProtocolInformationEntry, len(f.users[Handle(a[0])]))
		for i, u := range f.users[Handle(a[0])] {
			list[i].Attributes = u
		}
		*out[uint64](f, a[3]) = uint64(len(list))
		if len(list) > 0 {
			*out[uint64](f, a[2]) = uint64(f.poolBuffer(unsafe.Pointer(&list[0]), list))
		}
		return uefi.Success
	})
	f.bs.FreePool = f.fn(func(a []uintptr) uefi.Status {
		if !f.pool[a[0]] {
			t.Errorf("FreePool of %#x, which is not allocated", a[0])
		}
		delete(f.pool, a[0])
		return uefi.Success
	})
	f.seal()

	oldCall, oldAlloc, oldFree, oldPhysical, oldIn8, oldOut8, oldSleep := call, alloc, free, physical, in8, out8, sleep
	oldFW, oldLow := fw, lowMemory
	lowMemory = 1 << 62 // the tests' buffers lie anywhere
	bounce.b = nil
	call, alloc, free, physical = f.call, f.alloc, f.free, f.physical
	in8 = func(uint16) uint8 { return absent }
	out8 = func(port uint16, v uint8) {}
	sleep = func(d time.Duration) { f.slept += d }
	t.Cleanup(func() {
		call, alloc, free, physical, in8, out8, sleep = oldCall, oldAlloc, oldFree, oldPhysical, oldIn8, oldOut8, oldSleep
		fw, lowMemory = oldFW, oldLow
		consoleState.control = 0
		if len(f.pool) > 0 {
			t.Errorf("%d buffers of the firmware were not freed", len(f.pool))
		}
	})
	if err := attach(addr(f, f.st), imageHandle); err != nil {
		t.Fatal(err)
	}
	return f
}

// seal fills in signatures and checksums.
func (f *fake) seal() {
	for _, h := range []struct {
		h    *uefi.TableHeader
		sig  uint64
		size uintptr
	}{
		{&f.st.Header, uefi.SystemTableSignature, unsafe.Sizeof(*f.st)},
		{&f.bs.Header, uefi.BootServicesSignature, unsafe.Sizeof(*f.bs)},
		{&f.rt.Header, uefi.RuntimeServicesSignature, unsafe.Sizeof(*f.rt)},
	} {
		*h.h = uefi.TableHeader{Signature: h.sig, Revision: 2<<16 | 70, HeaderSize: uint32(h.size)}
		h.h.CRC32 = crc32.ChecksumIEEE(unsafe.Slice((*byte)(unsafe.Pointer(h.h)), h.size))
	}
}

// addr keeps p and returns its address.
func addr[T any](f *fake, p *T) uintptr {
	f.keep = append(f.keep, p)
	return uintptr(unsafe.Pointer(p))
}

func (f *fake) utf16(s string) uintptr {
	u := append(utf16.Encode([]rune(s)), 0)
	return addr(f, &u[0])
}

// fn makes a firmware function.
func (f *fake) fn(g func(a []uintptr) uefi.Status) uintptr {
	n := 0x1000 + uintptr(len(f.funcs))*0x10
	f.funcs[n] = g
	return n
}

func (f *fake) call(fn uintptr, args ...uintptr) uintptr {
	g := f.funcs[fn]
	if g == nil {
		f.t.Errorf("call of %#x, which is no function", fn)
		return uintptr(uefi.Unsupported)
	}
	return uintptr(g(args))
}

func (f *fake) poolBuffer(p unsafe.Pointer, keep any) uintptr {
	f.keep = append(f.keep, keep)
	f.pool[uintptr(p)] = true
	return uintptr(p)
}

func (f *fake) install(h Handle, guid uefi.GUID, iface uintptr) {
	f.proto = append(f.proto, installed{h, guid, iface})
}

func (f *fake) uninstall(h Handle) {
	var rest []installed
	for _, p := range f.proto {
		if p.h != h {
			rest = append(rest, p)
		}
	}
	f.proto = rest
}

func (f *fake) handleProtocol(h, guid, iface uintptr) uefi.Status {
	known := false
	for _, p := range f.proto {
		known = known || p.h == Handle(h)
		if p.h == Handle(h) && p.guid == f.guid(guid) {
			*out[uint64](f, iface) = uint64(p.iface)
			return uefi.Success
		}
	}
	if !known {
		return uefi.InvalidParameter
	}
	return uefi.Unsupported
}

func (f *fake) alloc(size int) ([]byte, error) {
	if size <= 0 {
		return nil, errors.New("bad size")
	}
	b := make([]byte, size+4095)
	b = b[-addressOf(b)&4095:][:size:size]
	f.blocks = append(f.blocks, memory{b: b})
	return b, nil
}

func (f *fake) free(p []byte) {
	for i := range f.blocks {
		if addressOf(f.blocks[i].b) == addressOf(p) && !f.blocks[i].free {
			f.blocks[i].free = true
			return
		}
	}
	f.t.Errorf("free of %#x, which is not allocated", addressOf(p))
}

func (f *fake) physical(p []byte) bool {
	for _, m := range f.blocks {
		if !m.free && addressOf(p) >= addressOf(m.b) && addressOf(p)+uintptr(len(p)) <= addressOf(m.b)+uintptr(len(m.b)) {
			return true
		}
	}
	return false
}

// visible fails the test unless n bytes at a are in allocated physical memory
// or in the package's static variables.
func (f *fake) visible(a, n uintptr) {
	f.t.Helper()
	within := func(start, size uintptr) bool { return a >= start && a+n <= start+size }
	for _, m := range f.blocks {
		if !m.free && within(addressOf(m.b), uintptr(len(m.b))) {
			return
		}
	}
	if within(uintptr(unsafe.Pointer(&params)), unsafe.Sizeof(params)) ||
		within(uintptr(unsafe.Pointer(&clock)), unsafe.Sizeof(clock)) ||
		within(uintptr(unsafe.Pointer(&key)), unsafe.Sizeof(key)) {
		return
	}
	for _, g := range []*uefi.GUID{&uefi.AppleKeyMapGUID, &uefi.BlockIOGUID, &uefi.ConsoleControlGUID, &uefi.DevicePathGUID, &uefi.GraphicsOutputGUID,
		&uefi.LoadedImageGUID, &uefi.PCIIOGUID, &uefi.SimpleFileSystemGUID, &uefi.USBIOGUID, &uefi.SerialIOGUID, &uefi.TextInputExGUID} {
		if within(guidAt(g), 16) {
			return
		}
	}
	for i := range uefi.KnownProtocols {
		if within(guidAt(&uefi.KnownProtocols[i].GUID), 16) {
			return
		}
	}
	f.t.Errorf("the firmware was given %#x, which it cannot see", a)
}

// out is an out-parameter at an address that the firmware must be able to see.
func out[T any](f *fake, a uintptr) *T {
	f.t.Helper()
	var v T
	f.visible(a, unsafe.Sizeof(v))
	return at[T](a)
}

func (f *fake) guid(a uintptr) uefi.GUID {
	f.t.Helper()
	return *out[uefi.GUID](f, a)
}

// path makes a device path in the firmware's memory from nodes.
func (f *fake) path(nodes ...[]byte) uintptr {
	var b []byte
	for _, n := range nodes {
		b = append(b, n...)
	}
	b = append(b, pathEnd, pathEndEntire, 4, 0)
	f.keep = append(f.keep, b)
	return addressOf(b)
}

func node(kind, sub byte, data ...byte) []byte {
	return append([]byte{kind, sub, byte(len(data) + 4), byte((len(data) + 4) >> 8)}, data...)
}
