package db

// SQLite's files on a Folder, and why a power cut can't hurt them.
//
// SQLite changes its file where it lies, page by page, and first writes the pages as they were to a second file, the
// rollback journal. While that is there whole, whoever opens the database next takes the pages back from it: this
// package, and the stock sqlite3 as well. Removing it is what makes a change final. That asks three things of the
// file system, which fs/fat and fs/ext4 keep (fs/fat/change.go): a file is there only once all of it is; what was synced stays; what
// is written inside a file harms nothing around it. A new file and a rename for each change would ask for less and be simpler,
// but would write all of the database for a message.
//
// What is particular here:
//   - The journal is kept in memory until SQLite syncs it, so a change that is broken off has written nothing.
//     SQLite is told not to write pages before the end of a change (cache_spill=off), so it is also synced only with all that
//     will ever be in it: a file on FAT that grows between two syncs is copied, and the clusters of the older copy keep what was in them.
//   - For the same reason the database is never shorter than fileLeast: the copies end where fs/fat calls a file large.
//   - It grows and shrinks in steps of fileStep, filled with zeros. SQLite, which keeps the number of its pages in the first one, is told the
//     size of these: what a change that is taken back wrote behind them is then cut off.
//   - What is removed is overwritten first. Of a journal the first page goes before all others, with a sync between: from then on the
//     change is final, and what is left of the journal means nothing.
//
// There is one connection at a time, so locks do nothing.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

const (
	pageSize  = 4096
	fileLeast = 1<<20 + fileStep // bytes
	fileStep  = 256 << 10
)

// A Folder is where the database lies. Names have no slashes. Errors about what is not there wrap io/fs.ErrNotExist.
type Folder interface {
	Exists(name string) (bool, error)
	// Open opens a file to read and change it. One that create makes is there from its first Sync on, with all that it
	// has then. A file is not opened twice.
	Open(name string, create bool) (File, error)
	Remove(name string) error
	Rename(from, to string) error // to a name that there is not
}

// A File is a file of a Folder. *fat.Writer is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() int64
	Truncate(size int64) error // what is added is zero
	Sync() error
	Close() error
}

// disk is a Folder as SQLite sees it.
type disk struct {
	folder   Folder
	name     string // under which SQLite knows it
	unread   error  // the first error of reading
	unwrit   error  // of changing anything
	database *file
}

var disks atomic.Uint64

// mount makes SQLite know a folder.
func mount(f Folder) *disk {
	d := &disk{folder: f, name: fmt.Sprintf("alphaos%d", disks.Add(1))}
	vfs.Register(d.name, d)
	return d
}

func (d *disk) unmount() { vfs.Unregister(d.name) }

func (d *disk) read(err error) error {
	if d.unread == nil {
		d.unread = err
	}
	return err
}

func (d *disk) wrote(err error) error {
	if d.unwrit == nil {
		d.unwrit = err
	}
	return err
}

func (d *disk) FullPathname(name string) (string, error) { return name, nil }

func (d *disk) Access(name string, _ vfs.AccessFlag) (bool, error) {
	ok, err := d.folder.Exists(name)
	return ok, d.read(err)
}

func (d *disk) Delete(name string, _ bool) error {
	err := remove(d.folder, name, nil)
	if errors.Is(err, fs.ErrNotExist) { // a change that was broken off
		return nil
	}
	return d.wrote(err)
}

// remove removes a file of which nothing stays. Unless stop returns nil it goes on with the next call.
func remove(f Folder, name string, stop func() error) error {
	x, err := f.Open(name, false)
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	n := int64(pageSize) // the first piece
	for at := int64(0); at < x.Size() && err == nil; {
		n = min(n, x.Size()-at)
		if _, err = x.WriteAt(zeros[:n], at); err == nil && at == 0 {
			err = x.Sync()
		}
		if err == nil && stop != nil {
			err = stop()
		}
		at, n = at+n, int64(len(zeros))
	}
	if err = errors.Join(err, x.Close()); err != nil {
		return err
	}
	return f.Remove(name)
}

func (d *disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	switch {
	case flags&vfs.OPEN_MAIN_JOURNAL != 0:
		j := &journal{disk: d, name: name}
		ok, err := d.folder.Exists(name)
		if err == nil && ok {
			j.f, err = d.folder.Open(name, false)
		}
		if err != nil {
			return nil, flags, d.read(err)
		}
		return j, flags, nil
	case flags&vfs.OPEN_MAIN_DB != 0:
		there, err := d.folder.Exists(name)
		if err != nil {
			return nil, flags, d.read(err)
		}
		f, err := d.folder.Open(name, !there)
		if err != nil && there {
			d.read(err)
		} else {
			d.wrote(err)
		}
		if err != nil {
			return nil, flags, err
		}
		d.database = &file{disk: d, f: f}
		if err := d.database.measure(); err != nil {
			d.read(err)
			return nil, flags, errors.Join(err, f.Close()) // SQLite closes only what was opened
		}
		return d.database, flags, nil
	}
	return &vfsutil.SliceFile{}, flags | vfs.OPEN_MEMORY, nil // temp_store=memory asks for hardly any
}

// file is the database.
type file struct {
	lock
	disk *disk
	f    File
	size int64 // of its pages, in bytes
}

// measure finds out how many pages there are. In the middle of a change that is anybody's guess: all are, then.
func (x *file) measure() error {
	x.size = x.f.Size()
	if ok, err := x.disk.folder.Exists(journalName); ok || err != nil {
		return err
	}
	page := make([]byte, min(x.size, pageSize))
	if _, err := x.f.ReadAt(page, 0); err != nil && err != io.EOF {
		return err
	}
	if bytes.HasPrefix(page, []byte(magic)) && len(page) >= 32 {
		if n := int64(binary.BigEndian.Uint32(page[28:])) * pageSize; n > 0 && n <= x.size {
			x.size = n
		}
		return nil
	}
	// Zeros are what is left when making one was cut off.
	zeros := make([]byte, pageSize)
	for at := int64(0); at < x.size; at += int64(len(page)) {
		page = page[:min(pageSize, x.size-at)]
		if _, err := x.f.ReadAt(page, at); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(page, zeros[:len(page)]) {
			return nil
		}
	}
	x.size = 0
	return nil
}

func (x *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := x.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		x.disk.read(err)
	}
	return n, err
}

func (x *file) WriteAt(p []byte, off int64) (int, error) {
	if err := x.SizeHint(off + int64(len(p))); err != nil {
		return 0, err
	}
	n, err := x.f.WriteAt(withoutGap(p, off), off)
	x.size = max(x.size, off+int64(n))
	return n, x.disk.wrote(err)
}

// SizeHint makes room before the first page is written, so that a full drive stops a change early.
func (x *file) SizeHint(size int64) error {
	if size <= x.f.Size() {
		return nil
	}
	return x.disk.wrote(x.f.Truncate(steps(size)))
}

// steps is the size of a file that has so many bytes of pages.
func steps(size int64) int64 { return max(fileLeast, (size+fileStep-1)/fileStep*fileStep) }

func (x *file) Truncate(size int64) error {
	x.size = size
	zeros := make([]byte, pageSize)
	to, have := steps(size), x.f.Size()
	for at := size; at < have; at += pageSize {
		if _, err := x.f.WriteAt(zeros[:min(pageSize, have-at)], at); err != nil {
			return x.disk.wrote(err)
		}
	}
	if to >= have {
		return nil
	}
	err := x.f.Sync() // before clusters become free that hold something
	if err == nil {
		err = x.f.Truncate(to)
	}
	return x.disk.wrote(err)
}

func (x *file) Sync(vfs.SyncFlag) error { return x.disk.wrote(x.f.Sync()) }
func (x *file) Size() (int64, error)    { return x.size, nil }
func (x *file) Close() error            { return x.disk.wrote(x.f.Close()) }

// journal is the rollback journal.
type journal struct {
	lock
	disk  *disk
	name  string
	early vfsutil.SliceFile // what it has before its first Sync
	f     File              // from then on
}

func (j *journal) ReadAt(p []byte, off int64) (int, error) {
	if j.f == nil {
		return j.early.ReadAt(p, off)
	}
	n, err := j.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		j.disk.read(err)
	}
	return n, err
}

func (j *journal) WriteAt(p []byte, off int64) (int, error) {
	if j.f == nil {
		return j.early.WriteAt(p, off)
	}
	n, err := j.f.WriteAt(p, off)
	return n, j.disk.wrote(err)
}

func (j *journal) Truncate(size int64) error {
	if j.f == nil {
		return j.early.Truncate(size)
	}
	return j.disk.wrote(j.f.Truncate(size))
}

func (j *journal) Sync(vfs.SyncFlag) (err error) {
	if j.f == nil && len(j.early) > 0 {
		if j.f, err = j.disk.folder.Open(j.name, true); err == nil {
			_, err = j.f.WriteAt(j.early, 0)
			j.early = nil
		}
	}
	if err == nil && j.f != nil {
		err = j.f.Sync()
	}
	return j.disk.wrote(err)
}

func (j *journal) Size() (int64, error) {
	if j.f == nil {
		return int64(len(j.early)), nil
	}
	return j.f.Size(), nil
}

func (j *journal) Close() error {
	if j.f == nil {
		return nil
	}
	return j.disk.wrote(j.f.Close())
}

// lock is what of a file does nothing, or is the same for all.
type lock struct{}

func (lock) Lock(vfs.LockLevel) error                        { return nil }
func (lock) Unlock(vfs.LockLevel) error                      { return nil }
func (lock) CheckReservedLock() (bool, error)                { return false, nil }
func (lock) SectorSize() int                                 { return pageSize }
func (lock) DeviceCharacteristics() vfs.DeviceCharacteristic { return 0 }

var (
	_ vfs.VFS          = (*disk)(nil)
	_ vfs.FileSizeHint = (*file)(nil)
	_ vfs.File         = (*journal)(nil)
)
