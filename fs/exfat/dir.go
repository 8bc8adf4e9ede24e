package exfat

// Directories: 32-byte entries (6). A file is a set of them: the file entry with attributes
// and times, the stream extension with size and place, and the name in pieces of fifteen
// UTF-16 code units. The set has a checksum. A directory is read to its end, once, and
// kept; the total kept is bounded.
//
// Each directory is reached in one way only. The first entry that leads to a directory's
// clusters owns them; any other, and any that leads to the root or an ancestor, is refused
// as cross-linked. A walk therefore ends, and takes time in proportion to the volume,
// whatever a hostile volume says.

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"alphaos/fs/readfs"
)

const (
	typeBitmap = 0x81
	typeUpcase = 0x82
	typeLabel  = 0x83
	typeFile   = 0x85
	typeStream = 0xC0
	typeName   = 0xC1

	inUse     = 0x80 // in an entry's type
	secondary = 0x40

	entrySize   = 32
	nameUnits   = 15 // UTF-16 code units in a name's entry
	maxName     = 255
	maxLabel    = 11 // UTF-16 code units
	maxDirBytes = 16 << 20
	maxDepth    = 64      // directories below each other
	keepEntries = 1 << 17 // in cached directories
	keepOwners  = 1 << 20 // clusters of directories
)

var errCrossed = errors.New("directory shares clusters with another: the volume is damaged; check it with fsck.exfat or the like")

// entry describes a file or directory.
type entry struct {
	name       string
	dir        bool
	first      uint32 // cluster
	size       int64  // DataLength
	valid      int64  // ValidDataLength: what follows is zeros
	contiguous bool   // NoFatChain: the FAT says nothing of its clusters
	modified   time.Time
	damage     error // why its content cannot be read
	origin
}

// origin is where an entry is: the first cluster of the directory it is in and its byte
// offset there. The root directory's is zero.
type origin struct {
	parent uint32
	offset int
}

func (e entry) info() readfs.Info {
	i := readfs.Info{FileName: e.name, Bytes: e.size, Modified: e.modified, Dir: e.dir}
	if e.dir {
		i.Bytes = 0
	}
	return i
}

// dir is a directory read.
type dir struct {
	entries []entry        // sorted by name
	byName  map[string]int // by folded name
}

func (d *dir) list() []iofs.DirEntry {
	list := make([]iofs.DirEntry, len(d.entries))
	for i, e := range d.entries {
		list[i] = e.info()
	}
	return list
}

// rootEntry is the root directory, whose size nothing tells but its chain.
func (v *FS) rootEntry() entry { return entry{name: ".", dir: true, first: v.root, size: -1} }

// upcase returns the form in which names are compared.
func (v *FS) upcase(name string) []uint16 {
	units := utf16.Encode([]rune(name))
	for i, u := range units {
		units[i] = v.upper[u]
	}
	return units
}

func (v *FS) fold(name string) string { return string(utf16.Decode(v.upcase(name))) }

// lookup finds a file or directory by its path.
func (v *FS) lookup(op, name string) (entry, error) {
	fail := func(err error) (entry, error) {
		return entry{}, &iofs.PathError{Op: op, Path: name, Err: err}
	}
	if !iofs.ValidPath(name) {
		return fail(iofs.ErrInvalid)
	}
	e := v.rootEntry()
	if name == "." {
		return e, nil
	}
	if strings.Count(name, "/") >= maxDepth {
		return fail(fmt.Errorf("directories more than %d levels deep are not supported", maxDepth))
	}
	for part := range strings.SplitSeq(name, "/") {
		if !e.dir {
			return fail(iofs.ErrNotExist)
		}
		d, err := v.openDir(e)
		if err != nil {
			return fail(err)
		}
		i, ok := d.byName[v.fold(part)]
		if !ok {
			return fail(iofs.ErrNotExist)
		}
		e = d.entries[i]
	}
	return e, nil
}

// openDir returns the directory e.
func (v *FS) openDir(e entry) (*dir, error) {
	if e.damage != nil {
		return nil, e.damage
	}
	if e.size == 0 { // which has no clusters
		return &dir{}, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if o, ok := v.origin[e.first]; ok && o != e.origin {
		return nil, errCrossed
	}
	if d, ok := v.dirs[e.first]; ok {
		return d, nil
	}
	b, runs, err := v.contentLocked(e)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if err := v.own(e.first, runs); err != nil {
		return nil, err
	}
	d := v.parseDir(b, e.first)
	if v.entries += 1 + len(d.entries); v.entries > keepEntries {
		clear(v.dirs)
		v.entries = 1 + len(d.entries)
	}
	v.origin[e.first] = e.origin
	v.dirs[e.first] = d
	return d, nil
}

// own makes the clusters of runs those of the directory that begins in first.
func (v *FS) own(first uint32, runs []readfs.Run) error {
	clusters := func(f func(c uint32) error) error {
		for _, r := range runs {
			for at := r.At; at < r.At+r.Len; at += v.cluster {
				if err := f(uint32((at-v.heapAt)/v.cluster) + 2); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := clusters(func(c uint32) error {
		if o, ok := v.owner[c]; ok && o != first {
			return errCrossed
		}
		return nil
	})
	if err != nil {
		return err
	}
	return clusters(func(c uint32) error {
		if v.owner[c] = first; len(v.owner) > keepOwners {
			return fmt.Errorf("the volume's directories take more than %d clusters, which is not supported", keepOwners)
		}
		return nil
	})
}

func (v *FS) content(e entry) ([]byte, []readfs.Run, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.contentLocked(e)
}

// contentLocked returns the entries of a directory up to its end, and the clusters that hold
// them.
func (v *FS) contentLocked(e entry) (b []byte, runs []readfs.Run, err error) {
	most := max(maxDirBytes/v.cluster, 1)
	n, more := most, false
	if e.size >= 0 {
		n = (e.size + v.cluster - 1) / v.cluster
		n, more = min(n, most), n > most
	}
	if e.contiguous {
		err := v.checkCluster(e.first)
		if last := int64(e.first) + n - 1; err == nil && last > int64(v.last) {
			err = v.checkCluster(uint32(min(last, int64(v.claimed)+1)))
		}
		if err != nil {
			return nil, nil, err
		}
		runs = []readfs.Run{{Off: 0, At: v.at(e.first), Len: n * v.cluster}}
	} else {
		var on bool
		if runs, on, err = v.chain(e.first, min(n, int64(v.last)), e.size >= 0); err != nil {
			return nil, nil, err
		}
		more = more || on
	}
	c := v.vol.Content(runs)
	size := c.Size()
	if e.size >= 0 {
		size = min(size, e.size&^(entrySize-1))
	}
	if size > maxDirBytes {
		size, more = maxDirBytes, true
	}
	// A directory can have far more room than entries, so it is read to where they end.
	for int64(len(b)) < size {
		from := len(b)
		step := min(max(int64(from), 16<<10), 1<<20, size-int64(from))
		b = append(b, make([]byte, step)...)
		if _, err := c.ReadAt(b[from:], int64(from)); err != nil {
			return nil, nil, err
		}
		for off := from; off < len(b); off += entrySize {
			if b[off] == 0 {
				used := (int64(off)/v.cluster + 1) * v.cluster
				return b[:off], cut(runs, used), nil
			}
		}
	}
	if more {
		return nil, nil, fmt.Errorf("it has more than %d entries, or no end: divide it, or check the volume with fsck.exfat or the like", maxDirBytes/entrySize)
	}
	return b, runs, nil
}

// cut returns the runs of the first n bytes.
func cut(runs []readfs.Run, n int64) []readfs.Run {
	for i, r := range runs {
		if r.Off+r.Len >= n {
			r.Len = n - r.Off
			return append(slices.Clone(runs[:i]), r)
		}
	}
	return runs
}

// parseDir reads the entries of a directory from its content. Of files with the same name
// only the first counts, since no path leads to the others.
func (v *FS) parseDir(b []byte, first uint32) *dir {
	d := &dir{byName: map[string]int{}}
	seen := map[string]bool{}
	add := func(e entry) {
		if key := v.fold(e.name); !seen[key] {
			seen[key] = true
			d.entries = append(d.entries, e)
		}
	}
	var unusual []entry // by names that PlainName has changed
	var raw []string    // as they were
	for off := 0; off < len(b); off += entrySize {
		if b[off] != typeFile { // deleted, or nothing that a reader needs
			continue
		}
		// What cannot be told from its neighbours is passed over; from there on the next
		// file is looked for.
		size := entrySize * (1 + int(b[off+1]))
		if size > len(b)-off || !whole(b[off:][:size]) {
			v.note("A directory has a file whose entries are not complete; it is left out. Check the volume with fsck.exfat or the like.")
			continue
		}
		e := v.parseSet(b[off:][:size])
		e.origin = origin{first, off}
		off += size - entrySize
		if plain := readfs.PlainName(e.name); plain != e.name {
			raw = append(raw, e.name)
			e.name = plain
			unusual = append(unusual, e)
			continue
		}
		add(e)
	}
	for i, e := range unusual {
		if seen[v.fold(e.name)] { // somebody else's
			e.name = raw[i]
		}
		add(e)
	}
	slices.SortFunc(d.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i, e := range d.entries {
		d.byName[v.fold(e.name)] = i
	}
	return d
}

// whole tells whether a file's entries are all there: the stream extension, as many pieces
// of a name as it says, and others, which no reader needs (7.6 to 7.9).
func whole(set []byte) bool {
	n := len(set) / entrySize
	for i := 1; i < n; i++ {
		if set[i*entrySize]&(inUse|secondary) != inUse|secondary {
			return false
		}
	}
	if n < 3 || set[entrySize] != typeStream {
		return false
	}
	names := (int(set[entrySize+3]) + nameUnits - 1) / nameUnits
	if names == 0 || names > n-2 {
		return false
	}
	for i := range names {
		if set[(2+i)*entrySize] != typeName {
			return false
		}
	}
	return true
}

// parseSet reads the entries of a file, which are whole.
func (v *FS) parseSet(set []byte) entry {
	le := binary.LittleEndian
	s := set[entrySize:]
	var name []byte
	for i := 2; len(name) < 2*int(s[3]); i++ {
		name = append(name, set[i*entrySize+2:][:2*nameUnits]...)
	}
	full := decode(name[:2*int(s[3])])
	e := entry{
		name:       printable(full),
		dir:        le.Uint16(set[4:])&0x10 != 0,
		first:      le.Uint32(s[20:]),
		contiguous: s[1]&2 != 0,
		modified:   decodeTime(le.Uint32(set[12:]), set[21], set[23]),
	}
	size, valid := le.Uint64(s[24:]), le.Uint64(s[8:])
	switch {
	case setSum(set) != le.Uint16(set[2:]):
		e.damage = errors.New("the checksum of its directory entry is wrong: the volume is damaged; check it with fsck.exfat or the like")
	case size > 1<<62 || valid > size:
		e.damage = fmt.Errorf("its directory entry claims %d bytes, of which %d are written: the volume is damaged; check it with fsck.exfat or the like", size, valid)
	case size > 0 && s[1]&1 == 0:
		e.damage = fmt.Errorf("its directory entry claims %d bytes and no clusters: the volume is damaged; check it with fsck.exfat or the like", size)
	case nameHash(v.upcase(full)) != le.Uint16(s[4:]):
		// Others find a name by it, so its maker is at fault. We do not need it.
		v.note("The hash of the name %q is wrong: other systems may not find the file.", full)
	}
	if size <= 1<<62 {
		e.size, e.valid = int64(size), int64(min(valid, size))
	}
	return e
}

// setSum returns the checksum of a file's entries, without itself (6.3.3).
func setSum(set []byte) (sum uint16) {
	for i, c := range set {
		if i != 2 && i != 3 {
			sum = sum<<15 | sum>>1
			sum += uint16(c)
		}
	}
	return sum
}

// nameHash returns the hash of a name in capitals (7.6.4).
func nameHash(upper []uint16) (hash uint16) {
	for _, u := range upper {
		for _, c := range [2]byte{byte(u), byte(u >> 8)} {
			hash = hash<<15 | hash>>1
			hash += uint16(c)
		}
	}
	return hash
}

func decode(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// printable is a name without what a path cannot have, so that every file can be opened.
func printable(name string) string {
	if name == "." || name == ".." {
		return strings.Repeat("_", len(name))
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, name)
}

// decodeTime decodes a time of two seconds' resolution, with hundredths of a second and the
// offset from UTC in quarters of an hour (7.4.8 to 7.4.10). A time whose offset is not known
// is taken as UTC; one that is none gives the zero time.
func decodeTime(t uint32, hundredths, offset byte) time.Time {
	month, day := t>>21&0xF, t>>16&0x1F
	if month == 0 || month > 12 || day == 0 {
		return time.Time{}
	}
	when := time.Date(1980+int(t>>25), time.Month(month), int(day),
		int(t>>11&0x1F), int(t>>5&0x3F), int(t&0x1F)*2, int(hundredths)*10e6, time.UTC)
	if offset&0x80 != 0 {
		quarters := int8(offset<<1) / 2 // seven bits with a sign
		when = when.Add(-time.Duration(quarters) * 15 * time.Minute)
	}
	return when
}
