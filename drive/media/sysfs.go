package media

// Drives as Linux shows them in sysfs (Documentation/ABI/stable/sysfs-block) and procfs
// (proc(5)).

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	sysfsSector = 512 // what sysfs counts sizes in, whatever the drive's blocks are
	mostLinks   = 16  // holders of holders
)

// systemMounts are places whose loss ends the running system.
var systemMounts = map[string]bool{"/": true, "/boot": true, "/boot/efi": true, "/efi": true, "/usr": true, "/var": true, "/home": true, "/nix": true, "/nix/store": true,
	"/sysroot": true, "/run/initramfs/live": true, "/run/live/medium": true, "/run/archiso/bootmnt": true, "/cdrom": true}

var notDrives = regexp.MustCompile(`^(sr|fd|nbd|ram|zram|dm-|md|mtdblock)\d|^mmcblk\d+(boot\d|rpmb)`)

// linuxDisks returns the drives of a Linux system, given /sys, /proc/self/mountinfo and
// /proc/swaps. What cannot be read of a drive is left empty.
func linuxDisks(sys fs.FS, mountinfo, swaps string) (disks []Disk, err error) {
	entries, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, err
	}
	s := sysfs{sys, parseMounts(mountinfo), parseSwaps(swaps)}
	for _, e := range entries {
		if name := e.Name(); !notDrives.MatchString(name) {
			if d := s.disk(name); d.Size > 0 {
				disks = append(disks, d)
			}
		}
	}
	slices.SortFunc(disks, func(a, b Disk) int { return strings.Compare(a.Name, b.Name) })
	return disks, nil
}

type sysfs struct {
	fs.FS
	mounts map[string][]string // by "8:1" and by "/dev/sda1"
	swaps  map[string]bool     // by "/dev/sda1"
}

// text returns a file's only line, or "". Some of it is a drive's own, and it may be shown on a terminal.
func (s sysfs) text(name ...string) string {
	b, _ := fs.ReadFile(s, path.Join(name...))
	return printable(string(b))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

func (s sysfs) names(dir string) (names []string) {
	entries, _ := fs.ReadDir(s, dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s sysfs) disk(name string) Disk {
	at := path.Join("block", name)
	d := Disk{Name: name, Path: "/dev/" + strings.ReplaceAll(name, "!", "/"), BlockSize: 512}
	if sectors, err := strconv.ParseInt(s.text(at, "size"), 10, 64); err == nil && sectors > 0 && sectors < 1<<53 {
		d.Size = sectors * sysfsSector
	}
	if n, err := strconv.Atoi(s.text(at, "queue/logical_block_size")); err == nil && n > 0 {
		d.BlockSize = n
	}
	d.ReadOnly = s.text(at, "ro") == "1"
	d.Model = strings.TrimSpace(s.text(at, "device/vendor") + " " + s.text(at, "device/model"))
	// The vendor of a SATA disk is "ATA", which is no name, and a number on PCI.
	d.Model = strings.TrimPrefix(d.Model, "ATA ")
	if strings.HasPrefix(d.Model, "0x") {
		_, d.Model, _ = strings.Cut(d.Model, " ")
	}
	if d.Model == "" {
		d.Model = s.text(at, "device/name") // cards
	}
	link, _ := fs.ReadLink(s.FS, at)
	var ancestors string
	d.Bus, ancestors = bus(link)
	d.External = d.Bus == "USB" || s.text(at, "removable") == "1" || d.Bus == "SD" && s.text(at, "device/type") != "MMC"
	if d.Bus == "SD" && !d.External {
		d.Bus = "eMMC"
	}
	d.Serial = s.serial(at, ancestors)
	// A drive in a Thunderbolt case is a PCI device in a removable place.
	for dir := ancestors; strings.HasPrefix(dir, "devices/pci"); dir = path.Dir(dir) {
		if s.text(dir, "removable") == "removable" {
			d.External = true
		}
	}
	d.Virtual = d.Bus == "loop" || d.Bus == "virtual"
	s.used(&d, name, at, "", mostLinks)
	for _, part := range s.names(at) {
		if s.text(at, part, "partition") != "" {
			s.used(&d, part, path.Join(at, part), "", mostLinks)
		}
	}
	slices.Sort(d.Mounts)
	d.Mounts = slices.Compact(d.Mounts)
	slices.Sort(d.Uses)
	d.Uses = slices.Compact(d.Uses)
	return d
}

// serial returns the serial number of the drive at, the nearest of its ancestors that has one: the USB device, if
// it is on one, or else the NVMe controller, the card or the disk itself, of which SCSI has a page (SPC-4, 7.8.16).
func (s sysfs) serial(at, ancestors string) string {
	for dir := ancestors; strings.HasPrefix(dir, "devices/"); dir = path.Dir(dir) {
		if s.text(dir, "idVendor") != "" { // a hub has another, and comes later
			return s.text(dir, "serial")
		}
	}
	for _, name := range []string{"device/serial", "serial"} {
		if n := s.text(at, name); n != "" {
			return n
		}
	}
	const header = 4
	b, _ := fs.ReadFile(s, path.Join(at, "device/vpd_pg80"))
	if len(b) < header || b[1] != 0x80 {
		return ""
	}
	return printable(string(b[header:min(len(b), header+int(b[2])<<8+int(b[3]))]))
}

// bus tells from where a drive's link in /sys/block leads, ../devices/pci0000:00/..., how it
// is attached, and returns where it leads from /sys on.
func bus(link string) (name, dir string) {
	dir = strings.TrimLeft(link, "./")
	for _, b := range []struct{ in, name string }{
		{"/usb", "USB"}, {"/mmc", "SD"}, {"/nvme", "NVMe"}, {"/ata", "SATA"}, {"/virtio", "virtio"},
		{"/virtual/block/loop", "loop"}, {"/virtual/", "virtual"}, {"/firewire", "FireWire"}, {"/session", "iSCSI"}, {"/host", "SCSI"},
	} {
		if strings.Contains("/"+dir, b.in) {
			return b.name, dir
		}
	}
	return "", dir
}

// used adds to d what the device name, a drive, a partition or what is made of these, is used
// for. on is the partition of d that it is on.
func (s sysfs) used(d *Disk, name, at, on string, depth int) {
	if depth == 0 {
		return
	}
	if on == "" {
		on = name
	}
	mounts := s.mounts[s.text(at, "dev")]
	for _, device := range []string{"/dev/" + name, "/dev/mapper/" + s.text(at, "dm/name")} {
		mounts = append(mounts[:len(mounts):len(mounts)], s.mounts[device]...)
		if s.swaps[device] {
			d.Uses = append(d.Uses, "swap on "+on)
			d.System = true
		}
	}
	for _, m := range mounts {
		d.Mounts = append(d.Mounts, m)
		d.System = d.System || systemMounts[m]
	}
	for _, holder := range s.names(path.Join(at, "holders")) {
		to := path.Join("block", holder)
		what := "the device " + holder
		uuid := s.text(to, "dm/uuid")
		switch {
		case strings.HasPrefix(uuid, "CRYPT-"):
			what = "encryption"
		case strings.HasPrefix(uuid, "LVM-"):
			what = "LVM"
		case s.text(to, "md/level") != "":
			what = "RAID"
		}
		d.Uses = append(d.Uses, what+" on "+on)
		s.used(d, holder, to, on, depth-1)
	}
}

// parseMounts returns where devices are mounted, by number and by name, since some file
// systems give their mounts numbers of their own.
func parseMounts(mountinfo string) map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(mountinfo) {
		// 36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 {
			continue
		}
		where := unescape(f[4])
		m[f[2]] = append(m[f[2]], where)
		if len(g) > 1 && strings.HasPrefix(g[1], "/dev/") {
			device := unescape(g[1])
			m[device] = append(m[device], where)
		}
	}
	return m
}

func parseSwaps(swaps string) map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(swaps) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "partition" {
			m[unescape(f[0])] = true
		}
	}
	return m
}

var octal = regexp.MustCompile(`\\[0-3][0-7][0-7]`)

// unescape undoes the kernel's \040 for spaces and the like.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(o string) string {
		n, _ := strconv.ParseUint(o[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}
