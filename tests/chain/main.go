// Chain is a boot manager for tests: it starts an EFI application the way Limine
// does. It reads /limine.conf on the volume it came from, reads the image of the
// first entry into memory, and gives the firmware that memory (LoadImage with a
// MemoryMapped device path); then it sets DeviceHandle and LoadOptions of the loaded
// image and starts it. Older versions of Limine count the characters of the load
// options instead of their bytes, and what an image learns about where it came from
// differs: main.missing says what to get wrong or leave out. Where there is no
// limine.conf, it has the firmware load what another drive would start.
//
// The file /habits on its volume names what OVMF is to do before as other firmware does
// (habits.go).
//
// What a boot manager written in C need not do: this one is a Go program on package amd64, which takes over
// processors and memory. It hands the processors back before, and is built with the tag lean, so that most memory
// stays with the firmware.
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

// missing is set by the linker: any of "bytes" (LoadOptionsSize counts characters)
// and "device" (no DeviceHandle).
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
	for lines.Scan() && !(e.path != "" && strings.HasPrefix(lines.Text(), "/")) {
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
	self, err := efi.LoadedImage()
	if err != nil {
		return err
	}
	st = at[uefi.SystemTable](amd64.SystemTable())
	bs, rs = at[uefi.BootServices](st.BootServices), at[uefi.RuntimeServices](st.RuntimeServices)
	list, err := fs.ReadFile(vol, "habits")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := parseHabits(string(list)); err != nil {
		return err
	}
	conf, err := fs.ReadFile(vol, "limine.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return startOther(uintptr(self.Device))
	}
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
	buffer, err := physical(image)
	if err != nil {
		return err
	}
	// MemoryMapped(EfiLoaderData, first, last) and the end node (10.3.4.4).
	le := binary.LittleEndian
	node := le.AppendUint32([]byte{1, 3, 24, 0}, 2)
	node = le.AppendUint64(node, uint64(address(buffer)))
	node = le.AppendUint64(node, uint64(address(buffer))+uint64(len(buffer))-1)
	return start(append(node, endNode...), buffer, e.cmdline, uintptr(self.Device))
}

// endNode ends a device path.
var endNode = []byte{0x7f, 0xff, 4, 0}

// startOther has the firmware load EFI/BOOT/BOOTX64.EFI from a volume other than one.
func startOther(one uintptr) error {
	volumes, err := handlesOf(&uefi.SimpleFileSystemGUID)
	if err != nil {
		return fmt.Errorf("looking for volumes: %w", err)
	}
	err = errors.New("there is no other volume")
	for _, v := range volumes {
		if v == one {
			continue
		}
		iface, err := interfaceOn(v, &uefi.DevicePathGUID)
		if err != nil {
			return fmt.Errorf("a volume's device path: %w", err)
		}
		var path []byte
		for p := iface; ; { // nodes of type, subtype, length (10.3.1)
			n := uintptr(*at[uint16](p + 2))
			if *at[uint8](p) == endNode[0] {
				break
			}
			path = append(path, unsafe.Slice(at[byte](p), n)...)
			p += n
		}
		const name = `\EFI\BOOT\BOOTX64.EFI`
		path = binary.LittleEndian.AppendUint16(append(path, 4, 4), uint16(4+2*len(name)+2)) // media device path, file
		for _, c := range name {
			path = append(path, byte(c), 0)
		}
		if err := start(append(append(path, 0, 0), endNode...), nil, "", 0); !errors.Is(err, uefi.NotFound) {
			return err
		}
	}
	return err
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

// start loads an image, from a buffer if there is one, or else by its path, and starts it (UEFI
// 2.10, 7.4.1, 7.4.2, 9.1).
func start(path, image []byte, cmdline string, device uintptr) error {
	path, err := physical(path)
	if err != nil {
		return err
	}
	var text []byte
	for _, u := range utf16.Encode([]rune(cmdline)) {
		text = binary.LittleEndian.AppendUint16(text, u)
	}
	size := len(text) // Limine leaves the terminator out
	if strings.Contains(missing, "bytes") {
		size /= 2
	}
	options, err := physical(append(text, 0, 0))
	if err != nil {
		return err
	}

	if err := status(bs.LoadImage, 0, amd64.ImageHandle(), address(path), address(image), uintptr(len(image)), addr(&out)); err != nil {
		return fmt.Errorf("LoadImage: %w", err)
	}
	handle := out
	iface, err := interfaceOn(handle, &uefi.LoadedImageGUID)
	if err != nil {
		return fmt.Errorf("the loaded image has no description: %w", err)
	}
	if image != nil {
		li := at[uefi.LoadedImage](iface)
		if strings.Contains(missing, "device") {
			device = 0
		}
		li.DeviceHandle, li.FilePath = device, 0
		li.LoadOptionsSize, li.LoadOptions = uint32(size), address(options)
	}

	amd64.StartProcessors(amd64.Present())
	amd64.Call(at[uefi.SimpleTextOutput](st.ConOut).ClearScreen, st.ConOut) // the blocks of this program's own start
	fmt.Printf("chain: starting with %q\n", cmdline)
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
