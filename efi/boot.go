package efi

// Boot services (UEFI 2.10, chapter 7): handles and protocols, the memory map, and
// the image's own description.

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"alphaos/uefi"
)

// Handle is an EFI_HANDLE: something on which protocols are installed.
type Handle uintptr

// ready is checked by every function that a caller may try first.
func ready() error {
	if fw.st == nil {
		return errNoFirmware
	}
	return nil
}

// protocol returns the address of a protocol's interface on a handle, or the
// status NotFound or Unsupported (7.3.7). A handle that has vanished meanwhile
// gives InvalidParameter.
func protocol(h Handle, guid *uefi.GUID) (uintptr, error) {
	if h == 0 {
		return 0, uefi.NotFound
	}
	params.Lock()
	defer params.Unlock()
	st := uefi.Status(call(fw.bs.HandleProtocol, uintptr(h), guidAt(guid), cell(0, 0)))
	if err := st.Err(); err != nil {
		return 0, err
	}
	if params.cell[0] == 0 {
		return 0, uefi.NotFound
	}
	return uintptr(params.cell[0]), nil
}

// locateProtocol returns the first interface of a protocol in the system
// (7.3.16).
func locateProtocol(guid *uefi.GUID) (uintptr, error) {
	params.Lock()
	defer params.Unlock()
	st := uefi.Status(call(fw.bs.LocateProtocol, guidAt(guid), 0, cell(0, 0)))
	if err := st.Err(); err != nil {
		return 0, err
	}
	if params.cell[0] == 0 {
		return 0, uefi.NotFound
	}
	return uintptr(params.cell[0]), nil
}

// maxHandles bounds what a handle buffer is believed to hold.
const maxHandles = 1 << 16

// handles returns the handles that have a protocol (7.3.15); none is no error.
func handles(guid *uefi.GUID) ([]Handle, error) {
	params.Lock()
	defer params.Unlock()
	n := cell(0, 0)
	buf := cell(1, 0)
	st := uefi.Status(call(fw.bs.LocateHandleBuffer, uefi.ByProtocol, guidAt(guid), 0, n, buf))
	if st == uefi.NotFound {
		return nil, nil
	}
	if err := st.Err(); err != nil {
		return nil, err
	}
	count, addr := params.cell[0], uintptr(params.cell[1])
	if addr == 0 || count > maxHandles {
		return nil, fmt.Errorf("the firmware returned %d handles at %#x", count, addr)
	}
	list := make([]Handle, count)
	copy(list, unsafe.Slice(at[Handle](addr), count))
	call(fw.bs.FreePool, addr) // a leak of some bytes at worst
	return list, nil
}

// openProtocol opens a protocol on behalf of this image without taking it
// from the driver that manages it (7.3.9).
func openProtocol(h Handle, guid *uefi.GUID, attributes uint32) (uintptr, error) {
	params.Lock()
	defer params.Unlock()
	st := uefi.Status(call(fw.bs.OpenProtocol, uintptr(h), guidAt(guid), cell(0, 0), fw.image, 0, uintptr(attributes)))
	return uintptr(params.cell[0]), st.Err()
}

// managed reports whether a driver has opened a protocol on the handle, that
// is, whether the controller is live (7.3.11).
func managed(h Handle, guid *uefi.GUID) (bool, error) {
	params.Lock()
	defer params.Unlock()
	buf := cell(0, 0)
	n := cell(1, 0)
	if err := uefi.Status(call(fw.bs.OpenProtocolInformation, uintptr(h), guidAt(guid), buf, n)).Err(); err != nil {
		return false, err
	}
	addr, count := uintptr(params.cell[0]), params.cell[1]
	if count == 0 || addr == 0 {
		return false, nil
	}
	if count > maxHandles {
		return false, fmt.Errorf("the firmware returned %d users of a protocol", count)
	}
	found := false
	for _, e := range unsafe.Slice(at[uefi.OpenProtocolInformationEntry](addr), count) {
		if e.Attributes&uefi.OpenByDriver != 0 {
			found = true
		}
	}
	call(fw.bs.FreePool, addr)
	return found, nil
}

// connect lets the firmware's drivers start a controller and everything below
// it (7.3.12).
func connect(h Handle) error {
	const recursive = 1
	return uefi.Status(call(fw.bs.ConnectController, uintptr(h), 0, 0, recursive)).Err()
}

// disconnect stops all drivers of a controller (7.3.13).
func disconnect(h Handle) error {
	return uefi.Status(call(fw.bs.DisconnectController, uintptr(h), 0, 0)).Err()
}

// Image describes how the firmware loaded this program (UEFI 2.10, 9.1).
type Image struct {
	Device   Handle  // where it came from; 0 when that is not known
	FilePath string  // path of the file there, e.g. \EFI\BOOT\BOOTX64.EFI
	Options  string  // load options as text; "" when there are none or they are not text
	Base     uintptr // address of the image
	Size     uint64  // bytes
}

// LoadedImage returns the description of this program.
func LoadedImage() (Image, error) {
	if err := ready(); err != nil {
		return Image{}, err
	}
	addr, err := protocol(Handle(fw.image), &uefi.LoadedImageGUID)
	if err != nil {
		return Image{}, fmt.Errorf("looking up the loaded image: %w", err)
	}
	li := at[uefi.LoadedImage](addr)
	return Image{
		Device:   Handle(li.DeviceHandle),
		FilePath: readDevicePath(li.FilePath).String(),
		Options:  optionsText(li.LoadOptions, li.LoadOptionsSize),
		Base:     li.ImageBase,
		Size:     li.ImageSize,
	}, nil
}

// optionsText reads load options, which by custom are a CHAR16 command line
// but may be any bytes: what does not look like text counts as none.
//
// The size ought to be in bytes. Versions of Limine give the number of
// characters instead: then the text goes on for exactly twice the size, up to a
// terminator, which is looked for without leaving the page of the last byte.
func optionsText(addr uintptr, size uint32) string {
	const most = 16 << 10
	if addr == 0 || size == 0 || size > most {
		return ""
	}
	page := (addr + uintptr(size) - 1) | 4095 + 1
	whole := min(int(size), int(page-addr)/2) // CHAR16s that may be looked at
	n := 0
	for n < whole && *at[uint16](addr + 2*uintptr(n)) != 0 {
		n++
	}
	end := addr + 2*uintptr(n)
	if n < int(size) || end+2 > page || *at[uint16](end) != 0 {
		n = min(n, int(size/2))
	}
	s := textAt(addr, n)
	for _, r := range s {
		if r < ' ' && r != '\t' || r == '\uFFFD' {
			return ""
		}
	}
	return strings.TrimSpace(s)
}

// MemoryMap returns the firmware's memory map. It is for reports: memory to use
// comes from amd64, which has already taken its share.
func MemoryMap() ([]uefi.MemoryDescriptor, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	size := 32 << 10
	for try := 0; try < 5; try++ {
		buf, err := alloc(size)
		if err != nil {
			return nil, fmt.Errorf("memory for the memory map: %w", err)
		}
		list, need, err := memoryMapInto(buf)
		free(buf)
		if !errors.Is(err, uefi.BufferTooSmall) {
			if err != nil {
				err = fmt.Errorf("reading the memory map: %w", err)
			}
			return list, err
		}
		size = max(need, size) + 8<<10 // allocating the buffer may itself add ranges
	}
	return nil, fmt.Errorf("reading the memory map: %w", uefi.BufferTooSmall)
}

func memoryMapInto(buf []byte) (list []uefi.MemoryDescriptor, need int, err error) {
	params.Lock()
	defer params.Unlock()
	size := cell(0, uint64(len(buf)))
	key, each, version := cell(1, 0), cell(2, 0), cell(3, 0)
	err = uefi.Status(call(fw.bs.GetMemoryMap, size, addressOf(buf), key, each, version)).Err()
	if err != nil {
		return nil, int(min(params.cell[0], 64<<20)), err
	}
	got, step := params.cell[0], params.cell[2]
	if got > uint64(len(buf)) || step < uint64(unsafe.Sizeof(uefi.MemoryDescriptor{})) || step > 4096 {
		return nil, 0, fmt.Errorf("the firmware returned a map of %d bytes with descriptors of %d", got, step)
	}
	for off := uint64(0); off+step <= got; off += step {
		d := at[uefi.MemoryDescriptor](addressOf(buf) + uintptr(off))
		list = append(list, *d)
	}
	return list, 0, nil
}
