// Package ext4 reads ext2, ext3 and ext4 volumes, and writes the latter (Linux kernel, Documentation/filesystems/ext4;
// the names of fields are those of fs/ext4/ext4.h without their prefixes).
//
// A mounted volume is an io/fs.FS. Its files also are io.ReaderAt and io.Seeker, and made for
// reading models: where a byte lies is looked up in the file's extent tree or block map, of
// which only the blocks on the way are read, so that a random read needs no walk from the
// start; neighbouring blocks are read straight into the caller's buffer in requests of up to
// 8 MiB, and only an unaligned first and last block of the device is bounced.
//
// Mounting writes nothing. When a volume was not unmounted cleanly, the blocks that wait in its
// journal are not copied to their places: journal.go makes a list of them, and whoever reads
// such a block gets the journal's copy. All reads but those of the journal itself go through
// that list (volume.go), so that everything above sees the volume as it would be after the
// journal was replayed.
//
// The first change copies these blocks to their places, and from then on log.go writes changes to the journal
// before they are made: room.go takes blocks and inodes, but none of those
// in zones.go, tree.go builds the extent trees of files, change.go and
// entries.go change directories, writer.go the content of files, orphan.go ends what a
// cut has left half done; inplace.go overwrites preallocated files where they lie, past all that. check.go looks for damage, format.go makes a fresh volume. A volume with features of which not all is known is only read.
//
// The image may be hostile. Nothing read from it is used before it is checked against the
// volume: first its checksum, where the volume has any, then each number in it. Memory is
// bounded whatever it says. Each directory is reached by one path only, and each block belongs
// to one directory, so that a walk ends.
package ext4

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// ErrNotExt4 is returned, wrapped, by Mount for a volume that holds something else, or nothing.
var ErrNotExt4 = errors.New("not an ext2, ext3 or ext4 volume")

const remedy = "the volume is damaged; check it with e2fsck"

const (
	maxLinks  = 40   // symbolic links on the way to a file, as Linux has it
	maxTarget = 4095 // bytes in a symbolic link's target, likewise
)

// FS is a mounted volume. Its methods may be called concurrently.
//
// Names are matched exactly. One that is not UTF-8, which io/fs has no way to ask for, is
// listed, and found, with U+FFFD in place of what is not.
type FS struct {
	// Clock tells the time that files get when they are changed.
	Clock func() time.Time

	dev    fs.BlockDevice
	vol    *readfs.Bytes
	sector int64 // bytes in a block of the device
	super

	// What changes the volume holds big, and what reads it holds it for reading.
	big      sync.RWMutex
	replayed []replayed // by block
	waiting  bool       // something may wait in the journal, which was not begun anew since
	ready    bool       // files may be overwritten in place
	inUse    bool       // the volume is marked as such, and log is there
	marked   bool       // what others left in the journal's ring can't be taken for the end of it any more
	soiled   []uint64   // a bit for each block of the ring that may hold something; nil: all may
	broken   error      // a change that failed half-way
	loaded   int        // how often the volume was read anew
	tx       *tx        // the one under way
	log      *log
	logged   map[uint64][]byte // blocks that are committed, and not in their places
	bitmaps  map[uint64][]byte // by group: blocks that can't be had
	writers  map[uint32]*Writer
	pins     map[uint32]int // files that must stay where they are
	slots    []orphanSlot   // what the orphan file says
	disorder error          // why that can't be told
	tried    bool           // slots are what can't be done of it

	mu     sync.Mutex
	notes  []string
	chunks map[int64][]byte    // of metadata, by where they lie
	origin map[uint32]position // directory, by inode: its one way in
	owner  map[uint64]position // block of a directory: what it is a block of
	system *system             // the file system's own blocks, when they were asked for
}

// position is a byte in a directory.
type position struct {
	dir uint32 // inode
	at  int64
}

// Mount reads the superblock of the volume dev, or one of its backups when that is damaged,
// the journal if it has to be replayed, and the root directory's inode.
func Mount(dev fs.BlockDevice) (*FS, error) {
	vol, err := readfs.New(dev)
	if err != nil {
		return nil, err
	}
	v := &FS{
		Clock:   time.Now,
		dev:     dev,
		writers: map[uint32]*Writer{},
		pins:    map[uint32]int{},

		vol:    vol,
		sector: int64(dev.BlockSize()),
		chunks: map[int64][]byte{},
		origin: map[uint32]position{},
		owner:  map[uint64]position{},
	}
	if err := v.load(); err != nil {
		return nil, err
	}
	return v, nil
}

// ReadLabel returns the label that the superblock of the volume dev has, or one of its backups. Unlike Mount it reads no journal, which can be long and
// is no business of who only looks for a volume of his own; a label that waits there is not found.
func ReadLabel(dev fs.BlockDevice) (string, error) {
	vol, err := readfs.New(dev)
	if err != nil {
		return "", err
	}
	v := &FS{dev: dev, vol: vol, chunks: map[int64][]byte{}, origin: map[uint32]position{}, owner: map[uint64]position{}}
	err = v.readSuper()
	return v.label, err
}

// load reads what Mount says, and forgets what was known.
func (v *FS) load() (err error) {
	was := v.super
	defer func() {
		if err != nil {
			v.super, v.waiting = was, true
		}
	}()
	v.super, v.replayed, v.waiting, v.ready = super{}, nil, false, false
	v.inUse, v.marked, v.soiled, v.broken, v.log, v.logged, v.bitmaps = false, false, nil, nil, nil, nil, nil
	v.loaded++
	v.mu.Lock()
	v.notes, v.system = nil, nil
	clear(v.chunks)
	clear(v.origin)
	clear(v.owner)
	v.mu.Unlock()
	if err := v.readSuper(); err != nil {
		return err
	}
	if err := v.replay(); err != nil {
		return fmt.Errorf("the volume was not unmounted cleanly, and its journal cannot be read: %w", err)
	}
	v.readOrphans()
	if _, err := v.root(); err != nil {
		return fmt.Errorf("root directory: %w", err)
	}
	return nil
}

// Reread forgets what is known of the volume: the medium was away, and somebody may have changed it. Files that are open in place must
// be where they were, as whatever changes a volume leaves those that it has no business with; of files that are being written nothing is committed.
func (v *FS) Reread() error {
	v.big.Lock()
	defer v.big.Unlock()
	err := v.load()
	if err != nil {
		v.broken = err
	}
	return err
}

// Dirty tells whether the volume was not put in order when it was last used, or a change has failed half-way since.
func (v *FS) Dirty() bool {
	v.big.RLock()
	defer v.big.RUnlock()
	return v.waiting || v.broken != nil
}

// Size returns the bytes of the volume.
func (v *FS) Size() int64 {
	v.big.RLock()
	defer v.big.RUnlock()
	return int64(v.blocks) * v.block
}

// ClusterSize returns the bytes in a block, of which each file takes whole ones.
func (v *FS) ClusterSize() int64 { return v.block }

// Label returns the volume's label, "" if it has none.
func (v *FS) Label() string { return v.label }

// Notes tells, in sentences, what is odd about the volume and yet no reason not to use it.
func (v *FS) Notes() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.notes)
}

// note adds a sentence to the notes, once.
func (v *FS) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.notes, s) {
		v.notes = append(v.notes, s)
	}
}

// Open opens a file or directory for reading. Files implement io.ReaderAt and io.Seeker,
// directories io/fs.ReadDirFile. Symbolic links are followed within the volume.
func (v *FS) Open(name string) (iofs.File, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (iofs.File, error) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
	}
	info := info{path.Base(name), n}
	if n.isDir() {
		list, err := v.list(n)
		if err != nil {
			return fail(err)
		}
		return readfs.Dir(name, info, list), nil
	}
	c, err := v.content(n)
	if err != nil {
		return fail(err)
	}
	return readfs.File(name, info, c, nil), nil
}

// ReadDir lists a directory, sorted by name.
func (v *FS) ReadDir(name string) ([]iofs.DirEntry, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, &iofs.PathError{Op: "readdir", Path: name, Err: readfs.ErrNotDir}
	}
	list, err := v.list(n)
	if err != nil {
		return nil, &iofs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

// Stat describes a file or directory without opening it.
func (v *FS) Stat(name string) (iofs.FileInfo, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("stat", name, true)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), n}, nil
}

// Lstat is Stat, but it describes a symbolic link and not what that leads to.
func (v *FS) Lstat(name string) (iofs.FileInfo, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), n}, nil
}

// ReadLink returns the target of a symbolic link.
func (v *FS) ReadLink(name string) (string, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("readlink", name, false)
	if err != nil {
		return "", err
	}
	target, err := v.target(n)
	if err != nil {
		return "", &iofs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return target, nil
}

// ReadFile returns the content of a file, read in as few requests as its place on the volume
// allows. A file may be larger than any memory, so there is a limit.
func (v *FS) ReadFile(name string) ([]byte, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("read", name, true)
	if err != nil {
		return nil, err
	}
	fail := func(err error) ([]byte, error) {
		return nil, &iofs.PathError{Op: "read", Path: name, Err: err}
	}
	if n.isDir() {
		return fail(readfs.ErrIsDir)
	}
	c, err := v.content(n)
	if err != nil {
		return fail(err)
	}
	if err := readfs.CheckWhole(c.size); err != nil {
		return fail(err)
	}
	p := make([]byte, c.size)
	if _, err := c.readAt(p, 0); err != nil {
		return fail(err)
	}
	return p, nil
}

// resolve finds a file or directory by its path, which follows symbolic links: a target that
// begins with a slash is looked for from the volume's root on, and nothing is above that.
func (v *FS) resolve(op, name string, followLast bool) (*inode, error) {
	fail := func(err error) (*inode, error) {
		return nil, &iofs.PathError{Op: op, Path: name, Err: err}
	}
	if !iofs.ValidPath(name) {
		return fail(iofs.ErrInvalid)
	}
	root, err := v.root()
	if err != nil {
		return fail(err)
	}
	way := []*inode{root} // from the root on
	parts := strings.Split(name, "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		at := way[len(way)-1]
		if part == "" || part == "." {
			continue
		}
		if !at.isDir() {
			return fail(iofs.ErrNotExist)
		}
		if part == ".." {
			way = way[:max(1, len(way)-1)]
			continue
		}
		e, err := v.find(at, part)
		if err != nil {
			return fail(err)
		}
		n, err := v.enter(at, e)
		if err != nil {
			return fail(err)
		}
		if n.mode&modeType != modeLink || len(parts) == 0 && !followLast {
			way = append(way, n)
			continue
		}
		if links++; links > maxLinks {
			return fail(fmt.Errorf("there are more than %d symbolic links on the way: they may lead in a circle", maxLinks))
		}
		target, err := v.target(n)
		if err != nil {
			return fail(err)
		}
		if strings.HasPrefix(target, "/") {
			way = way[:1]
		}
		parts = append(strings.Split(target, "/"), parts...)
	}
	return way[len(way)-1], nil
}

// target reads a symbolic link.
func (v *FS) target(n *inode) (string, error) {
	switch {
	case n.mode&modeType != modeLink:
		return "", fmt.Errorf("not a symbolic link: %w", iofs.ErrInvalid)
	case n.flags&flagEncrypt != 0:
		return "", errEncrypted
	case n.size == 0 || n.size > min(maxTarget, v.block):
		return "", fmt.Errorf("a symbolic link is said to have %d bytes: %s", n.size, remedy)
	case n.size < int64(len(n.map_)) && n.flags&flagExtents == 0:
		return string(n.map_[:n.size]), nil // in the inode itself
	}
	b := make([]byte, n.size)
	if _, err := (content{v, n, n.size}).readAt(b, 0); err != nil {
		return "", err
	}
	return string(b), nil
}

var (
	errEncrypted = errors.New("it is encrypted by ext4, which AlphaOS does not read; on the computer that has the key, copy it to where nothing is encrypted")
)
