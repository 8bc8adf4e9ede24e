package efi

import (
	"errors"
	"strings"
	"testing"

	"alphaos/uefi"
)

// TestLoadMac finds the loader of a macOS volume: the one that the volume calls blessed, or the usual one, not on
// AlphaOS's own drive, and on a disk inside rather than on a stick.
func TestLoadMac(t *testing.T) {
	inside, stick, own := [][]byte{pciRoot(), pci(0x1d, 0), hd(2)}, [][]byte{pciRoot(), pci(0x14, 0), usbPort(2), hd(1)}, [][]byte{pciRoot(), pci(0x14, 0), usbPort(1), hd(1)}
	flat := func(nodes [][]byte, more ...byte) (b []byte) {
		for _, n := range nodes {
			b = append(b, n...)
		}
		return append(b, more...)
	}
	const elsewhere = `\com.apple.boot\boot.efi`
	for _, tt := range []struct {
		name    string
		volumes [][][]byte
		blessed []byte // what the volumes tell of a blessed file; nil: they don't
		there   string // the file that can be loaded
		status  uefi.Status
		want    string // in the path; "": none
	}{
		{name: "none", volumes: [][][]byte{inside}, status: uefi.NotFound},
		{name: "usual place", volumes: [][][]byte{own, stick, inside}, there: MacLoader, want: "Pci(0x1d,0x0)"},
		{name: "stick", volumes: [][][]byte{own, stick}, there: MacLoader, want: "USB(0x2,0x0)"},
		{name: "own drive", volumes: [][][]byte{own}, there: MacLoader, status: uefi.NotFound},
		{name: "blessed", volumes: [][][]byte{inside}, there: elsewhere, blessed: flat(inside, append(filePath(elsewhere), pathEnd, pathEndEntire, 4, 0)...), want: elsewhere},
		{name: "blessed is cut off", volumes: [][][]byte{inside}, there: MacLoader, blessed: flat(inside, 4, 4, 200, 0, 'x'), want: MacLoader},
		{name: "blessed is empty", volumes: [][][]byte{inside}, there: MacLoader, blessed: []byte{}, want: MacLoader},
		{name: "not trusted", volumes: [][][]byte{inside}, there: MacLoader, status: uefi.SecurityViolation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			file := &uefi.File{}
			file.Close = f.fn(func(a []uintptr) uefi.Status { return uefi.Success })
			file.GetInfo = f.fn(func(a []uintptr) uefi.Status {
				if tt.blessed == nil || *(*uefi.GUID)(pointer(a[1])) != uefi.AppleBlessedFileGUID {
					return uefi.Unsupported
				}
				*(*uint64)(pointer(a[2])) = uint64(copy(bytesAt(a[3], int(*(*uint64)(pointer(a[2])))), tt.blessed))
				return uefi.Success
			})
			fileAt := addr(f, file)
			volume := &uefi.SimpleFileSystem{OpenVolume: f.fn(func(a []uintptr) uefi.Status {
				*(*uint64)(pointer(a[1])) = uint64(fileAt)
				return uefi.Success
			})}
			for i, nodes := range tt.volumes {
				h := Handle(0x100 + i)
				f.install(h, uefi.DevicePathGUID, f.path(nodes...))
				f.install(h, uefi.SimpleFileSystemGUID, addr(f, volume))
			}
			loaded, unloaded := 0, 0
			f.bs.LoadImage = f.fn(func(a []uintptr) uefi.Status {
				p := readDevicePath(a[2])
				if a[0] != 0 || a[1] != imageHandle || a[3] != 0 || tt.there == "" || !strings.HasSuffix(p.String(), "/"+tt.there) {
					return uefi.NotFound
				}
				loaded++
				*(*uint64)(pointer(a[5])) = 0x777
				if tt.want == "" {
					return tt.status
				}
				return uefi.Success
			})
			f.bs.UnloadImage = f.fn(func(a []uintptr) uefi.Status { unloaded++; return uefi.Success })
			f.seal()
			image, path, err := LoadMac(&BlockDevice{path: devicePath(flat(own))})
			switch {
			case tt.want != "" && (err != nil || image != 0x777 || !strings.Contains(path, tt.want) || loaded != 1):
				t.Errorf("%#x, %s, %v; %d were loaded", image, path, err, loaded)
			case tt.want == "" && !errors.Is(err, tt.status):
				t.Errorf("%#x, %s, %v", image, path, err)
			}
			if want := map[bool]int{true: 1}[tt.status == uefi.SecurityViolation]; unloaded != want {
				t.Errorf("%d images were unloaded, want %d", unloaded, want)
			}
		})
	}
}
