package fat

import (
	"errors"
	"io"
	"sort"
)

// extent is the content of a file: size bytes in runs of clusters.
type extent struct {
	v    *FS
	runs []run
	size int64
}

// piece returns where on the volume the byte off of the content is and how
// many bytes from there on are neighbours.
func (x extent) piece(off int64) (at, n int64) {
	c := uint32(off / x.v.cluster)
	i := sort.Search(len(x.runs), func(i int) bool { return x.runs[i].at > c }) - 1
	r := x.runs[i]
	at = x.v.dataAt + int64(r.first-2)*x.v.cluster + off - int64(r.at)*x.v.cluster
	end := min((int64(r.at)+int64(r.count))*x.v.cluster, x.size)
	return at, end - off
}

// readAt is ReadAt without checks: all of p must lie within the content.
func (x extent) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, n := x.piece(off + int64(done))
		n = min(n, int64(len(p)-done))
		if err := x.v.readAt(at, p[done:][:n]); err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// Size returns the bytes in the content.
func (x extent) Size() int64 { return x.size }

// Align returns the bytes in a block of the device.
func (x extent) Align() int64 { return x.v.block }

// ReadAt reads len(p) bytes at off as io.ReaderAt asks for.
func (x extent) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= x.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > x.size-off
	if short {
		p = p[:x.size-off]
	}
	n, err := x.readAt(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// readAt reads bytes of the volume.
func (v *FS) readAt(off int64, p []byte) error { return v.vol.Read(p, off) }

// writeAt writes bytes of the volume.
func (v *FS) writeAt(off int64, p []byte) error { return v.vol.Write(p, off) }
