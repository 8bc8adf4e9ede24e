// Package exfat reads exFAT volumes (Microsoft, exFAT file system specification, revision
// 1.00; its sections are named in the code). It writes nothing.
//
// A volume is a boot region with a checksum and a backup, one FAT, and a heap of clusters.
// The root directory holds, besides files, where the up-case table is, by which names are
// compared without regard to case, and the allocation bitmap, which only a writer needs. A
// file lies in neighbouring clusters, without a word in the FAT, or in a chain of clusters
// there. Up to its valid length it holds what was written; from there on to its end it
// reads as zeros, whatever its clusters hold.
//
// A mounted volume is an io/fs.FS, whose files are io.ReaderAt and io.Seeker (package
// readfs). A file's clusters are found once, when it is opened, and kept as runs.
//
// The image may be hostile. Nothing read from it is used before it is checked against the
// volume, memory is bounded whatever it says, and each directory is reached by one path
// only, so that a walk ends. What is damaged is refused, with a sentence, as small as
// possible: a file, not its directory; and Notes tells of what could be passed over.
package exfat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"sync"
	"unicode"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// ErrNotExFAT is returned, wrapped, by Mount for a volume that holds something else, or
// nothing.
var ErrNotExFAT = errors.New("not an exFAT volume")

// Is reports whether the first sector of a volume says that it is exFAT.
func Is(sector []byte) bool {
	// 3.1.3: what FAT has for its parameters is zero, so that no system takes one for the other.
	return len(sector) >= 512 && string(sector[3:11]) == "EXFAT   " && !bytes.ContainsFunc(sector[11:64], func(r rune) bool { return r != 0 })
}

// FS is a mounted volume. Its methods may be called concurrently.
type FS struct {
	vol *readfs.Bytes
	geometry
	label string
	upper *[1 << 16]uint16 // the up-case table

	mu      sync.Mutex
	notes   []string
	tables  map[int64][]byte // the FAT in chunks of chunkSize, by number
	dirs    map[uint32]*dir  // by first cluster
	entries int              // in dirs, all together
	origin  map[uint32]origin
	owner   map[uint32]uint32 // cluster of a directory: its first cluster
}

// geometry is the layout of a volume. Offsets and lengths are bytes.
type geometry struct {
	cluster  int64
	tableAt  int64 // the FAT in use
	tableLen int64
	heapAt   int64  // cluster 2
	last     uint32 // the last cluster that the medium has
	claimed  uint32 // the last one that there should be
	root     uint32
	dirty    bool
	failing  bool
	odd      string // what is odd about the boot sector, or ""
}

const (
	minShift, maxShift = 9, 12 // of the bytes in a sector
	bootSectors        = 12    // in the boot region, which its backup follows
	maxNotes           = 32
)

// Mount reads the boot region of the volume dev, or its backup when that is damaged, and
// the root directory.
func Mount(dev fs.BlockDevice) (*FS, error) {
	vol, err := readfs.New(dev)
	if err != nil {
		return nil, err
	}
	v := &FS{
		vol:    vol,
		tables: map[int64][]byte{},
		dirs:   map[uint32]*dir{},
		origin: map[uint32]origin{},
		owner:  map[uint32]uint32{},
	}
	if err := v.readBoot(); err != nil {
		return nil, err
	}
	if v.dirty {
		v.note("The volume was not unmounted properly: what was written last may be missing.")
	}
	if v.failing {
		v.note("The volume is marked as failing: copy what is on it while it can be read.")
	}
	if v.claimed > v.last {
		v.note("The volume is said to have %d clusters, but its partition or medium ends after %d: what lies beyond cannot be read. If the drive was copied, the copy may be incomplete.", v.claimed-1, v.last-1)
	}
	if err := v.readRoot(); err != nil {
		return nil, fmt.Errorf("root directory: %w", err)
	}
	return v, nil
}

// Label returns the volume's label, "" if it has none.
func (v *FS) Label() string { return v.label }

// Notes tells, in sentences, what is odd about the volume and yet no reason not to use it,
// as far as is known by now.
func (v *FS) Notes() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.notes)
}

// note adds to Notes. v.mu is held or v is not shared yet.
func (v *FS) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); len(v.notes) < maxNotes && !slices.Contains(v.notes, s) {
		v.notes = append(v.notes, s)
	}
}

// readBoot fills in v.geometry.
func (v *FS) readBoot() error {
	g, err := v.bootRegion(0, 0)
	if err == nil {
		v.geometry = g
		v.noteOdd()
		return nil
	}
	for shift := minShift; shift <= maxShift; shift++ {
		g, berr := v.bootRegion(bootSectors<<shift, shift)
		if berr != nil {
			continue
		}
		v.geometry = g
		v.note("The volume's boot sector is damaged (%v); its copy is used.", err)
		v.noteOdd()
		return nil
	}
	return err
}

func (v *FS) noteOdd() {
	if v.odd != "" {
		v.note("%s", v.odd)
	}
}

// bootRegion reads the boot region at byte at. shift is of the bytes in a sector, 0 to take
// what the boot sector says.
func (v *FS) bootRegion(at int64, shift int) (g geometry, err error) {
	b := make([]byte, 1<<minShift)
	if v.vol.Size() < int64(len(b)) {
		return g, fmt.Errorf("the volume has no boot sector: %w", ErrNotExFAT)
	}
	if err := v.vol.Read(b, at); err != nil {
		return g, fmt.Errorf("read the boot sector: %w", err)
	}
	if !Is(b) || b[510] != 0x55 || b[511] != 0xAA {
		return g, fmt.Errorf("the volume has no boot sector of exFAT: %w", ErrNotExFAT)
	}
	if said := int(b[108]); said < minShift || said > maxShift || shift != 0 && said != shift {
		return g, fmt.Errorf("the boot sector claims 2^%d bytes in a sector; exFAT has 512 to 4096", said)
	}
	b = make([]byte, bootSectors<<b[108])
	if err := v.vol.Read(b, at); err != nil {
		return g, fmt.Errorf("read the boot sectors: %w", err)
	}
	if !sealed(b) {
		return g, errors.New("the checksum of its boot sectors is wrong")
	}
	return parseBoot(b, v.vol.Size())
}

// sealed tells whether the last sector of a boot region repeats the checksum of the others
// (3.4).
func sealed(b []byte) bool {
	size := len(b) / bootSectors
	sum := bootSum(b[:len(b)-size])
	for sector := b[len(b)-size:]; len(sector) > 0; sector = sector[4:] {
		if binary.LittleEndian.Uint32(sector) != sum {
			return false
		}
	}
	return true
}

// bootSum returns the checksum of boot sectors, without what changes in use: flags and
// percentage.
func bootSum(b []byte) (sum uint32) {
	for i, c := range b {
		if i != 106 && i != 107 && i != 112 {
			sum = sum<<31 | sum>>1
			sum += uint32(c)
		}
	}
	return sum
}

// parseBoot checks a boot sector and returns the layout it describes (3.1). size is the
// bytes in the volume.
func parseBoot(b []byte, size int64) (g geometry, err error) {
	le := binary.LittleEndian
	length := le.Uint64(b[72:])
	tableAt, tableLen := int64(le.Uint32(b[80:])), int64(le.Uint32(b[84:]))
	heapAt, count := int64(le.Uint32(b[88:])), int64(le.Uint32(b[92:]))
	flags, revision := le.Uint16(b[106:]), le.Uint16(b[104:])
	shift, perCluster, tables := b[108], b[109], int64(b[110])
	g.root = le.Uint32(b[96:])
	switch {
	case revision>>8 != 1:
		return g, fmt.Errorf("the volume is of the unknown revision %d.%02d of exFAT; AlphaOS knows 1", revision>>8, revision&0xFF)
	case shift < minShift || shift > maxShift || perCluster > 25-shift:
		return g, fmt.Errorf("the boot sector claims 2^%d bytes in a sector and 2^%d sectors in a cluster; the volume is damaged", shift, perCluster)
	case length > 1<<50:
		return g, fmt.Errorf("the boot sector claims %d sectors; the volume is damaged", length)
	case tables != 1 && tables != 2:
		return g, fmt.Errorf("the boot sector claims %d FATs; the volume is damaged", tables)
	case tableAt < 2*bootSectors || heapAt < tableAt+tables*tableLen || count < 1 || count > 1<<32-11 ||
		uint64(heapAt)+uint64(count)<<perCluster > length || tableLen<<shift < 4*(count+2):
		return g, errors.New("the boot sector has FAT and clusters where they cannot be; the volume is damaged")
	case g.root < 2 || int64(g.root) > count+1:
		return g, fmt.Errorf("the boot sector says that the root directory is in cluster %d, which does not exist; the volume is damaged", g.root)
	}
	g.cluster = 1 << (shift + perCluster)
	g.tableAt, g.tableLen, g.heapAt = tableAt<<shift, tableLen<<shift, heapAt<<shift
	g.dirty, g.failing = flags&2 != 0, flags&4 != 0
	if flags&1 != 0 { // the second FAT is in use
		if tables == 2 {
			g.tableAt += g.tableLen
		} else {
			g.odd = "The volume's boot sector says that its second FAT is in use, but there is only one."
		}
	}
	g.claimed = uint32(count + 1)
	g.last = g.claimed
	if there := (size - g.heapAt) / g.cluster; there < count {
		if there < 1 || g.tableAt+g.tableLen > size {
			return g, fmt.Errorf("the boot sector claims %d bytes but the volume holds only %d; the copy of this drive may be incomplete", length<<shift, size)
		}
		g.last = uint32(there + 1)
	}
	return g, nil
}

// readRoot reads the root directory, and the label and up-case table that it tells of.
func (v *FS) readRoot() error {
	// The files' names are compared by the table, which the directory has to tell of first.
	b, _, err := v.content(v.rootEntry())
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	bitmap, why := false, errors.New("there is none")
	for off := 0; off < len(b); off += entrySize {
		switch r := b[off:][:entrySize]; r[0] {
		case typeBitmap:
			bitmap = true
		case typeUpcase:
			if v.upper == nil {
				v.upper, why = v.readUpcase(le.Uint32(r[20:]), le.Uint64(r[24:]), le.Uint32(r[4:]))
			}
		case typeLabel:
			if n := int(r[1]); v.label == "" && n <= maxLabel {
				v.label = printable(decode(r[2:][:2*n]))
			}
		}
	}
	if !bitmap {
		v.note("The volume has no allocation bitmap: it can be read, but check it with fsck.exfat or the like before you write on it.")
	}
	if v.upper == nil {
		v.note("The volume's up-case table cannot be used (%v); that of Unicode is.", why)
		v.upper = unicodeUpcase()
	}
	_, err = v.openDir(v.rootEntry())
	return err
}

// readUpcase reads the up-case table (7.2): the capital of each UTF-16 code unit in order,
// where FFFF and a number stand for that many which are their own.
func (v *FS) readUpcase(first uint32, size uint64, want uint32) (*[1 << 16]uint16, error) {
	if size == 0 || size > 2<<16 || size%2 != 0 {
		return nil, fmt.Errorf("it is said to have %d bytes", size)
	}
	runs, err := v.runs(first, int64(size), false)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := v.vol.Content(runs).ReadAt(b, 0); err != nil {
		return nil, err
	}
	sum := uint32(0)
	for _, c := range b {
		sum = sum<<31 | sum>>1
		sum += uint32(c)
	}
	if sum != want {
		return nil, errors.New("its checksum is wrong")
	}
	t := new([1 << 16]uint16)
	for i := range t {
		t[i] = uint16(i)
	}
	unit := func(i int) int { return int(binary.LittleEndian.Uint16(b[2*i:])) }
	at := 0
	for i := 0; i < len(b)/2 && at < len(t); i++ {
		if u := unit(i); u == 0xFFFF && i+1 < len(b)/2 {
			i++
			at += unit(i)
		} else {
			t[at] = uint16(u)
			at++
		}
	}
	return t, nil
}

func unicodeUpcase() *[1 << 16]uint16 {
	t := new([1 << 16]uint16)
	for i := range t {
		t[i] = uint16(i)
		if u := unicode.ToUpper(rune(i)); u < 1<<16 {
			t[i] = uint16(u)
		}
	}
	return t
}

// Open opens a file or directory for reading. Files implement io.ReaderAt and io.Seeker,
// directories io/fs.ReadDirFile.
func (v *FS) Open(name string) (iofs.File, error) {
	e, err := v.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		d, err := v.openDir(e)
		if err != nil {
			return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
		}
		return readfs.Dir(name, e.info(), d.list()), nil
	}
	c, err := v.fileContent("open", name, e)
	if err != nil {
		return nil, err
	}
	return readfs.File(name, e.info(), c, nil), nil
}

// fileContent returns what the file e holds.
func (v *FS) fileContent(op, name string, e entry) (readfs.Content, error) {
	fail := func(err error) (readfs.Content, error) {
		return readfs.Content{}, &iofs.PathError{Op: op, Path: name, Err: err}
	}
	if e.dir {
		return fail(readfs.ErrIsDir)
	}
	if e.damage != nil {
		return fail(e.damage)
	}
	runs, err := v.runs(e.first, e.size, e.contiguous)
	if err != nil {
		return fail(err)
	}
	return v.vol.Content(written(runs, e.valid)), nil
}

// ReadDir lists a directory, sorted by name.
func (v *FS) ReadDir(name string) ([]iofs.DirEntry, error) {
	e, err := v.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.dir {
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
	e, err := v.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return e.info(), nil
}

// ReadFile returns the content of a file, read in as few requests as its place on the
// volume allows. A file may be larger than any memory, so there is a limit.
func (v *FS) ReadFile(name string) ([]byte, error) {
	e, err := v.lookup("read", name)
	if err != nil {
		return nil, err
	}
	c, err := v.fileContent("read", name, e)
	if err != nil {
		return nil, err
	}
	if err := readfs.CheckWhole(e.size); err != nil {
		return nil, &iofs.PathError{Op: "read", Path: name, Err: err}
	}
	p := make([]byte, e.size)
	if len(p) == 0 {
		return p, nil
	}
	if _, err := c.ReadAt(p, 0); err != nil {
		return nil, &iofs.PathError{Op: "read", Path: name, Err: err}
	}
	return p, nil
}
