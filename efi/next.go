package efi

// The computer's own system. A macOS volume tells the path of its loader, which Apple calls blessed, or has it where
// it always was; the firmware loads it, and amd64.ExitTo starts it when all else was given back. Nothing is written:
// neither to a disk nor to the firmware's variables.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"

	"alphaos/uefi"
)

// MacLoader is where a macOS volume has its loader, unless it says otherwise.
const MacLoader = `\System\Library\CoreServices\boot.efi`

// LoadMac has the firmware load the loader of a macOS volume that is on none of the disks of drive, those inside the
// computer first, and returns the image and the path that it came from. Without one that is uefi.NotFound.
func LoadMac(drive ...*BlockDevice) (image uintptr, path string, err error) {
	if err := ready(); err != nil {
		return 0, "", err
	}
	volumes, err := handles(&uefi.SimpleFileSystemGUID)
	if err != nil {
		return 0, "", fmt.Errorf("looking for volumes: %w", err)
	}
	slices.SortStableFunc(volumes, func(a, b Handle) int {
		rank := map[bool]int{true: 1}
		return rank[handlePath(a).usb()] - rank[handlePath(b).usb()]
	})
	var errs []error
	for _, v := range volumes {
		at := handlePath(v)
		if len(at) == 0 || slices.ContainsFunc(drive, func(d *BlockDevice) bool { return d.path.disk().contains(at) }) {
			continue
		}
		for _, p := range []devicePath{blessed(v), append(slices.Clone(at), filePath(MacLoader)...)} {
			if p == nil {
				continue
			}
			image, err := loadImage(p)
			if err == nil {
				return image, p.String(), nil
			}
			if !errors.Is(err, uefi.NotFound) {
				errs = append(errs, fmt.Errorf("%s cannot be loaded: %w", p, err))
			}
		}
	}
	return 0, "", errors.Join(append(errs, uefi.NotFound)...)
}

// filePath is the device path node of a file (10.3.5.4).
func filePath(name string) devicePath {
	units := append(utf16.Encode([]rune(name)), 0)
	p := binary.LittleEndian.AppendUint16(devicePath{pathMedia, mediaFile}, uint16(4+2*len(units)))
	for _, u := range units {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

// blessed asks a volume for the path of its loader; nil: it does not tell.
func blessed(v Handle) devicePath {
	addr, err := protocol(v, &uefi.SimpleFileSystemGUID)
	if err != nil {
		return nil
	}
	params.Lock()
	defer params.Unlock()
	if uefi.Status(call(at[uefi.SimpleFileSystem](addr).OpenVolume, addr, cell(0, 0))).Err() != nil || params.cell[0] == 0 {
		return nil
	}
	root := uintptr(params.cell[0])
	file := at[uefi.File](root)
	defer call(file.Close, root)
	params.guid = uefi.AppleBlessedFileGUID
	params.data = [len(params.data)]byte{}
	if uefi.Status(call(file.GetInfo, root, guidAt(&params.guid), cell(1, uint64(len(params.data))), addressOf(params.data[:]))).Err() != nil {
		return nil
	}
	p, whole := devicePath(slices.Clone(params.data[:min(params.cell[1], uint64(len(params.data)))])), 0
	for rest := p; ; { // as far as it makes sense
		kind, _, _, next, ok := rest.next()
		if !ok || kind == pathEnd {
			return p[:whole]
		}
		whole += len(rest) - len(next)
		rest = next
	}
}

// loadImage has the firmware load a file (7.4.1). One that it does not trust is given up.
func loadImage(p devicePath) (image uintptr, err error) {
	params.Lock()
	defer params.Unlock()
	if len(p) == 0 || len(p)+4 > len(params.data) {
		return 0, uefi.NotFound
	}
	copy(params.data[copy(params.data[:], p):], []byte{pathEnd, pathEndEntire, 4, 0})
	st := uefi.Status(call(fw.bs.LoadImage, 0, fw.image, addressOf(params.data[:]), 0, 0, cell(0, 0)))
	image = uintptr(params.cell[0])
	if st == uefi.SecurityViolation && image != 0 {
		call(fw.bs.UnloadImage, image)
	}
	return image, st.Err()
}
