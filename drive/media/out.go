package media

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"alphaos/fs/gpt"
)

// Out is where a drive is written: an image file, which appears under its name when it is
// complete, or a drive of the host.
type Out struct {
	Image   string // name of the file
	Disk    *Disk  // used instead, if there is one
	Replace bool   // an image may be replaced

	Verify bool // all is read back and compared, from the medium itself where the host lets us

	// Progress begins a step in which total bytes are dealt with, and returns what is told
	// how many are done. It may be nil.
	Progress func(step string, total int64) func(done int64)
}

// Steps of writing, as Progress is told them.
const (
	Writing   = "Writing"
	Verifying = "Reading back"
)

// Check tells early what would keep Write from writing.
func (o Out) Check() error {
	if o.Disk != nil {
		if o.Disk.ReadOnly {
			return fmt.Errorf("%s is write-protected; if it has a switch, move that", o.Disk.Path)
		}
		return nil
	}
	if o.Image == "" {
		return errors.New("no image file was named")
	}
	if IsDevice(o.Image) {
		return fmt.Errorf("%s is a device that this system does not list as a drive; name a whole drive of alphaos drive list, or an image file", o.Image)
	}
	fi, err := os.Stat(o.Image)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s is not an ordinary file; name a file to be made", o.Image)
	case !o.Replace:
		return fmt.Errorf("%s exists; add --yes to replace it", o.Image)
	}
	return nil
}

// IsDevice tells whether a name is that of a device, be it there or not, and no image's.
func IsDevice(name string) bool {
	if strings.HasPrefix(name, `\\.\`) || strings.HasPrefix(name, "/dev/") && !strings.HasPrefix(name, "/dev/shm/") {
		return true
	}
	fi, err := os.Stat(name)
	return err == nil && fi.Mode()&iofs.ModeDevice != 0
}

// Name is the name of what is written.
func (o Out) Name() string {
	if o.Disk != nil {
		return o.Disk.Path
	}
	return o.Image
}

// Write lets write write a drive of size bytes, of which it touches about total. It returns
// how the drive was read back, to end a sentence with; "" if it was not.
func (o Out) Write(size, total int64, write func(*Writer) error) (verified string, err error) {
	if err := o.Check(); err != nil {
		return "", err
	}
	if o.Disk != nil {
		verified, err = o.device(size, total, write)
	} else {
		err = Atomically(o.Image, func(f *os.File) error {
			if err := f.Truncate(size); err != nil {
				return err
			}
			w := NewWriter(f, size, true)
			if verified, err = o.fill(w, total, write, f.ReadAt, func() string { return dropFile(f) }); err != nil {
				return err
			}
			return nil
		})
	}
	return verified, err
}

func (o Out) device(size, total int64, write func(*Writer) error) (verified string, err error) {
	if size > o.Disk.Size {
		return "", fmt.Errorf("%s has only %s", o.Disk.Path, FormatSize(o.Disk.Size))
	}
	f, direct, err := openDisk(*o.Disk)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	// From now on f is one drive. Before, it was what had that name.
	now, err := List()
	if err != nil {
		return "", err
	}
	if err := o.Disk.still(now); err != nil {
		return "", err
	}
	w := NewWriter(disk{f}, size, false)
	verified, err = o.fill(w, total, write, f.ReadAt, func() string { return uncacheDisk(f, direct) })
	if err == nil {
		rereadTable(f)
	}
	return verified, err
}

// uncacheDisk makes the next reads of a drive that was synced come from its medium, where the system
// lets us, and says how; direct tells that they do already.
func uncacheDisk(f *os.File, direct bool) string {
	if direct {
		return "from the drive itself, past the system's cache"
	}
	return dropDisk(f)
}

// disk is a drive whose Sync reaches into the drive's own cache where the system can.
type disk struct{ *os.File }

func (d disk) Sync() error { return syncDisk(d.File) }

type readAt func(p []byte, off int64) (int, error)

func (r readAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

func (o Out) fill(w *Writer, total int64, write func(*Writer) error, read readAt, drop func() string) (verified string, err error) {
	step := func(name string, total int64) func(int64) {
		if o.Progress == nil {
			return func(int64) {}
		}
		return o.Progress(name, total)
	}
	total = min((total+chunkSize-1)/chunkSize*chunkSize, w.size)
	told := step(Writing, total)
	w.Progress = func(done int64) { told(min(done, total)) }
	if err := write(w); err != nil {
		return "", err
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	if o.Disk != nil || o.Verify { // else Atomically does
		if err := w.Sync(); err != nil {
			return "", err
		}
	}
	told(total)
	if !o.Verify {
		return "", nil
	}
	how := drop()
	if err := w.Verify(read, step(Verifying, w.Written())); err != nil {
		return "", err
	}
	return how, nil
}

// Uncache makes the next reads of a file that was synced come from its medium, where the
// system lets us, and says how.
func Uncache(f *os.File) string { return dropFile(f) }

// syncFile makes a file durable. Tests change it.
var syncFile = (*os.File).Sync

// Atomically lets write make a file that replaces name when it is complete and durable, so that
// there is one of the two whenever the power goes away.
func Atomically(name string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = syncFile(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if dir, err := os.Open(filepath.Dir(name)); err == nil { // the new name, where the system can
		dir.Sync()
		dir.Close()
	}
	return nil
}

// Source is an image file or a drive that is only read.
type Source struct {
	*os.File
	Size      int64
	BlockSize int // in bytes, 512 or 4096
}

// OpenSource opens an image file or, if d is not nil, a drive for reading.
func OpenSource(name string, d *Disk) (*Source, error) {
	if d != nil {
		if len(d.Mounts) > 0 {
			return nil, fmt.Errorf("%s is mounted at %s; unmount it, so that nothing else changes it meanwhile", d.Path, strings.Join(d.Mounts, ", "))
		}
		f, err := openRead(*d)
		if err != nil {
			return nil, err
		}
		return &Source{f, d.Size, d.BlockSize}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not an ordinary file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Source{f, fi.Size(), gpt.BlockSize(f, fi.Size())}, nil
}

// Data returns where, from byte off on, the next piece is that is not a hole of the file; at
// the end of the source if there is none.
func (s *Source) Data(off int64) (start, end int64) {
	start, end, ok := nextData(s.File, off)
	if !ok {
		return off, s.Size
	}
	return min(start, s.Size), min(end, s.Size)
}

var _ io.ReaderAt = (*Source)(nil)
