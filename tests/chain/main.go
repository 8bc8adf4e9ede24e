// Chain is a boot manager for tests: it starts an EFI application the way Limine
// does. It reads /limine.conf on the volume it came from, reads the image of the
// first entry into memory, and gives the firmware that memory (LoadImage with a
// MemoryMapped device path); then it sets DeviceHandle and LoadOptions of the loaded
// image and starts it. Older versions of Limine count the characters of the load
// options instead of their bytes, and what an image learns about where it came from
// differs: main.missing says what to get wrong or leave out. main.habits has OVMF behave like
// other firmware (habits.go).
//
// What a boot manager written in C need not do: this one is a Go program on package
// amd64, which has taken over processors and memory. It hands both back before.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf16"
	"unsafe"

	"alphaos/amd64"
	"alphaos/efi"
	"alphaos/tests/guest"
	"alphaos/uefi"
)

// missing is set by the linker: any of "bytes" (LoadOptionsSize counts characters),
// "file" (no FilePath) and "device" (no DeviceHandle).
var missing string

func main() {
	if err := run(); err != nil {
		fmt.Println("chain: FAILED:", err)
	} else {
		fmt.Println("chain: the image returned, and all is well")
	}
	os.Exit(1) // after a success the firmware would show its menu
}

// entry is the first entry of a limine.conf that chains an EFI application.
type entry struct{ path, cmdline string }

// parse reads the few keys that chaining takes.
func parse(conf []byte) (entry, error) {
	var e entry
	lines := bufio.NewScanner(bytes.NewReader(conf))
	chains := false
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "protocol":
			chains = value == "efi_chainload"
		case "image_path":
			e.path, ok = strings.CutPrefix(value, "boot():/")
			if !ok {
				return e, fmt.Errorf("image_path %q is not on the boot volume", value)
			}
		case "cmdline":
			e.cmdline = value
		}
	}
	if !chains || e.path == "" {
		return e, errors.New("limine.conf has no entry with protocol: efi_chainload and image_path:")
	}
	return e, lines.Err()
}

func run() error {
	vol, _, err := guest.Mount()
	if err != nil {
		return err
	}
	conf, err := fs.ReadFile(vol, "limine.conf")
	if err != nil {
		return err
	}
	e, err := parse(conf)
	if err != nil {
		return err
	}
	image, err := fs.ReadFile(vol, e.path)
	if err != nil {
		return err
	}
	self, err := efi.LoadedImage()
	if err != nil {
		return err
	}
	return start(image, e.cmdline, uintptr(self.Device))
}

// physical returns a copy of p in memory that the firmware sees.
func physical(p []byte) ([]byte, error) {
	b, err := amd64.AllocPhysical(len(p))
	if err != nil {
		return nil, err
	}
	copy(b, p)
	return b, nil
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// at views a structure at an address of the firmware's.
func at[T any](addr uintptr) *T { return *(**T)(unsafe.Pointer(&addr)) }

// Out-parameters of firmware calls: the firmware sees the image's own data.
var out uintptr

// start loads and starts an image (UEFI 2.10, 7.4.1, 7.4.2, 9.1).
func start(image []byte, cmdline string, device uintptr) error {
	bs := at[uefi.BootServices](at[uefi.SystemTable](amd64.SystemTable()).BootServices)
	service := func(fn uintptr, args ...uintptr) error { return uefi.Status(amd64.Call(fn, args...)).Err() }
	buffer, err := physical(image)
	if err != nil {
		return err
	}
	// MemoryMapped(EfiLoaderData, first, last) and the end node (10.3.4.4).
	le := binary.LittleEndian
	node := le.AppendUint32([]byte{1, 3, 24, 0}, 2)
	node = le.AppendUint64(node, uint64(address(buffer)))
	node = le.AppendUint64(node, uint64(address(buffer))+uint64(len(buffer))-1)
	path, err := physical(append(node, 0x7f, 0xff, 4, 0))
	if err != nil {
		return err
	}
	var text []byte
	for _, u := range utf16.Encode([]rune(cmdline)) {
		text = le.AppendUint16(text, u)
	}
	size := len(text) // Limine leaves the terminator out
	if strings.Contains(missing, "bytes") {
		size /= 2
	}
	options, err := physical(append(text, 0, 0))
	if err != nil {
		return err
	}

	// Give memory back, all but what this program goes on with.
	const keep, piece = 48 << 20, 4 << 20
	given := 0
	for size := 1 << 30; size >= piece; {
		if amd64.Memory().Free < uint64(keep+size) {
			size /= 2
			continue
		}
		b, err := amd64.AllocPhysical(size)
		if err != nil {
			size /= 2
			continue
		}
		if err := service(bs.FreePages, address(b), uintptr(size>>12)); err != nil {
			return fmt.Errorf("giving memory back: %w", err)
		}
		given += size
	}
	fmt.Printf("chain: %d MiB of memory given back\n", given>>20)

	err = service(bs.LoadImage, 0, amd64.ImageHandle(), address(path), address(buffer), uintptr(len(buffer)), uintptr(unsafe.Pointer(&out)))
	if err != nil {
		return fmt.Errorf("LoadImage: %w", err)
	}
	handle := out
	if err := service(bs.HandleProtocol, handle, uintptr(unsafe.Pointer(&uefi.LoadedImageGUID)), uintptr(unsafe.Pointer(&out))); err != nil {
		return fmt.Errorf("the loaded image has no description: %w", err)
	}
	li := at[uefi.LoadedImage](out)
	li.DeviceHandle, li.FilePath = device, 0
	li.LoadOptionsSize, li.LoadOptions = uint32(size), address(options)

	fmt.Printf("chain: starting %d bytes with %q\n", len(image), cmdline)
	amd64.HandBack()
	run, err := takeOn(bs.StartImage)
	if err != nil {
		return err
	}
	if err := uefi.Status(run(handle)).Err(); err != nil {
		return fmt.Errorf("the image returned: %w", err)
	}
	return stillSound()
}

// stillSound checks that Go goes on as before after another image has had the machine.
func stillSound() error {
	sums := make(chan int)
	for n := range 100 {
		go func() {
			list := make([]int, 1000*n)
			for i := range list {
				list[i] = i
			}
			time.Sleep(time.Millisecond)
			sum := 0
			for _, v := range list {
				sum += v
			}
			sums <- sum - len(list)*(len(list)-1)/2
		}()
	}
	for range 100 {
		if wrong := <-sums; wrong != 0 {
			return fmt.Errorf("a sum is wrong by %d after the image returned", wrong)
		}
	}
	runtime.GC()
	return nil
}
