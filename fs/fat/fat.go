// Package fat reads, writes, makes, checks and repairs FAT32 volumes (Microsoft, FAT:
// General Overview of On-Disk Format, version 1.03).
//
// A mounted volume is an io/fs.FS. Its files also are io.ReaderAt and
// io.Seeker, and made for reading models: a file's cluster chain is followed
// once, when it is opened, and kept as runs of neighbouring clusters; ReadAt
// moves whole runs straight into the caller's buffer in requests of up to
// 8 MiB and bounces only an unaligned first and last block. Call it with
// offsets that are multiples of the block size and there is no bounce at all.
//
// The image may be hostile. Nothing read from it is used before it is
// checked against the volume, memory is bounded whatever it says, and each
// directory is reached by one path only, so that a walk ends.
//
// Other people's formatters and partitioning tools are not always exact. What
// Linux and EDK2 mount is mounted here, too: a volume that is said to be longer
// than its medium or than its FAT has entries for is used as far as both reach,
// and Notes tells.
//
// Create and OpenWriter give a Writer (writer.go); change.go has what else changes a volume
// and says why a power cut at any moment leaves it sound. OpenInPlace overwrites a
// preallocated file where it lies (inplace.go). Plan and Write make a fresh volume
// (format.go), Check finds and mends what others left broken (check.go).
//
// The invariant behind the caches: the FS is the one writer of its volume, and whoever reads
// or changes tables and directories, or what is known of them, holds FS.mu. What is changed
// goes to the medium at once, so that a cache never knows more than the medium. A file that is
// open in place or by its extents is pinned: its clusters stay its own, for whoever has
// their addresses writes there without asking, even when the program has crashed.
package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"sync"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// ErrNotFAT32 is returned, wrapped, by Mount for a volume that holds
// something else, or nothing.
var ErrNotFAT32 = errors.New("not a FAT32 volume")

// FS is a mounted volume. Its methods may be called concurrently.
//
// Names are matched without regard to case, by their long and their short
// form. Times on the volume are taken as UTC.
type FS struct {
	dev   *watched
	vol   *readfs.Bytes // of dev
	block int64         // bytes in a block of dev
	geometry

	label string
	notes []string

	// Clock tells the time for new entries; Mount sets time.Now.
	Clock func() time.Time

	mu      sync.Mutex
	tables  map[tableChunk][]byte
	dirs    map[uint32]*dir   // by first cluster
	entries int               // in dirs, all together
	origin  map[uint32]origin // directory, by first cluster: its one way in
	owner   map[uint32]uint32 // cluster of a directory: its first cluster
	held    map[uint32]*held  // by first cluster: files that are open for reading
	pins    map[uint32]pin    // by first cluster: files whose extents somebody has
	writers map[writerKey]*Writer
	state   // of changes
}

// geometry is the layout of a volume. Offsets and lengths are bytes.
type geometry struct {
	sector   int64
	cluster  int64
	tableAt  int64  // the first FAT
	tableLen int64  // each FAT
	copies   int    // number of FATs
	active   int    // the FAT to use
	mirrored bool   // the other FATs are copies of it
	dataAt   int64  // cluster 2
	last     uint32 // cluster
	claimed  uint32 // the last one that the boot sector says there is, if more
	short    bool   // the medium has less than the boot sector says
	root     uint32
	media    byte
	label    string
	signed   bool     // the boot sector ends in 55 AA
	notes    []string // what is odd
	info     int64    // FSInfo; 0: there is none
	backup   int64    // of the boot sector; 0: there is none
	inUse    bool     // the boot sector says that nobody has put the volume in order

	fromBackup bool // this is what the backup of the boot sector says, since that is damaged
}

// Mount reads the boot sector of the volume dev, or its backup when that is
// damaged, and the root directory.
func Mount(dev fs.BlockDevice) (*FS, error) {
	v, err := open(dev)
	if err != nil {
		return nil, err
	}
	if err := v.begin(); err != nil {
		return nil, err
	}
	return v, nil
}

// begin reads what is known of a mounted volume from its beginning.
func (v *FS) begin() error {
	root, err := v.loadDir(v.root, origin{})
	if err != nil {
		return fmt.Errorf("root directory: %w", err)
	}
	v.label, v.notes = v.geometry.label, v.geometry.notes
	if root.label != "" {
		v.label = root.label
	}
	one, err := v.tableEntry(1)
	v.wasDirty = v.inUse || err == nil && one&cleanShutdown == 0
	return nil
}

// open is Mount without the root directory.
func open(dev fs.BlockDevice) (*FS, error) {
	w := &watched{BlockDevice: dev}
	vol, err := readfs.New(w)
	if err != nil {
		return nil, err
	}
	v := &FS{
		dev:    w,
		vol:    vol,
		block:  int64(dev.BlockSize()),
		tables: map[tableChunk][]byte{},
		dirs:   map[uint32]*dir{},
		origin: map[uint32]origin{},
		owner:  map[uint32]uint32{},
		held:   map[uint32]*held{}, pins: map[uint32]pin{}, writers: map[writerKey]*Writer{},
		Clock: time.Now,
	}
	if err := v.readBoot(); err != nil {
		return nil, err
	}
	return v, nil
}

// Label returns the volume's label, "" if it has none.
func (v *FS) Label() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.label
}

// Notes tells, in sentences, what is odd about the volume and yet no reason not
// to use it.
func (v *FS) Notes() []string { return slices.Clone(v.notes) }

// readBoot fills in v.geometry.
func (v *FS) readBoot() error {
	b := make([]byte, 512)
	err := v.readAt(0, b)
	if err == nil {
		v.geometry, err = parseBoot(b, v.vol.Size())
	}
	if err == nil && !v.signed && !v.agrees(&v.geometry) {
		err = fmt.Errorf("the volume has no boot sector: %w", ErrNotFAT32)
	}
	if err == nil {
		return nil
	}
	var other otherFormat
	if errors.As(err, &other) {
		return err
	}
	if g, ok := v.backupBoot(b); ok {
		v.geometry = g
		v.fromBackup = true
		return nil
	}
	return err
}

// backupBoot reads the backup of the boot sector into b. It may be left from before the volume was
// formatted as something else, so the FAT has to agree with it.
func (v *FS) backupBoot(b []byte) (geometry, bool) {
	for _, sector := range []int64{512, 4096} { // it lies in sector 6
		if v.readAt(6*sector, b) != nil {
			continue
		}
		g, err := parseBoot(b, v.vol.Size())
		if err == nil && g.sector == sector && g.signed && v.agrees(&g) {
			return g, true
		}
	}
	return geometry{}, false
}

// agrees reports whether the FAT begins as the boot sector has it.
func (v *FS) agrees(g *geometry) bool {
	var first [4]byte
	return v.readAt(g.tableAt+int64(g.active)*g.tableLen, first[:]) == nil &&
		binary.LittleEndian.Uint32(first[:])&entryMask == entryMask&^0xFF|uint32(g.media)
}

// otherFormat is the refusal of a volume that is surely not FAT32.
type otherFormat string

func (o otherFormat) Error() string {
	return fmt.Sprintf("the volume is %s; AlphaOS reads FAT32: format it as FAT32", string(o))
}

func (otherFormat) Is(err error) bool { return err == ErrNotFAT32 }

// parseBoot checks a boot sector and returns the layout it describes. size
// is the bytes in the volume.
func parseBoot(b []byte, size int64) (g geometry, err error) {
	le := binary.LittleEndian
	switch {
	case bytes.Equal(b[3:11], []byte("EXFAT   ")):
		return g, otherFormat("exFAT")
	case bytes.Equal(b[3:11], []byte("NTFS    ")):
		return g, otherFormat("NTFS")
	}
	note := func(format string, args ...any) { g.notes = append(g.notes, fmt.Sprintf(format, args...)) }
	if g.signed = b[510] == 0x55 && b[511] == 0xAA; !g.signed {
		note("The volume's boot sector does not end in 55 AA, as it should.")
	}
	sector, perCluster, reserved := int64(le.Uint16(b[11:])), int64(b[13]), int64(le.Uint16(b[14:]))
	g.copies, g.media = int(b[16]), b[21]
	switch {
	case sector < 512 || sector > 4096 || sector&(sector-1) != 0:
		return g, fmt.Errorf("the boot sector claims %d bytes in a sector: %w", sector, ErrNotFAT32)
	case perCluster == 0 || perCluster&(perCluster-1) != 0:
		return g, fmt.Errorf("the boot sector claims %d sectors in a cluster: %w", perCluster, ErrNotFAT32)
	case reserved == 0:
		return g, fmt.Errorf("the boot sector reserves no sector for itself: %w", ErrNotFAT32)
	case g.copies == 0:
		return g, fmt.Errorf("the boot sector claims that there is no FAT: %w", ErrNotFAT32)
	case le.Uint16(b[22:]) != 0 || le.Uint32(b[36:]) == 0 && le.Uint16(b[17:]) != 0:
		return g, otherFormat("FAT12 or FAT16")
	}
	if version := le.Uint16(b[42:]); version != 0 {
		note("The volume is said to be of the unknown version %#x of FAT32; it is read as version 0.", version)
	}
	total := int64(le.Uint16(b[19:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	g.sector, g.cluster = sector, sector*perCluster
	g.inUse = b[bootDirty]&1 != 0
	if n := int64(le.Uint16(b[48:])); n > 0 && n < reserved {
		g.info = n * sector
	}
	if n := int64(le.Uint16(b[50:])); n > 0 && n < reserved {
		g.backup = n * sector
	}
	g.tableAt, g.tableLen = reserved*sector, int64(le.Uint32(b[36:]))*sector
	// FAT32 has no root directory of a fixed size. Where there is room for one
	// all the same, data come behind it.
	fixed := (int64(le.Uint16(b[17:]))*entrySize + sector - 1) / sector * sector
	g.dataAt = g.tableAt + int64(g.copies)*g.tableLen + fixed
	claimed := total * sector
	if total > size/sector {
		total = size / sector
	}
	g.short = claimed > size
	clusters := (total*sector - g.dataAt) / g.cluster
	g.claimed = uint32(min((claimed-g.dataAt)/g.cluster+1, entryMask-11))
	switch {
	case claimed > size && (g.tableLen == 0 || g.dataAt >= total*sector || clusters < 1):
		return g, fmt.Errorf("the boot sector claims %d bytes but the volume holds only %d; the copy of this drive may be incomplete", claimed, size)
	case g.tableLen == 0 || g.dataAt >= total*sector || clusters < 1:
		return g, fmt.Errorf("the boot sector leaves no room for data: %w", ErrNotFAT32)
	case claimed > size:
		note("The file system is said to have %d bytes, but its partition or medium ends after %d: what lies beyond cannot be read. If the drive was copied, the copy may be incomplete.", claimed, size)
	}
	if most := min(g.tableLen/4, entryMask-10) - 2; clusters > most {
		if most < 1 {
			return g, fmt.Errorf("the boot sector leaves no room for a FAT: %w", ErrNotFAT32)
		}
		note("The file system is said to have %d clusters, but its FAT has entries for only %d: the others are not used.", clusters, most)
		clusters = most
	}
	g.last = uint32(clusters + 1)
	g.mirrored = true
	if flags := le.Uint16(b[40:]); flags&0x80 != 0 {
		if n := int(flags & 0xF); n < g.copies {
			g.mirrored, g.active = false, n
		} else {
			note("The volume's boot sector says that FAT %d is in use, but there are only %d: the first is used.", n+1, g.copies)
		}
	}
	g.root = le.Uint32(b[44:]) & entryMask
	if g.root < 2 || g.root > g.last {
		return g, fmt.Errorf("the boot sector says that the root directory is in cluster %d, which does not exist", g.root)
	}
	if b[66] == 0x29 {
		if g.label = decodeLabel(b[71:82]); g.label == "NO NAME" {
			g.label = ""
		}
	}
	return g, nil
}

// Open opens a file or directory for reading. Files implement io.ReaderAt
// and io.Seeker, directories io/fs.ReadDirFile.
func (v *FS) Open(name string) (iofs.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if e.isDir() {
		d, err := v.openDir(e)
		if err != nil {
			return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
		}
		return readfs.Dir(name, info{e}, d.list()), nil
	}
	runs, err := v.fileRuns(e)
	if err != nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
	}
	v.hold(e.first)
	return readfs.File(name, info{e}, extent{v, runs, int64(e.size)}, func() error { return v.letGo(name, e.first) }), nil
}

// ReadDir lists a directory, sorted by name.
func (v *FS) ReadDir(name string) ([]iofs.DirEntry, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.isDir() {
		return nil, &iofs.PathError{Op: "readdir", Path: name, Err: readfs.ErrNotDir}
	}
	d, err := v.openDir(e)
	if err != nil {
		return nil, &iofs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return d.list(), nil
}

// Stat describes a file or directory without opening it.
func (v *FS) Stat(name string) (iofs.FileInfo, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

// ReadFile returns the content of a file, read in as few requests as its
// place on the volume allows. A file may be larger than any memory, so there is a limit.
func (v *FS) ReadFile(name string) ([]byte, error) {
	f, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &iofs.PathError{Op: "read", Path: name, Err: readfs.ErrIsDir}
	}
	if err := readfs.CheckWhole(info.Size()); err != nil {
		return nil, &iofs.PathError{Op: "read", Path: name, Err: err}
	}
	p := make([]byte, info.Size())
	_, err = io.ReadFull(f, p)
	return p, err
}

// Extents returns where on the device the content of a file is, for
// comparing with raw reads of the same blocks. The last block may reach
// beyond the end of the file.
func (v *FS) Extents(name string) ([]fs.Extent, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, _, err := v.extents(name, v.fileRuns)
	return list, err
}

// Pin returns a file's extents for somebody who will use them without asking again: until
// the volume is mounted anew the file can be neither moved nor truncated, replaced or removed.
func (v *FS) Pin(name string) ([]fs.Extent, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, e, err := v.extents(name, v.pinnedRuns)
	if err != nil {
		return nil, err
	}
	return list, v.pin("pin", name, e)
}

func (v *FS) extents(name string, runsOf func(entry) ([]run, error)) ([]fs.Extent, entry, error) {
	e, err := v.lookup("extents", name)
	if err != nil {
		return nil, e, err
	}
	fail := func(err error) ([]fs.Extent, entry, error) {
		return nil, e, &iofs.PathError{Op: "extents", Path: name, Err: err}
	}
	if e.isDir() {
		return fail(readfs.ErrIsDir)
	}
	if v.cluster%v.block != 0 || v.dataAt%v.block != 0 {
		return fail(errors.New("the clusters of the volume are not whole blocks of the device"))
	}
	runs, err := runsOf(e)
	if err != nil {
		return fail(err)
	}
	x := extent{v, runs, int64(e.size)}
	var list []fs.Extent
	for off := int64(0); off < x.size; {
		at, n := x.piece(off)
		list = append(list, fs.Extent{First: uint64(at / v.block), Count: uint64((n + v.block - 1) / v.block)})
		off += n
	}
	return list, e, nil
}
