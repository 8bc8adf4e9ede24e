package media

// A drive, or an image of one, of which single blocks are read and written, while all else on it stays.

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"alphaos/fs"
)

// InPlace is an image or a drive as a block device.
type InPlace struct {
	*fs.FileDevice
	f       *os.File
	disk    bool
	direct  bool // past the system's cache
	written bool // may be
}

// OpenInPlace opens an image or, if d is not nil, a drive, of which nothing may be mounted. It can be
// written only if write is set.
func OpenInPlace(name string, d *Disk, write bool) (*InPlace, error) {
	s, err := OpenSource(name, d)
	if err != nil {
		return nil, err
	}
	if !write {
		p := &InPlace{f: s.File, disk: d != nil}
		return p, p.open(name, p.f, s.Size, s.BlockSize)
	}
	s.Close()
	if d == nil {
		p := &InPlace{written: true}
		if p.f, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
			return nil, err
		}
		return p, p.open(name, p.f, s.Size, s.BlockSize)
	}
	if d.ReadOnly {
		return nil, fmt.Errorf("%s is write-protected; if it has a switch, move that", d.Path)
	}
	p := &InPlace{disk: true, written: true}
	if p.f, p.direct, err = openDisk(*d); err != nil {
		return nil, err
	}
	// From now on it is one drive. Before, it was what had that name.
	now, err := List()
	if err == nil {
		err = d.still(now)
	}
	if err != nil {
		p.f.Close()
		return nil, err
	}
	return p, p.open(name, &whole{disk: disk{p.f}}, d.Size, d.BlockSize)
}

func (p *InPlace) open(name string, f fs.File, size int64, block int) (err error) {
	if p.FileDevice, err = fs.NewFileDevice(f, size, block); err != nil {
		p.f.Close()
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Uncache makes the next reads of what was flushed come from the medium itself, where the system lets us,
// and says how.
func (p *InPlace) Uncache() string {
	if p.disk {
		return uncacheDisk(p.f, p.direct)
	}
	return dropFile(p.f)
}

// Discard tells the medium that it need not keep any of its content; an image gets a hole. The error says that it can't be told.
func (p *InPlace) Discard() error {
	return discard(p.f, int64(p.Blocks())*int64(p.BlockSize()), p.disk)
}

// Close closes the drive; if it was written, the system looks at its partitions anew.
func (p *InPlace) Close() error {
	if p.disk && p.written {
		rereadTable(p.f)
	}
	return p.f.Close()
}

// whole is a drive that takes requests for whole blocks, and perhaps only from aligned memory.
type whole struct {
	disk
	mu     sync.Mutex
	bounce []byte
}

func (w *whole) ReadAt(p []byte, off int64) (int, error) {
	return w.pieces(p, func(b []byte, done int) error {
		err := readFull(w.disk, b, off+int64(done))
		copy(p[done:], b)
		return err
	})
}

func (w *whole) WriteAt(p []byte, off int64) (int, error) {
	return w.pieces(p, func(b []byte, done int) error {
		copy(b, p[done:])
		_, err := w.disk.WriteAt(b, off+int64(done))
		return err
	})
}

// pieces calls f for the pieces of p, of which so much is done, with aligned memory of their length:
// their own, if that is.
func (w *whole) pieces(p []byte, f func(b []byte, done int) error) (done int, err error) {
	if len(p) == 0 || uintptr(unsafe.Pointer(&p[0]))%alignment == 0 {
		if err := f(p, 0); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bounce == nil {
		w.bounce = aligned()
	}
	for done < len(p) {
		n := min(len(p)-done, len(w.bounce))
		if err := f(w.bounce[:n], done); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}
