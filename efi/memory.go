package efi

// What crosses the border to the firmware. Invariant: the address of anything
// in Go's heap or on a stack is never passed to call. Small parameters live in
// params, a static variable of the image, held by its lock from the moment
// they are filled until the results have been copied out. The firmware calls
// themselves are serialised by the machine anyway, so the lock costs nothing.

import (
	"sync"
	"unicode/utf16"
	"unsafe"

	"alphaos/uefi"
)

// params is the parameter block for calls that take pointers.
var params struct {
	sync.Mutex
	cell [4]uint64    // out-parameters of up to 8 bytes, counts in and out
	guid uefi.GUID    // a GUID that came from a caller
	text [1024]uint16 // a NUL-terminated UCS-2 string
	data [4096]byte   // small data in or out
}

// cell returns the address of parameter cell i after storing v in it. The
// caller holds the lock of params.
func cell(i int, v uint64) uintptr {
	params.cell[i] = v
	return uintptr(unsafe.Pointer(&params.cell[i]))
}

// guidAt returns the address of a GUID variable of this image.
func guidAt(g *uefi.GUID) uintptr { return uintptr(unsafe.Pointer(g)) }

// pointer turns an address into a pointer. The indirection tells go vet what
// it cannot know: the address is of memory that Go does not manage.
func pointer(addr uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}

// at views the firmware structure at an address.
func at[T any](addr uintptr) *T { return (*T)(pointer(addr)) }

// bytesAt views n bytes at an address.
func bytesAt(addr uintptr, n int) []byte { return unsafe.Slice((*byte)(pointer(addr)), n) }

// addressOf is the address of the first byte of p.
func addressOf(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// textAt reads a NUL-terminated CHAR16 string of at most max units.
func textAt(addr uintptr, max int) string {
	if addr == 0 {
		return ""
	}
	var units []uint16
	for i := 0; i < max; i++ {
		// CHAR16 strings in packed structures may be unaligned, which x64 permits.
		u := *at[uint16](addr + 2*uintptr(i))
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// setText stores s NUL-terminated in params.text and returns its address, or
// false if it does not fit. The caller holds the lock of params.
func setText(s string) (uintptr, bool) {
	units := utf16.Encode([]rune(s))
	if len(units) >= len(params.text) {
		return 0, false
	}
	params.text[copy(params.text[:], units)] = 0
	return uintptr(unsafe.Pointer(&params.text)), true
}
