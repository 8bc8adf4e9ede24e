package create

// The knowledge partition as ext4: a fresh volume, and files written on it as on any other.

import (
	"fmt"
	"io"
	"path"
	"time"

	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
)

// files are what goes on a partition.
type files struct {
	tree  fat.Tree // for FAT32, which knows what names can't be
	list  []file   // the same, in order
	dirs  []string
	bytes int64
}

type file struct {
	path    string
	content fat.Content
}

func newFiles(n int) []*files {
	list := make([]*files, n)
	for i := range list {
		list[i] = &files{}
	}
	return list
}

func (f *files) add(path string, c fat.Content) error {
	f.list, f.bytes = append(f.list, file{path, c}), f.bytes+c.Size
	return f.tree.Add(path, c)
}

func (f *files) addDir(path string) error {
	f.dirs = append(f.dirs, path)
	return f.tree.AddDir(path)
}

// onExt4 is about how many bytes of an ext4 volume the files take, with a directory for each and some room to move.
func (f *files) onExt4() int64 {
	return f.bytes + int64(len(f.list)+len(f.dirs))*3*4096
}

// leastExt4 returns the bytes of the smallest ext4 volume, in whole MiB, that the files fit in.
func (f *files) leastExt4(sector int64) int64 {
	size := ext4.LeastSize(sector)
	for size-ext4.Overhead(size, sector) < f.onExt4() {
		size += max(mib, (f.onExt4()+ext4.Overhead(size, sector)-size)/mib*mib)
	}
	return size
}

// writeExt4 makes the volume on dev, and writes the files.
func (p *partition) writeExt4(dev fs.BlockDevice, stamp time.Time) error {
	if err := (ext4.Format{Label: p.label, UUID: p.guid, Time: stamp}).Write(dev); err != nil {
		return err
	}
	v, err := ext4.Mount(dev)
	if err != nil {
		return err
	}
	v.Clock = func() time.Time { return stamp }
	made := map[string]bool{".": true}
	var mkdir func(name string) error
	mkdir = func(name string) error {
		if made[name] {
			return nil
		}
		if err := mkdir(path.Dir(name)); err != nil {
			return err
		}
		made[name] = true
		return v.Mkdir(name)
	}
	for _, name := range p.files.dirs {
		if err := mkdir(name); err != nil {
			return err
		}
	}
	for _, f := range p.files.list {
		err := mkdir(path.Dir(f.path))
		if err == nil {
			err = write(v, f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return v.Sync()
}

// write writes a file.
func write(v *ext4.FS, f file) error {
	w, err := v.Create(f.path)
	if err != nil {
		return err
	}
	var r io.ReadCloser = io.NopCloser(zeroes{})
	if f.content.Open != nil {
		r, err = f.content.Open()
	}
	if err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(r, f.content.Size), make([]byte, 4*mib))
		r.Close()
	}
	if err == nil && w.Size() != f.content.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		w.Discard()
		return err
	}
	return w.Close()
}

// zeroes is what a preallocated file holds.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
