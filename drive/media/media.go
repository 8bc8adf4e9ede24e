// Package media knows the drives of the host: which there are, which of them may be erased,
// and how one is opened and written whole.
//
// What Linux and macOS say of their drives is read by pure functions (sysfs.go, macos.go), so
// that both are tested everywhere; only what talks to the system is behind build tags
// (system_*.go).
//
// Nothing here decides to erase a drive. Disk.Dangers says why a person should be asked to
// type its name, Disk.System that no script may do it, and Open fails for a drive that is in
// use.
package media

import (
	"fmt"
	"slices"
	"strings"
)

// Disk is a whole drive of the host.
type Disk struct {
	Name      string // sda, disk2
	Path      string // /dev/sda
	Size      int64  // bytes
	BlockSize int    // bytes in a logical block, 512 or 4096
	Bus       string // USB, SD, SATA, NVMe ...; "loop" for an image that the host shows as a drive
	Model     string // "" if it has none
	Serial    string // what tells it from others of its model; "" if it has none, or nobody tells
	External  bool   // can be taken away by a person: on USB or the like, or a card in its slot
	Virtual   bool   // made of files or of other drives
	ReadOnly  bool   // write protected

	Mounts []string // where its volumes are mounted, those within LUKS, LVM, RAID or APFS as well
	Uses   []string // what else holds it, in words: "swap on sda3", "LUKS on sda2"
	System bool     // the running system is on it
}

// Dangers says, in clauses that follow the name of the drive, why it should not be erased
// unless a person says so twice.
func (d Disk) Dangers() (list []string) {
	if d.System {
		list = append(list, "holds the system that is running")
	}
	if !d.External && !d.Virtual {
		list = append(list, "is inside this computer")
	}
	if len(d.Mounts) > 0 {
		list = append(list, "is mounted at "+strings.Join(d.Mounts, ", "))
	}
	if len(d.Uses) > 0 {
		list = append(list, "is in use ("+strings.Join(d.Uses, ", ")+")")
	}
	return list
}

// Title is what a drive is called in a sentence: its path, size, bus, model and serial number.
func (d Disk) Title() string {
	s := d.Path + " (" + FormatSize(d.Size)
	if d.Bus != "" {
		s += ", " + d.Bus
	}
	if d.Model != "" {
		s += ", " + d.Model
	}
	if d.Serial != "" {
		s += ", serial number " + d.Serial
	}
	return s + ")"
}

// Candidates are the drives that one would make an AlphaOS drive of: external ones that can
// be written and hold nothing of the running system.
func Candidates(all []Disk) []Disk {
	return slices.DeleteFunc(slices.Clone(all), func(d Disk) bool {
		return !d.External || d.Virtual || d.ReadOnly || d.System
	})
}

// Find returns the drive with a path such as /dev/sdb; on macOS /dev/rdisk2 is disk2. The
// error says what partitions and unknown names are.
func Find(all []Disk, path string) (Disk, error) {
	name := strings.TrimPrefix(path, "/dev/")
	for _, d := range all {
		if d.Name == name || "r"+d.Name == name && strings.HasPrefix(name, "rdisk") {
			return d, nil
		}
	}
	for _, d := range all {
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "r"), d.Name); ok && rest != "" && strings.Trim(rest, "ps0123456789") == "" {
			return Disk{}, fmt.Errorf("%s is a partition; name the whole drive, %s", path, d.Path)
		}
	}
	return Disk{}, fmt.Errorf("there is no drive %s", path)
}

// still returns nil if d is among the drives that there are now. Others may have got its path
// since a person agreed to erase it.
func (d Disk) still(now []Disk) error {
	for _, n := range now {
		if n.Path == d.Path && n.Name == d.Name && n.Model == d.Model && n.Serial == d.Serial && n.Bus == d.Bus && n.Size == d.Size && !n.System {
			return nil
		}
	}
	return fmt.Errorf("%s is not plugged in any more, or another drive is there now; nothing was written: look at alphaos drive list and start again", d.Title())
}

// FormatSize writes a number of bytes for a person.
func FormatSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if f == float64(int64(f)) {
		return fmt.Sprintf("%d %s", int64(f), units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
