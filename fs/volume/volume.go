// Package volume is the one door to what is on a medium: List finds its volumes, however
// the medium is divided, Identify says what one holds, Mount opens any that can be read
// for reading, and MountReadWrite those that drives have to be changed.
//
// A medium has a GUID partition table, the partition table of a master boot record, both
// (a hybrid: the GUID partition table counts), or none, when it is one volume from block 0
// on. What a partition holds is told by its content, never by the type it is said to be of.
package volume

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"alphaos/fs"
	"alphaos/fs/exfat"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/mbr"
)

// Volume is a part of a medium that may hold a file system.
type Volume struct {
	fs.BlockDevice        // the volume's blocks
	Index          int    // partition number from 1, logical ones from 5; 0 is the whole medium
	First          uint64 // its first block on the medium
	Kind           Kind   // Unknown, too, if it cannot be read
	MBRType        byte   // zero unless the medium has an MBR and no GUID partition table

	TypeGUID gpt.GUID // zero unless the medium has a GUID partition table
	GUID     gpt.GUID // likewise
	Name     string   // likewise
}

// Scheme is how a medium is divided.
type Scheme int

// How a medium can be divided.
const (
	Whole Scheme = iota // not at all
	GPT
	MBR
)

// Medium is what is on a medium.
type Medium struct {
	Scheme  Scheme
	Volumes []Volume
	Notes   []string // what is odd about its partition table and yet no reason not to use it, in sentences
}

// ErrNothing is returned, wrapped, by List for a medium that holds nothing known.
var ErrNothing = errors.New("the medium holds neither partitions nor a file system that AlphaOS knows")

// List lists the volumes of dev. What cannot be read of one is for Mount to say.
func List(dev fs.BlockDevice) (*Medium, error) {
	t, tableErr := gpt.Read(dev)
	if tableErr == nil {
		m := &Medium{Scheme: GPT, Notes: t.Notes()}
		for _, p := range t.Partitions {
			m.add(Volume{BlockDevice: fs.Section(dev, p.First, p.Blocks()), Index: p.Index, First: p.First, TypeGUID: p.TypeGUID, GUID: p.GUID, Name: p.Name})
		}
		return m, nil
	}
	b, err := head(dev)
	if err != nil {
		return nil, err
	}
	whole := &Medium{Volumes: []Volume{{BlockDevice: dev, Kind: identify(b)}}}
	// A boot sector has code where an MBR has partitions, so it comes first.
	if bootSector(b) != Unknown {
		return whole, nil
	}
	m := &Medium{Scheme: MBR}
	for _, p := range mbr.Partitions(dev, b) {
		if p.Type == mbr.Protective {
			continue
		}
		if p.First+p.Blocks > dev.Blocks() {
			m.Notes = append(m.Notes, fmt.Sprintf("Partition %d is said to reach beyond the end of the drive: if the drive was copied, the copy may be incomplete.", p.Index))
		}
		m.add(Volume{BlockDevice: fs.Section(dev, p.First, p.Blocks), Index: p.Index, First: p.First, MBRType: p.Type})
	}
	switch {
	case len(m.Volumes) > 0:
		if !errors.Is(tableErr, gpt.ErrNotGPT) { // what a hybrid MBR has is left
			m.Notes = append(m.Notes, fmt.Sprintf("The GUID partition table cannot be used (%v); the partitions in the MBR are.", tableErr))
		}
		return m, nil
	case whole.Volumes[0].Kind != Unknown:
		// A file system keeps clear of block 0, where a table may be left of what was before.
		return whole, nil
	case !errors.Is(tableErr, gpt.ErrNotGPT):
		return nil, tableErr
	}
	return nil, ErrNothing
}

// add adds a volume and what it holds.
func (m *Medium) add(v Volume) {
	v.Kind, _ = Identify(v)
	m.Volumes = append(m.Volumes, v)
}

// FS is a volume mounted for reading. Files implement io.ReaderAt and io.Seeker.
type FS interface {
	iofs.ReadDirFS
	iofs.ReadFileFS
	iofs.StatFS
	Label() string   // "" if it has none
	Notes() []string // what is odd about it and yet no reason not to use it, in sentences
}

// Mount mounts the volume dev, whatever of the readable kinds it is, and writes nothing on
// it. For other kinds the error wraps ErrNotReadable and names it.
func Mount(dev fs.BlockDevice) (FS, error) {
	kind, err := Identify(dev)
	if err != nil {
		return nil, err
	}
	dev = fs.ReadOnly(dev)
	switch kind {
	case FAT32:
		return mountFAT(dev)
	case ExFAT:
		return mountExFAT(dev)
	case Ext2, Ext3, Ext4:
		return mountExt4(dev)
	case Unknown:
		// Its first sectors may be damaged, of which all keep a copy.
		for _, mount := range []func(fs.BlockDevice) (FS, error){mountExFAT, mountFAT, mountExt4} {
			if v, err := mount(dev); err == nil {
				return v, nil
			}
		}
	}
	return nil, kind.refusal()
}

func mountExFAT(dev fs.BlockDevice) (FS, error) {
	v, err := exfat.Mount(dev)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func mountExt4(dev fs.BlockDevice) (FS, error) {
	v, err := ext4.Mount(dev)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func mountFAT(dev fs.BlockDevice) (FS, error) {
	v, err := fat.Mount(dev)
	if err != nil {
		return nil, err
	}
	return fat32{v}, nil
}

// fat32 is a FAT32 volume without what changes it.
type fat32 struct{ v *fat.FS }

func (f fat32) Open(name string) (iofs.File, error)          { return f.v.Open(name) }
func (f fat32) ReadDir(name string) ([]iofs.DirEntry, error) { return f.v.ReadDir(name) }
func (f fat32) ReadFile(name string) ([]byte, error)         { return f.v.ReadFile(name) }
func (f fat32) Stat(name string) (iofs.FileInfo, error)      { return f.v.Stat(name) }
func (f fat32) Label() string                                { return f.v.Label() }
func (f fat32) Notes() []string                              { return f.v.Notes() }
