package ext4

// Files and directories made, renamed and removed. Each change is one transaction: it is there whole, or not at all.

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"strings"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

var errNotEmpty = errors.New("the directory is not empty")

const (
	maxName    = 255
	maxLinks16 = 65000 // beyond these a directory counts as having one

	flagImmutable = 0x10
	flagAppend    = 0x20
)

// at runs a change of a path.
func (v *FS) at(op, name string, f func() error) error {
	return pathError(op, name, v.change(f))
}

// pathError gives err the path, if it has none.
func pathError(op, name string, err error) error {
	var perr *iofs.PathError
	if err == nil || errors.As(err, &perr) {
		return err
	}
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

// parent returns the directory of a path, and the name in it.
func (v *FS) parent(op, name string) (*inode, string, error) {
	if !iofs.ValidPath(name) || name == "." {
		return nil, "", iofs.ErrInvalid
	}
	base := path.Base(name)
	if len(base) > maxName || strings.ContainsRune(base, 0) {
		return nil, "", fmt.Errorf("a name has at most %d bytes: %w", maxName, iofs.ErrInvalid)
	}
	d, err := v.resolve(op, path.Dir(name), true)
	if err != nil {
		return nil, "", err
	}
	if !d.isDir() {
		return nil, "", readfs.ErrNotDir
	}
	return d, base, v.mayChange(d)
}

// mayChange returns nil if an inode may be changed.
func (v *FS) mayChange(n *inode) error {
	switch {
	case n.flags&(flagImmutable|flagAppend) != 0:
		return fmt.Errorf("it is marked so that it can't be changed (chattr): %w", iofs.ErrPermission)
	case n.flags&flagEncrypt != 0:
		return errEncrypted
	case n.flags&(flagInline|0x4000) != 0: // its content lies in its inode, or in the journal
		return errors.New("it is kept in a way that AlphaOS only reads")
	}
	return nil
}

// child looks a name up in a directory; nil if it is not there.
func (v *FS) child(d *inode, name string) (*inode, entry, error) {
	e, err := v.find(d, name)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, e, nil
	}
	if err != nil {
		return nil, e, err
	}
	n, err := v.enter(d, e)
	return n, e, err
}

// inodeTimes are where an inode has its times, and the rest of them.
var inodeTimes = map[string][2]int{"read": {0x8, 0x8C}, "changed": {0xC, 0x84}, "modified": {0x10, 0x88}, "made": {0x90, 0x94}}

func setTime(raw []byte, which string, t time.Time) {
	le := binary.LittleEndian
	at := inodeTimes[which]
	extra := 0
	if len(raw) > 128 {
		extra = 128 + int(le.Uint16(raw[0x80:]))
	}
	if at[0] < 128 || extra >= at[0]+4 {
		le.PutUint32(raw[at[0]:], uint32(t.Unix()))
	}
	if extra >= at[1]+4 {
		le.PutUint32(raw[at[1]:], uint32(t.Nanosecond())<<2|uint32((t.Unix()-int64(int32(t.Unix())))>>32)&3)
	}
}

// create makes an inode without content, which nothing leads to yet.
func (v *FS) create(d *inode, mode uint16, now time.Time) (uint32, error) {
	number, raw, err := v.newInode(d.number, mode&modeType == modeDir)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	above, err := v.rawInode(d.number)
	if err != nil {
		return 0, err
	}
	le.PutUint16(raw[0:], mode)
	copy(raw[0x2:0x4], above[0x2:0x4]) // whose the directory is
	copy(raw[0x18:0x1A], above[0x18:0x1A])
	copy(raw[0x78:0x7C], above[0x78:0x7C])
	if len(raw) > 128 {
		le.PutUint16(raw[0x80:], uint16(min(32, len(raw)-128)))
	}
	for which := range inodeTimes {
		setTime(raw, which, now)
	}
	le.PutUint16(raw[0x1A:], 1)
	if mode&modeType == modeDir {
		le.PutUint16(raw[0x1A:], 2) // its own . is one
	}
	le.PutUint32(raw[0x20:], flagExtents)
	if err := v.setExtents(number, raw, nil, nil, nil); err != nil {
		return 0, err
	}
	v.sealInode(number, raw)
	return number, nil
}

// editInode changes an inode.
func (v *FS) editInode(number uint32, f func(raw []byte) error) error {
	if _, err := v.readInode(number); err != nil {
		return err
	}
	raw, err := v.rawInode(number)
	if err != nil {
		return err
	}
	if err := f(raw); err != nil {
		return err
	}
	v.sealInode(number, raw)
	return nil
}

// link changes how many names an inode has, or a directory directories.
func (v *FS) link(number uint32, by int) error {
	return v.editInode(number, func(raw []byte) error {
		le := binary.LittleEndian
		n := int(le.Uint16(raw[0x1A:]))
		dir := le.Uint16(raw)&modeType == modeDir
		switch {
		case dir && n == 1:
			return nil // too many to be counted
		case dir && n+by >= maxLinks16:
			n = 1
		default:
			n += by
		}
		if n < 0 || n > 65535 {
			return fmt.Errorf("its count of names makes no sense: %s", remedy)
		}
		le.PutUint16(raw[0x1A:], uint16(n))
		setTime(raw, "changed", v.Clock())
		return nil
	})
}

// Mkdir makes an empty directory in one that there is. The error wraps io/fs.ErrExist when
// there is something of that name.
func (v *FS) Mkdir(name string) error {
	return v.at("mkdir", name, func() error {
		if name == "." {
			return iofs.ErrExist
		}
		d, base, err := v.parent("mkdir", name)
		if err != nil {
			return err
		}
		if n, _, err := v.child(d, base); err != nil {
			return err
		} else if n != nil {
			return iofs.ErrExist
		}
		now := v.Clock()
		number, err := v.create(d, modeDir|0o755, now)
		if err != nil {
			return err
		}
		n, err := v.readInode(number)
		if err != nil {
			return err
		}
		b, block, err := v.grow(n)
		if err != nil {
			return err
		}
		end := v.dirEnd()
		putEntry(b, 0, 12, number, kindDir, ".")
		putEntry(b, 12, end-12, d.number, kindDir, "..")
		v.sealDir(n, block, b)
		if err := v.insert(d.number, base, number, kindDir); err != nil {
			return err
		}
		return v.link(d.number, 1)
	})
}

// Remove removes a file, or a directory that is empty.
func (v *FS) Remove(name string) error {
	return v.at("remove", name, func() error {
		d, base, err := v.parent("remove", name)
		if err != nil {
			return err
		}
		n, e, err := v.child(d, base)
		if err != nil {
			return err
		}
		if n == nil {
			return iofs.ErrNotExist
		}
		if n.isDir() {
			if err := v.mayEmpty(n); err != nil {
				return err
			}
		}
		if err := v.mayLose(n); err != nil {
			return err
		}
		if err := v.take(d, e); err != nil {
			return err
		}
		if n.isDir() {
			if err := v.link(d.number, -1); err != nil {
				return err
			}
		}
		return v.drop(n)
	})
}

// mayLose returns nil if a name may be taken from an inode.
func (v *FS) mayLose(n *inode) error {
	switch {
	case v.writers[n.number] != nil:
		return fs.ErrBusy
	case v.pins[n.number] > 0:
		return fs.ErrPinned
	}
	return v.mayChange(n)
}

func (v *FS) mayEmpty(n *inode) error {
	list, err := v.list(n)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return errNotEmpty
	}
	for _, w := range v.writers {
		if w.parent == n.number {
			return fmt.Errorf("a file in it is open for writing; close that first: %w", fs.ErrBusy)
		}
	}
	return nil
}

// drop takes a name from an inode, and all it has when that was the last.
func (v *FS) drop(n *inode) error {
	if !n.isDir() && n.links > 1 {
		return v.link(n.number, -1)
	}
	return v.erase(n)
}

// erase gives back an inode and its blocks.
func (v *FS) erase(n *inode) error {
	if err := v.editInode(n.number, func(raw []byte) error {
		le := binary.LittleEndian
		if le.Uint32(raw[0x68:]) != 0 || le.Uint16(raw[0x76:]) != 0 {
			return errors.New("it has extended attributes in a block of their own, which AlphaOS can't remove; remove it on a computer with Linux")
		}
		holds := n.mode&modeType == modeFile || n.isDir() || n.mode&modeType == modeLink && n.flags&flagExtents != 0
		if holds {
			if err := v.cut(n, raw, 0); err != nil {
				return err
			}
		}
		le.PutUint16(raw[0x1A:], 0)
		le.PutUint32(raw[0x14:], uint32(v.Clock().Unix()))
		return nil
	}); err != nil {
		return err
	}
	return v.freeInode(n.number, n.isDir())
}

// cut gives back the blocks of a file from its block first on, and sets its size if that is 0.
func (v *FS) cut(n *inode, raw []byte, first uint64) error {
	list, nodes, err := v.extentsOf(n)
	if err != nil {
		return err
	}
	var keep []extent
	for _, e := range list {
		stay := min(e.count, max(first, e.at)-e.at)
		if stay > 0 {
			keep = append(keep, extent{e.at, stay, e.first, e.unwritten})
		}
		if stay < e.count {
			if err := v.free(run{e.first + stay, e.count - stay}, n.isDir() || n.mode&modeType == modeLink); err != nil {
				return err
			}
		}
	}
	if first == 0 {
		setSize(raw, 0)
	}
	return v.setExtents(n.number, raw, list, keep, nodes)
}

func setSize(raw []byte, size int64) {
	binary.LittleEndian.PutUint32(raw[4:], uint32(size))
	binary.LittleEndian.PutUint32(raw[0x6C:], uint32(size>>32))
}

// Rename gives a file or directory another name, which may be in another directory. A file
// takes the place of one that has that name already.
func (v *FS) Rename(from, to string) error {
	return v.at("rename", from, func() error {
		d, base, err := v.parent("rename", from)
		if err != nil {
			return err
		}
		n, e, err := v.child(d, base)
		if err != nil {
			return err
		}
		if n == nil {
			return iofs.ErrNotExist
		}
		if err := v.mayChange(n); err != nil {
			return err
		}
		if v.writers[n.number] != nil {
			return fs.ErrBusy
		}
		d2, base2, err := v.parent("rename", to)
		if err != nil {
			return err
		}
		if n.isDir() {
			if inside, err := v.within(d2, n.number); err != nil {
				return err
			} else if inside {
				return errors.New("a directory cannot be moved into itself")
			}
		}
		old, e2, err := v.child(d2, base2)
		if err != nil {
			return err
		}
		switch {
		case old != nil && old.number == n.number:
			if d.number == d2.number && base == base2 {
				return nil
			}
			return fmt.Errorf("%s is the same file: %w", to, iofs.ErrExist)
		case old != nil && (old.isDir() || n.isDir()):
			return fmt.Errorf("%s: %w", to, iofs.ErrExist)
		case old != nil:
			if err := v.mayLose(old); err != nil {
				return err
			}
			if err := v.point(d2, e2, n); err != nil {
				return err
			}
			if err := v.drop(old); err != nil {
				return err
			}
		default:
			if err := v.insert(d2.number, base2, n.number, kindOf(n.mode)); err != nil {
				return err
			}
		}
		// The insertion may have moved the entry.
		if d, err = v.readInode(d.number); err != nil {
			return err
		}
		v.newWays()
		if e, err = v.find(d, base); err != nil {
			return err
		}
		if err := v.take(d, e); err != nil {
			return err
		}
		if n.isDir() && d.number != d2.number {
			if err := v.point(n, entry{name: "..", position: position{n.number, 12}}, d2); err != nil {
				return err
			}
			if err := v.link(d.number, -1); err != nil {
				return err
			}
			if err := v.link(d2.number, 1); err != nil {
				return err
			}
		}
		return v.editInode(n.number, func(raw []byte) error {
			setTime(raw, "changed", v.Clock())
			return nil
		})
	})
}

// newWays forgets by which ways directories and their blocks were reached, since these change.
func (v *FS) newWays() {
	v.mu.Lock()
	clear(v.origin)
	clear(v.owner)
	v.mu.Unlock()
}

// within tells whether a directory is another one, or below it.
func (v *FS) within(d *inode, number uint32) (bool, error) {
	for range 1 << 16 {
		if d.number == number {
			return true, nil
		}
		if d.number == rootInode {
			return false, nil
		}
		b, err := v.dirBlock(d, 0)
		if err != nil {
			return false, err
		}
		if d, err = v.readInode(binary.LittleEndian.Uint32(b[12:])); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("directories lie in a circle: %s", remedy)
}

// Chtimes sets when a file or directory was last changed.
func (v *FS) Chtimes(name string, modified time.Time) error {
	return v.at("chtimes", name, func() error {
		n, err := v.resolve("chtimes", name, true)
		if err != nil {
			return err
		}
		if err := v.mayChange(n); err != nil {
			return err
		}
		return v.editInode(n.number, func(raw []byte) error {
			setTime(raw, "modified", modified)
			setTime(raw, "changed", v.Clock())
			return nil
		})
	})
}
