package volume

// Volumes that are changed: FAT32 and ext4 behind one door.

import (
	"context"
	"fmt"
	"io"
	"time"

	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
	"alphaos/fs/readfs"
)

// Writer is a file open for writing. What is written is there from the first Sync or Close on.
type Writer interface {
	io.Writer // behind what was written before
	io.WriterAt
	io.ReaderAt // what was written, committed or not
	io.Closer   // commits, unless an earlier write has failed
	Size() int64
	Truncate(size int64) error // what is added is zero
	SetModified(t time.Time)   // for the time of the next commit
	Sync() error               // commits
	Discard()                  // ends it without a commit
}

// ReadWrite is a volume mounted to be changed. Each change is there whole or not at all after a cut of power; the error of one for which
// there is no room wraps fs.ErrNoRoom.
type ReadWrite interface {
	FS
	Kind() Kind
	Writable() error       // nil, or why it is only read, wrapping fs.ErrUnwritable
	Dirty() bool           // it was not put in order when it was last used, or a change has failed half-way since
	Size() int64           // bytes for files and directories
	Free() (int64, error)  // bytes
	ClusterSize() int64    // bytes, of which each file takes whole ones
	MaxFile() int64        // bytes that a file can have
	SetClock(time.Time)    // of files that are changed from here on
	SetLabel(string) error // "": none
	Create(name string) (Writer, error)
	OpenWriter(name string) (Writer, error) // a file that there is
	WriteFile(name string, content []byte) error
	Mkdir(name string) error
	Remove(name string) error
	Rename(from, to string) error
	OpenInPlace(name string) (*readfs.InPlace, error) // a file that there is, to be overwritten where it lies
	Pin(name string) ([]fs.Extent, error)             // a file that stays where it is until the volume is mounted anew
	Extents(name string) ([]fs.Extent, error)
	Scratch(size int64) (*readfs.InPlace, error) // free room, for measuring
	Scrub(context.Context) error                 // takes off the medium what the volume keeps of names that were removed, or a part of it until that is done
	Check(fs.CheckOptions) (fs.Report, error)    // while no file is being written
	Sync() error                                 // puts it in order for other systems
	Reread() error                               // the medium was away
}

// MountReadWrite mounts the volume dev to be changed, if it is FAT32 or of the family of ext4, of which some are only read.
func MountReadWrite(dev fs.BlockDevice) (ReadWrite, error) {
	kind, err := Identify(dev)
	if err != nil {
		return nil, err
	}
	switch kind {
	case Ext2, Ext3, Ext4:
		v, err := ext4.Mount(dev)
		if err != nil {
			return nil, err
		}
		return extReadWrite{v, kind}, nil
	case FAT32, Unknown: // whose first sector may be damaged, and has a copy
		v, err := MountFAT32(dev)
		if err == nil {
			return v, nil
		}
		if kind == Unknown {
			if v, err := ext4.Mount(dev); err == nil {
				return extReadWrite{v, Ext4}, nil
			}
		}
		return nil, err
	}
	return nil, fmt.Errorf("the volume %s; a drive of AlphaOS has FAT32, or ext4", kind.Clause())
}

// MountFAT32 mounts the volume dev to be changed if it is FAT32, and reads nothing else than that.
func MountFAT32(dev fs.BlockDevice) (ReadWrite, error) {
	v, err := fat.Mount(dev)
	if err != nil {
		return nil, err
	}
	return fatReadWrite{v}, nil
}

// Label returns the label of a volume that MountReadWrite mounts, "" if it has none. For one of the family of ext4 it reads little more than the superblock:
// that may be another system's, with a journal of a gigabyte.
func Label(dev fs.BlockDevice) (string, error) {
	kind, err := Identify(dev)
	if err != nil {
		return "", err
	}
	switch kind {
	case Ext2, Ext3, Ext4:
		return ext4.ReadLabel(dev)
	case FAT32, Unknown:
		v, err := fat.Mount(dev)
		if err == nil {
			return v.Label(), nil
		}
		if kind == Unknown {
			if label, err := ext4.ReadLabel(dev); err == nil {
				return label, nil
			}
		}
		return "", err
	}
	return "", kind.refusal()
}

// opened makes a file that was opened a Writer.
func opened[W Writer](w W, err error) (Writer, error) {
	if err != nil {
		return nil, err
	}
	return w, nil
}

type fatReadWrite struct{ *fat.FS }

func (fatReadWrite) Kind() Kind                            { return FAT32 }
func (fatReadWrite) Writable() error                       { return nil }
func (fatReadWrite) MaxFile() int64                        { return fat.MaxFile }
func (v fatReadWrite) SetClock(t time.Time)                { v.Clock = func() time.Time { return t } }
func (v fatReadWrite) Create(name string) (Writer, error)  { return opened(v.FS.Create(name)) }
func (v fatReadWrite) OpenWriter(n string) (Writer, error) { return opened(v.FS.OpenWriter(n)) }
func (fatReadWrite) Scrub(context.Context) error           { return nil } // names are not kept as their text

type extReadWrite struct {
	*ext4.FS
	kind Kind
}

func (v extReadWrite) Kind() Kind                          { return v.kind }
func (extReadWrite) MaxFile() int64                        { return ext4.MaxFile }
func (v extReadWrite) SetClock(t time.Time)                { v.Clock = func() time.Time { return t } }
func (v extReadWrite) Create(name string) (Writer, error)  { return opened(v.FS.Create(name)) }
func (v extReadWrite) OpenWriter(n string) (Writer, error) { return opened(v.FS.OpenWriter(n)) }
