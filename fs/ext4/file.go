package ext4

import (
	"errors"
	"fmt"
	"io"
)

// content is what a file holds.
type content struct {
	v    *FS
	n    *inode
	size int64
}

// content returns what a regular file holds.
func (v *FS) content(n *inode) (content, error) {
	switch {
	case n.mode&modeType != modeFile:
		return content{}, errors.New("neither a file nor a directory, but something that only Linux can use")
	case n.flags&flagEncrypt != 0:
		return content{}, errEncrypted
	case n.flags&flagInline != 0:
		return content{}, fmt.Errorf("its content is said to be in its inode (inline_data), which the volume has not: %s", remedy)
	}
	return content{v, n, n.size}, nil
}

// piece returns where on the volume the byte off of the content is, or a negative number for
// zeros, and how many bytes from there on, of most, are neighbours.
func (c content) piece(off, most int64) (at, n int64, err error) {
	block, in := uint64(off/c.v.block), off%c.v.block
	r, err := c.v.locate(c.n, block)
	if err != nil {
		return 0, 0, err
	}
	for int64(r.count)*c.v.block-in < most {
		next, err := c.v.locate(c.n, block+r.count)
		if err != nil || (next.first == 0) != (r.first == 0) || next.first != 0 && next.first != r.first+r.count {
			break // of an error whoever reads there will hear
		}
		r.count += next.count
	}
	if at = -1; r.first != 0 {
		at = int64(r.first)*c.v.block + in
	}
	return at, min(int64(r.count)*c.v.block-in, most), nil
}

// readAt is ReadAt without checks: all of p must lie within the content.
func (c content) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, n, err := c.piece(off+int64(done), int64(len(p)-done))
		if err != nil {
			return done, err
		}
		if at < 0 {
			clear(p[done:][:n])
		} else if err := c.v.readAt(at, p[done:][:n]); err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// Size returns the bytes in the content.
func (c content) Size() int64 { return c.size }

// Align returns the bytes in a block of the device.
func (c content) Align() int64 { return c.v.sector }

// ReadAt reads len(p) bytes at off as io.ReaderAt asks for.
func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= c.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.size-off
	if short {
		p = p[:c.size-off]
	}
	c.v.big.RLock()
	n, err := c.readAt(p, off)
	c.v.big.RUnlock()
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}
