package media

// Drives as macOS tells them: diskutil(8) list -plist and info -plist, and serial numbers, which these have not,
// ioreg(8) -a. (Files whose names
// end in _darwin are built only there; this one is tested everywhere.)

import (
	"fmt"
	"slices"
	"strings"
)

// dict is a dictionary of a property list, in which anything may be missing.
type dict map[string]any

func asDict(v any) dict { m, _ := v.(map[string]any); return m }

func (d dict) string(key string) string { s, _ := d[key].(string); return s }
func (d dict) bool(key string) bool     { b, _ := d[key].(bool); return b }
func (d dict) int(key string) int64     { n, _ := d[key].(int64); return n }
func (d dict) list(key string) (list []dict) {
	all, _ := d[key].([]any)
	for _, v := range all {
		list = append(list, asDict(v))
	}
	return list
}

// usbSerials returns the serial numbers of drives on USB by their names, given what ioreg -a -l -r -c IOUSBHostDevice
// prints: devices of that class with all that is below them, down to the medium, whose "BSD Name" is disk2. What
// cannot be understood has none.
func usbSerials(ioreg []byte) map[string]string {
	serials := map[string]string{}
	v, err := parsePlist(ioreg)
	if err != nil {
		return serials
	}
	var walk func(d dict, serial string)
	walk = func(d dict, serial string) {
		if d["idVendor"] != nil { // a hub has another
			serial = printable(d.string("USB Serial Number"))
			if serial == "" {
				serial = printable(d.string("kUSBSerialNumberString"))
			}
		}
		if name := d.string("BSD Name"); serial != "" && name != "" && serials[name] == "" {
			serials[name] = serial
		}
		for _, child := range d.list("IORegistryEntryChildren") {
			walk(child, serial)
		}
	}
	list, _ := v.([]any)
	for _, d := range list {
		walk(asDict(d), "")
	}
	return serials
}

// darwinDisks returns the drives of a Mac: list is what diskutil list -plist prints, info
// returns what diskutil info -plist prints of a drive, and ioreg is for usbSerials.
func darwinDisks(list, ioreg []byte, info func(disk string) ([]byte, error)) (disks []Disk, err error) {
	v, err := parsePlist(list)
	if err != nil {
		return nil, fmt.Errorf("diskutil list: %w", err)
	}
	all := asDict(v).list("AllDisksAndPartitions")
	serials := usbSerials(ioreg)
	// The disk that an APFS container shows its volumes on is made of partitions of others.
	stores := map[string][]string{}
	mounts := map[string][]string{}
	for _, whole := range all {
		name := whole.string("DeviceIdentifier")
		for _, s := range whole.list("APFSPhysicalStores") {
			stores[name] = append(stores[name], wholeDisk(s.string("DeviceIdentifier")))
		}
		for _, key := range []string{"Partitions", "APFSVolumes"} {
			for _, p := range whole.list(key) {
				mounts[name] = append(mounts[name], mountsOf(p)...)
			}
		}
		mounts[name] = append(mounts[name], mountsOf(whole)...)
	}
	for _, whole := range all {
		name := whole.string("DeviceIdentifier")
		if name == "" || wholeDisk(name) != name {
			continue
		}
		text, err := info(name)
		if err != nil {
			return nil, fmt.Errorf("diskutil info %s: %w", name, err)
		}
		v, err := parsePlist(text)
		if err != nil {
			return nil, fmt.Errorf("diskutil info %s: %w", name, err)
		}
		d := darwinDisk(name, whole, asDict(v))
		if d.Size <= 0 {
			continue
		}
		d.Serial = serials[name]
		d.Mounts = slices.Clone(mounts[name])
		for container, on := range stores {
			if slices.Contains(on, name) {
				d.Mounts = append(d.Mounts, mounts[container]...)
			}
		}
		slices.Sort(d.Mounts)
		d.Mounts = slices.Compact(d.Mounts)
		for _, m := range d.Mounts {
			d.System = d.System || m == "/" || strings.HasPrefix(m, "/System/Volumes/") || strings.HasPrefix(m, "/private/var")
		}
		disks = append(disks, d)
	}
	return disks, nil
}

func darwinDisk(name string, whole, info dict) Disk {
	d := Disk{Name: name, Path: "/dev/" + name, Size: info.int("Size"), BlockSize: int(info.int("DeviceBlockSize")), Bus: info.string("BusProtocol"), Model: printable(info.string("MediaName"))}
	if d.Size == 0 {
		d.Size = info.int("TotalSize")
	}
	if d.Size == 0 {
		d.Size = whole.int("Size")
	}
	if d.BlockSize == 0 {
		d.BlockSize = 512
	}
	switch d.Bus {
	case "Secure Digital":
		d.Bus = "SD"
	case "PCI-Express":
		d.Bus = "PCIe"
	}
	// An APFS container and a disk image are disks to macOS.
	d.Virtual = info.string("VirtualOrPhysical") == "Virtual" || d.Bus == "Disk Image" || len(whole.list("APFSPhysicalStores")) > 0
	internal, known := info["Internal"].(bool)
	d.External = known && !internal || info.bool("RemovableMediaOrExternalDevice") || info.bool("RemovableMedia") && !whole.bool("OSInternal")
	if writable, ok := info["WritableMedia"].(bool); ok {
		d.ReadOnly = !writable
	}
	return d
}

func mountsOf(p dict) (list []string) {
	if m := p.string("MountPoint"); m != "" {
		list = append(list, m)
	}
	// The system volume is mounted as a snapshot of itself.
	for _, s := range p.list("MountedSnapshots") {
		if m := s.string("SnapshotMountPoint"); m != "" {
			list = append(list, m)
		}
	}
	return list
}

// wholeDisk returns disk0 for disk0s2.
func wholeDisk(name string) string {
	rest, ok := strings.CutPrefix(name, "disk")
	if !ok {
		return name
	}
	if i := strings.IndexByte(rest, 's'); i > 0 {
		rest = rest[:i]
	}
	return "disk" + rest
}
