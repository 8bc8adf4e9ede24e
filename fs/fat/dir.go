package fat

// Directories: 32-byte entries, each for a file, with the entries of its
// long name before it. A directory is read whole, once, and kept; the total
// kept is bounded.
//
// Each directory is reached in one way only. The first entry that leads to a
// directory's clusters owns them; any other, and any that leads to the root
// or an ancestor, is refused as cross-linked. A walk therefore ends, and
// takes time in proportion to the volume, whatever a hostile volume says.

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"alphaos/fs/readfs"
)

const (
	attrReadOnly = 0x01
	attrHidden   = 0x02
	attrVolume   = 0x08
	attrDir      = 0x10
	attrLong     = 0x0F
	attrMask     = 0x3F

	attrFile = 0x20 // to be archived, as new files are
	deleted  = 0xE5 // the first byte of an entry that is none

	entrySize   = 32
	maxDirBytes = 2 << 20 // 65536 entries, the format's limit
	maxDepth    = 64      // directories below each other
	keepEntries = 1 << 17 // in cached directories
	longUnits   = 13      // UTF-16 code units in a long name's entry
	longEntries = 20      // for one name
)

// keepOwners is how many clusters of directories are known at most. Tests change it.
var keepOwners = 1 << 20

// entry describes a file or directory.
type entry struct {
	name     string // the long name if there is one
	short    string
	attr     byte
	first    uint32 // cluster; 0 for an empty file
	size     uint32
	modified time.Time
	begin    int // where its entries begin in the directory: those of its long name come first
	origin
}

// end is where its entries end.
func (e entry) end() int { return e.offset + entrySize }

// origin is where an entry is: the first cluster of the directory it is in
// and its byte offset there. The root directory's is zero.
type origin struct {
	parent uint32
	offset int
}

func (e entry) isDir() bool { return e.attr&attrDir != 0 }

// dir is a directory read.
type dir struct {
	entries []entry        // sorted by name
	byName  map[string]int // by folded long and short name
	label   string         // of the volume, in the root

	first   uint32
	runs    []run
	stray   bool   // the FAT in use does not have them
	content []byte // as on the medium
}

func (d *dir) slots() int { return len(d.content) / entrySize }

// fold returns the form in which names are compared.
func fold(name string) string { return strings.ToUpper(name) }

// lookup finds a file or directory by its path. It wants v.mu, as all below does.
func (v *FS) lookup(op, name string) (entry, error) {
	fail := func(err error) (entry, error) {
		return entry{}, &iofs.PathError{Op: op, Path: name, Err: err}
	}
	if !iofs.ValidPath(name) {
		return fail(iofs.ErrInvalid)
	}
	e := entry{name: ".", attr: attrDir, first: v.root}
	if name == "." {
		return e, nil
	}
	if strings.Count(name, "/") >= maxDepth {
		return fail(fmt.Errorf("directories more than %d levels deep are not supported", maxDepth))
	}
	for part := range strings.SplitSeq(name, "/") {
		if !e.isDir() {
			return fail(iofs.ErrNotExist)
		}
		d, err := v.openDir(e)
		if err != nil {
			return fail(err)
		}
		i, ok := d.byName[fold(part)]
		if !ok {
			return fail(iofs.ErrNotExist)
		}
		e = d.entries[i]
	}
	return e, nil
}

func (v *FS) openDir(e entry) (*dir, error) {
	if e.first < 2 || e.first > v.last {
		return nil, fmt.Errorf("directory is said to be in cluster %d, which does not exist: the volume is damaged; check it with fsck.fat or the like", e.first)
	}
	return v.loadDir(e.first, e.origin)
}

// loadDir returns the directory that begins in cluster first and was found
// through the entry at from.
func (v *FS) loadDir(first uint32, from origin) (*dir, error) {
	crossed := errors.New("directory shares clusters with another: the volume is damaged; check it with fsck.fat or the like")
	if o, ok := v.origin[first]; ok && o != from {
		return nil, crossed
	}
	if d, ok := v.dirs[first]; ok {
		return d, nil
	}
	most := max(maxDirBytes/v.cluster, 1)
	runs, stray, err := v.chain(first, uint32(min(most, int64(v.last)-1)), false)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	clusters, fresh := int64(0), 0
	for _, r := range runs {
		clusters += int64(r.count)
		for c := r.first; c < r.first+r.count; c++ {
			if o, ok := v.owner[c]; !ok {
				fresh++
			} else if o != first {
				return nil, crossed
			}
		}
	}
	if fresh > 0 && len(v.owner)+fresh > keepOwners {
		return nil, fmt.Errorf("the volume's directories take more than %d clusters, which is not supported", keepOwners)
	}
	b := make([]byte, clusters*v.cluster)
	if _, err := (extent{v, runs, int64(len(b))}).readAt(b, 0); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	for _, r := range runs {
		for c := r.first; c < r.first+r.count; c++ {
			v.owner[c] = first
		}
	}
	v.origin[first] = from
	d := parseDir(b, first)
	d.runs, d.stray = runs, stray
	v.keep(d)
	return d, nil
}

// ownDir is loadDir for whoever changes the directory.
func (v *FS) ownDir(first uint32, from origin) (*dir, error) {
	d, err := v.loadDir(first, from)
	if err == nil && d.stray {
		return nil, ErrDisagree
	}
	return d, err
}

// keep puts a directory into the cache, in the place of what was known of it.
func (v *FS) keep(d *dir) {
	v.drop(d.first)
	if v.entries += d.slots(); v.entries > keepEntries {
		clear(v.dirs)
		v.entries = d.slots()
	}
	v.dirs[d.first] = d
}

// drop forgets a directory.
func (v *FS) drop(first uint32) {
	if d := v.dirs[first]; d != nil {
		v.entries -= d.slots()
		delete(v.dirs, first)
	}
}

// parseDir reads the entries of a directory from its content. Of entries
// with the same name only the first counts, since no path leads to the
// others.
func parseDir(b []byte, first uint32) *dir {
	le := binary.LittleEndian
	d := &dir{byName: map[string]int{}, first: first, content: b}
	seen := map[string]bool{}
	add := func(e entry) {
		if key := fold(e.name); !seen[key] {
			seen[key] = true
			d.entries = append(d.entries, e)
		}
	}
	var unusual []entry // by names that PlainName has changed
	var raw []string    // as they were
	var long longName
	for off := 0; off+entrySize <= len(b); off += entrySize {
		r := b[off:][:entrySize]
		if r[0] == 0 {
			break
		}
		attr := r[11] & attrMask
		switch {
		case r[0] == deleted:
			long = longName{}
			continue
		case attr == attrLong:
			long.add(r)
			continue
		case attr&attrVolume != 0:
			if d.label == "" && attr&attrDir == 0 {
				d.label = decodeLabel(r[:11])
			}
			long = longName{}
			continue
		case r[0] == '.': // itself and its parent; no other name begins so
			long = longName{}
			continue
		}
		e := entry{
			short:    shortName(r),
			attr:     attr,
			first:    (uint32(le.Uint16(r[20:]))<<16 | uint32(le.Uint16(r[26:]))) & entryMask,
			size:     le.Uint32(r[28:]),
			modified: decodeTime(le.Uint16(r[24:]), le.Uint16(r[22:])),
			begin:    off,
			origin:   origin{first, off},
		}
		if e.isDir() {
			e.size = 0
		}
		e.name = e.short
		if name := long.end(r[:11]); name != "" {
			e.name, e.begin = name, off-long.n*entrySize
		}
		long = longName{}
		if plain := readfs.PlainName(e.name); plain != e.name {
			raw = append(raw, e.name)
			e.name = plain
			unusual = append(unusual, e)
			continue
		}
		add(e)
	}
	for i, e := range unusual {
		if seen[fold(e.name)] { // somebody else's
			e.name = raw[i]
		}
		add(e)
	}
	slices.SortFunc(d.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i, e := range d.entries {
		d.byName[fold(e.name)] = i
	}
	for i, e := range d.entries {
		if key := fold(e.short); !seen[key] {
			seen[key] = true
			d.byName[key] = i
		}
	}
	return d
}

func (d *dir) list() []iofs.DirEntry {
	list := make([]iofs.DirEntry, len(d.entries))
	for i, e := range d.entries {
		list[i] = info{e}
	}
	return list
}

// longName gathers a long name from its entries, which come last part first
// and are numbered; each repeats the checksum of the short name.
type longName struct {
	units [longEntries * longUnits]uint16
	n     int // parts in all
	left  int // parts still to come
	sum   byte
}

func (l *longName) add(r []byte) {
	order := int(r[0])
	if order&0x40 != 0 {
		*l = longName{}
		l.n, l.left, l.sum = order&0x3F, order&0x3F, r[13]
		if l.n > longEntries {
			*l = longName{}
			return
		}
	} else if order != l.left || r[13] != l.sum {
		*l = longName{}
		return
	}
	if l.left == 0 {
		return
	}
	l.left--
	u := l.units[l.left*longUnits:][:longUnits]
	for i := range u {
		at := 1 + 2*i
		if i >= 5 {
			at = 14 + 2*(i-5)
		}
		if i >= 11 {
			at = 28 + 2*(i-11)
		}
		u[i] = binary.LittleEndian.Uint16(r[at:])
	}
}

// end returns the name when it is complete, belongs to the short name that
// follows it and can be part of a path; else "".
func (l *longName) end(short []byte) string {
	if l.n == 0 || l.left != 0 || l.sum != Checksum([11]byte(short)) {
		return ""
	}
	u := l.units[:l.n*longUnits]
	if i := slices.Index(u, 0); i >= 0 {
		u = u[:i]
	}
	name := string(utf16.Decode(u))
	if name == "." || name == ".." || strings.ContainsFunc(name, illegal) {
		return ""
	}
	return name
}

// illegal reports whether a character may not be part of a name.
func illegal(r rune) bool { return r < ' ' || r == '/' || r == '\\' }

// Checksum returns the checksum of a short name that the entries of its long
// name carry.
func Checksum(short [11]byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// shortName decodes the 8.3 name of a directory entry. Characters that the
// format forbids become underscores, so that every file can be opened.
func shortName(r []byte) string {
	decode := func(b []byte, lower bool) string {
		var s strings.Builder
		for _, c := range b {
			u := codePage437(c)
			if illegal(u) {
				u = '_'
			}
			if lower && c >= 'A' && c <= 'Z' {
				u += 'a' - 'A'
			}
			s.WriteRune(u)
		}
		return strings.TrimRight(s.String(), " ")
	}
	name := slices.Clone(r[:8])
	if name[0] == 0x05 { // stands for 0xE5, which marks deleted entries
		name[0] = 0xE5
	}
	// Windows NT keeps the case of plain short names in two bits.
	s := decode(name, r[12]&0x08 != 0)
	if ext := decode(r[8:11], r[12]&0x10 != 0); ext != "" {
		s += "." + ext
	}
	if s == "" || s == "." || s == ".." {
		s = "_"
	}
	return s
}

func decodeLabel(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		if i == 0 && c == 0x05 {
			c = 0xE5
		}
		if c == 0 {
			break
		}
		s.WriteRune(codePage437(c))
	}
	return strings.TrimRight(s.String(), " ")
}

var upperHalf = []rune("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0")

func codePage437(c byte) rune {
	if c < utf8.RuneSelf {
		return rune(c)
	}
	return upperHalf[c-utf8.RuneSelf]
}

// fromCodePage is the contrary of codePage437.
func fromCodePage(r rune) (byte, bool) {
	if r < utf8.RuneSelf {
		return byte(r), true
	}
	i := slices.Index(upperHalf, r)
	return byte(i + utf8.RuneSelf), i >= 0
}

// decodeTime decodes a date and time of two-second resolution. A date of
// zero, which means none, gives the zero time.
func decodeTime(date, clock uint16) time.Time {
	if date == 0 {
		return time.Time{}
	}
	return time.Date(1980+int(date>>9), time.Month(date>>5&0xF), int(date&0x1F),
		int(clock>>11), int(clock>>5&0x3F), int(clock&0x1F)*2, 0, time.UTC)
}

// info is an entry as io/fs wants it described.
type info struct{ e entry }

func (i info) Name() string                 { return i.e.name }
func (i info) IsDir() bool                  { return i.e.isDir() }
func (i info) Type() iofs.FileMode          { return i.Mode().Type() }
func (i info) Info() (iofs.FileInfo, error) { return i, nil }
func (i info) Size() int64                  { return int64(i.e.size) }
func (i info) ModTime() time.Time           { return i.e.modified }
func (i info) Sys() any                     { return nil }
func (i info) String() string               { return iofs.FormatFileInfo(i) }
func (i info) Mode() iofs.FileMode {
	if i.e.isDir() {
		return iofs.ModeDir | 0o555
	}
	return 0o444
}
