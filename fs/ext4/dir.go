package ext4

// Directories: blocks of entries, each an inode's number and a name.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxEntries = 1 << 20 // of a directory, when all are to be listed
	tailSize   = 12      // an entry without a name that holds the block's checksum
)

// keepOwners is how many directories, and blocks of these, are known at most. Tests change it.
var keepOwners = 1 << 20

func tooManyDirs() error {
	return fmt.Errorf("the volume's directories take more than %d blocks, which is not supported", keepOwners)
}

var errIndex = errors.New("the directory's index is damaged")

// entry is one of a directory.
type entry struct {
	name  string
	inode uint32
	kind  byte // what it is, or 0 if only the inode says
	position
}

// dirBlock reads a block of a directory and checks to which directory it belongs, and its
// checksum.
func (v *FS) dirBlock(dir *inode, block uint32) ([]byte, error) {
	at := int64(block) * v.block
	if at >= dir.size {
		return nil, fmt.Errorf("the directory has no block %d: %s", block, remedy)
	}
	r, err := v.locate(dir, uint64(block))
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if r.first == 0 {
		return nil, fmt.Errorf("block %d of the directory is missing: %s", block, remedy)
	}
	v.mu.Lock()
	owner, known := v.owner[r.first]
	full := !known && len(v.owner) >= keepOwners
	if !known && !full {
		owner = position{dir.number, at}
		v.owner[r.first] = owner
	}
	v.mu.Unlock()
	if full {
		return nil, tooManyDirs()
	}
	if owner != (position{dir.number, at}) {
		return nil, fmt.Errorf("a block of the directory is used twice: %s", remedy)
	}
	b, err := v.metadata(r.first, 0, v.block)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if v.is(roMetadataSum) && !v.dirAgrees(dir, block, b) {
		return nil, fmt.Errorf("block %d of the directory does not match its checksum: %s", block, remedy)
	}
	return b, nil
}

// indexed tells whether a directory has a hash tree.
func (v *FS) indexed(dir *inode) bool {
	return dir.flags&flagIndex != 0 && v.compat&compatIndex != 0
}

// dirAgrees tells whether a block of a directory matches its checksum.
func (v *FS) dirAgrees(dir *inode, block uint32, b []byte) bool {
	le := binary.LittleEndian
	if !v.indexed(dir) || block > 0 && (le.Uint32(b) != 0 || recordLength(b) != len(b)) {
		tail := b[len(b)-tailSize:]
		return le.Uint32(tail) == 0 && le.Uint16(tail[4:]) == tailSize && le.Uint16(tail[6:]) == 0xDE00 &&
			crc32c(dir.seed, b[:len(b)-tailSize]) == le.Uint32(tail[8:])
	}
	// A node of the hash tree: its entries, and behind the room for them the checksum.
	at := 8
	if block == 0 {
		at = 0x20
	}
	end := at + 8*int(le.Uint16(b[at+2:]))
	tail := at + 8*int(le.Uint16(b[at:]))
	if end > tail || tail+8 > len(b) {
		return false
	}
	crc := crc32c(dir.seed, b[:end])
	crc = crc32c(crc, b[tail:][:4])
	return crc32cNumber(crc, 0) == le.Uint32(b[tail+4:])
}

// recordLength returns how long the entry at the beginning of b is. What 16 bits cannot say,
// in blocks of 64 KiB, is in the two lowest.
func recordLength(b []byte) int {
	n := int(binary.LittleEndian.Uint16(b[4:]))
	if n == 0 || n == 65535 {
		return maxBlock
	}
	return n&^3 | n&3<<16
}

// entries calls f for the entries of a block, until that returns false: the inode, what it is,
// the name and where the entry begins. A name may be anything.
func (v *FS) entries(b []byte, f func(inode uint32, kind byte, name []byte, at int) bool) error {
	for at := 0; at < len(b); {
		if len(b)-at < 8 {
			return fmt.Errorf("an entry of the directory reaches beyond its block: %s", remedy)
		}
		e := b[at:]
		n, name, kind := recordLength(e), int(e[6]), e[7]
		if v.incompat&incompatType == 0 {
			kind = 0 // the byte is the length's upper half
		}
		if n < 8+name || n < 12 || n > len(e) || n%4 != 0 {
			return fmt.Errorf("an entry of the directory has no sensible length: %s", remedy)
		}
		if number := binary.LittleEndian.Uint32(e); number != 0 && name > 0 && !f(number, kind, e[8:8+name], at) {
			return nil
		}
		at += n
	}
	return nil
}

// dirBlocks returns how many blocks a directory has.
func (v *FS) dirBlocks(dir *inode) (uint32, error) {
	switch n := uint64((dir.size + v.block - 1) / v.block); {
	case dir.flags&flagEncrypt != 0:
		return 0, errEncrypted
	case dir.flags&flagInline != 0:
		return 0, fmt.Errorf("its content is said to be in its inode (inline_data), which the volume has not: %s", remedy)
	case n == 0 || n > v.blocks || n >= 1<<32:
		return 0, fmt.Errorf("the directory is said to have %d bytes: %s", dir.size, remedy)
	default:
		return uint32(n), nil
	}
}

// shown returns a name as a path can have it.
func shown(name []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToValidUTF8(string(name), "\uFFFD"), "/", "\uFFFD"), "\x00", "\uFFFD")
}

// find looks a name up in a directory.
func (v *FS) find(dir *inode, name string) (entry, error) {
	if _, err := v.dirBlocks(dir); err != nil {
		return entry{}, err
	}
	if v.indexed(dir) && !strings.ContainsRune(name, utf8.RuneError) {
		if e, err := v.findIndexed(dir, []byte(name)); err != errIndex {
			return e, err
		}
	}
	return v.findLinear(dir, name)
}

// findLinear looks a name up in all blocks of a directory, and then one that is only shown so.
func (v *FS) findLinear(dir *inode, name string) (found entry, err error) {
	blocks, err := v.dirBlocks(dir)
	if err != nil {
		return found, err
	}
	odd := strings.ContainsRune(name, utf8.RuneError)
	for block := range blocks {
		b, err := v.dirBlock(dir, block)
		if err != nil {
			return entry{}, err
		}
		e, err := v.findIn(dir, block, b, []byte(name))
		if err != iofs.ErrNotExist {
			return e, err
		}
		if odd && found.inode == 0 {
			v.entries(b, func(inode uint32, kind byte, raw []byte, at int) bool {
				if shown(raw) == name {
					found = entry{name, inode, kind, position{dir.number, int64(block)*v.block + int64(at)}}
				}
				return found.inode == 0
			})
		}
	}
	if found.inode == 0 {
		return found, iofs.ErrNotExist
	}
	return found, nil
}

// findIn looks a name up in a block of a directory.
func (v *FS) findIn(dir *inode, block uint32, b []byte, name []byte) (e entry, err error) {
	err = v.entries(b, func(inode uint32, kind byte, has []byte, at int) bool {
		if bytes.Equal(has, name) {
			e = entry{string(name), inode, kind, position{dir.number, int64(block)*v.block + int64(at)}}
		}
		return e.inode == 0
	})
	if err == nil && e.inode == 0 {
		err = iofs.ErrNotExist
	}
	return e, err
}

// enter reads the inode that an entry of a directory leads to.
func (v *FS) enter(dir *inode, e entry) (*inode, error) {
	if e.inode < v.firstInode {
		return nil, fmt.Errorf("the directory's entry leads to the file system's own inode %d: %s", e.inode, remedy)
	}
	n, err := v.readInode(e.inode)
	if err != nil {
		return nil, err
	}
	if n.links == 0 || n.mode == 0 {
		return nil, fmt.Errorf("the directory's entry leads to a file that is deleted: %s", remedy)
	}
	if n.isDir() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if o, ok := v.origin[n.number]; ok && o != e.position {
			return nil, fmt.Errorf("two entries lead to the same directory: %s", remedy)
		} else if !ok && len(v.origin) >= keepOwners {
			return nil, tooManyDirs()
		}
		v.origin[n.number] = e.position
	}
	return n, nil
}

// list lists a directory, sorted by name. Of entries with the same name only the first counts,
// since no path leads to the others.
func (v *FS) list(dir *inode) ([]iofs.DirEntry, error) {
	blocks, err := v.dirBlocks(dir)
	if err != nil {
		return nil, err
	}
	var list []iofs.DirEntry
	for block := range blocks {
		b, err := v.dirBlock(dir, block)
		if err != nil {
			return nil, err
		}
		err = v.entries(b, func(inode uint32, kind byte, name []byte, at int) bool {
			if s := string(name); s != "." && s != ".." {
				list = append(list, dirEntry{v, dir, entry{shown(name), inode, kind, position{dir.number, int64(block)*v.block + int64(at)}}})
			}
			return len(list) <= maxEntries
		})
		if err != nil {
			return nil, err
		}
		if len(list) > maxEntries {
			return nil, fmt.Errorf("the directory has more than %d entries, too many to list; divide it into several", maxEntries)
		}
	}
	slices.SortStableFunc(list, func(a, b iofs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(list, func(a, b iofs.DirEntry) bool { return a.Name() == b.Name() }), nil
}

// dirEntry is an entry of a directory as io/fs wants it.
type dirEntry struct {
	v   *FS
	dir *inode
	entry
}

func (d dirEntry) Name() string   { return d.name }
func (d dirEntry) IsDir() bool    { return d.Type().IsDir() }
func (d dirEntry) String() string { return iofs.FormatDirEntry(d) }

// Type returns what kind of file it is. Where the directory does not say, the inode does.
func (d dirEntry) Type() iofs.FileMode {
	kinds := []uint16{1: modeFile, modeDir, modeChar, modeBlock, modeFIFO, modeSocket, modeLink}
	if d.kind > 0 && int(d.kind) < len(kinds) {
		return (&inode{mode: kinds[d.kind]}).fileMode().Type()
	}
	i, err := d.Info()
	if err != nil {
		return iofs.ModeIrregular
	}
	return i.Mode().Type()
}

func (d dirEntry) Info() (iofs.FileInfo, error) {
	d.v.big.RLock()
	defer d.v.big.RUnlock()
	n, err := d.v.enter(d.dir, d.entry)
	if err != nil {
		return nil, &iofs.PathError{Op: "stat", Path: d.name, Err: err}
	}
	return info{d.name, n}, nil
}
