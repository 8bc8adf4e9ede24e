package fat

// What goes on a volume, as a tree, and the names of FAT: each file has a
// short name of eight and three capitals and, unless that says it all, a
// long one, kept as UTF-16 in directory entries before the short one's.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"alphaos/fs/readfs"
)

// Tree is what goes on a volume: files and directories by their paths, with slashes.
// The zero value is empty.
type Tree struct{ root node }

// Content is what a file of Size bytes holds: what Open returns, or zeros if that is nil.
// Open is called while the volume is written, for the files of a directory in the order in
// which they were added.
type Content struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is the content b.
func Bytes(b []byte) Content {
	return Content{int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Add puts a file at path, with the directories that lead there. An error tells what name
// FAT32 cannot have.
func (t *Tree) Add(path string, c Content) error { return t.root.add(path, &node{Content: c}) }

// AddDir puts an empty directory at path.
func (t *Tree) AddDir(path string) error { return t.root.add(path, &node{isDir: true}) }

// node is a file or directory.
type node struct {
	label    string // its name
	isDir    bool
	parent   *node
	children []*node

	Content

	short    [11]byte
	long     []uint16 // nil when the short name is the name
	first    uint32
	clusters int64
}

// bytes returns the size of a file's content or a directory's entries.
func (n *node) bytes() int64 {
	if !n.isDir {
		return n.Size
	}
	entries := int64(2) // "." and ".."
	if n.parent == nil {
		entries = 1 // the volume label
	}
	for _, c := range n.children {
		entries += gap(entries, c.entries()) + c.entries()
	}
	return entries * entrySize
}

// entries returns how many entries n has in its directory.
func (n *node) entries() int64 { return 1 + int64(len(n.long)+longUnits-1)/longUnits }

// gap returns how many entries of a directory stay free behind the first at of them, so that
// the next k lie in one sector: then one write changes or removes the name.
func gap(at, k int64) int64 {
	const most = atomicSize / entrySize
	if rest := most - at%most; k > rest && k <= most {
		return rest
	}
	return 0
}

func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}

// add puts x at path below n, with the directories that leads through.
func (n *node) add(path string, x *node) error {
	n.isDir = true
	dir, rest, more := strings.Cut(path, "/")
	if err := checkName(dir); err != nil {
		return err
	}
	c := n.child(dir)
	if more {
		if c == nil {
			c = &node{label: dir, isDir: true, parent: n}
			n.children = append(n.children, c)
		}
		if !c.isDir {
			return fmt.Errorf("%s is to be both a file and a directory on the drive", dir)
		}
		return c.add(rest, x)
	}
	if c != nil {
		return fmt.Errorf("two files are to be named %s on the drive (FAT32 does not tell capitals from small letters); rename one", dir)
	}
	x.label, x.parent = dir, n
	n.children = append(n.children, x)
	return nil
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if strings.ToUpper(c.label) == strings.ToUpper(name) {
			return c
		}
	}
	return nil
}

// name gives everything below n its names on the volume.
func (n *node) name() {
	taken := map[[11]byte]bool{}
	for _, c := range n.children { // names that fit come before made ones
		short, fits, whole := plainShort(c.label)
		if fits {
			c.short = short
			taken[short] = true
		}
		if !whole {
			c.long = utf16.Encode([]rune(c.label))
		}
	}
	for _, c := range n.children {
		if c.short == ([11]byte{}) {
			c.short = makeShort(c.label, taken)
			taken[c.short] = true
		}
		c.name()
	}
}

// checkName reports whether FAT can keep name as a long name.
func checkName(name string) error {
	switch {
	case len(utf16.Encode([]rune(name))) > 255:
		return fmt.Errorf("the name %.40s... is longer than the 255 characters that FAT32 allows; rename the file", name)
	case strings.ContainsAny(name, `"*/:<>?\|`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7F || r == 0xFFFD }):
		return fmt.Errorf(`the name %q has a character that FAT32 does not allow (" * / : < > ? \ | or one that does not print); rename the file`, name)
	case name == "" || strings.TrimRight(name, " .") != name:
		return fmt.Errorf("the name %q cannot be used on FAT32, which allows no space or full stop at the end; rename the file", name)
	case readfs.PlainName(name) != name:
		return fmt.Errorf("the name %q has a character that macOS writes in place of one that FAT32 does not allow; rename the file", name)
	}
	return nil
}

func shortChar(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("$%'-_@~`!(){}^#&", r)
}

// plainShort returns name as a short name, if it fits when written in
// capitals; whole reports that it is in capitals already and needs no long
// name.
func plainShort(name string) (short [11]byte, fits, whole bool) {
	upper := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, name)
	base, ext, dot := strings.Cut(upper, ".")
	notShort := func(r rune) bool { return !shortChar(r) }
	if base == "" || len(base) > 8 || len(ext) > 3 || dot && ext == "" || strings.ContainsFunc(base+ext, notShort) {
		return short, false, false
	}
	return pack(base, ext), true, upper == name
}

func pack(base, ext string) (short [11]byte) {
	copy(short[:], fmt.Sprintf("%-8s%-3s", base, ext))
	return short
}

// makeShort makes a short name for a long one that no other file has:
// STORIE~1.GGU for stories260K.gguf.
func makeShort(name string, taken map[[11]byte]bool) [11]byte {
	clean := func(s string, n int) string {
		var b strings.Builder
		for _, r := range strings.ToUpper(s) {
			switch {
			case b.Len() == n:
				return b.String()
			case r == ' ' || r == '.':
			case shortChar(r):
				b.WriteRune(r)
			default:
				b.WriteByte('_')
			}
		}
		return b.String()
	}
	base, ext := strings.TrimLeft(name, "."), ""
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		base, ext = base[:i], clean(base[i+1:], 3)
	}
	for i := 1; ; i++ {
		tail := fmt.Sprintf("~%d", i)
		if short := pack(clean(base, 8-len(tail))+tail, ext); !taken[short] {
			return short
		}
	}
}

// appendLong appends the entries of n's long name, last part first.
func (n *node) appendLong(b []byte) []byte {
	if n.long == nil {
		return b
	}
	parts := (len(n.long) + 12) / 13
	units := make([]uint16, parts*13)
	for i := range units {
		units[i] = 0xFFFF
	}
	if copy(units, n.long) < len(units) {
		units[len(n.long)] = 0
	}
	for part := parts; part > 0; part-- {
		var e [entrySize]byte
		e[0] = byte(part)
		if part == parts {
			e[0] |= 0x40
		}
		e[11] = 0x0F
		e[13] = Checksum(n.short)
		for i, u := range units[(part-1)*13:][:13] {
			at := 1 + 2*i
			if i >= 5 {
				at = 14 + 2*(i-5)
			}
			if i >= 11 {
				at = 28 + 2*(i-11)
			}
			binary.LittleEndian.PutUint16(e[at:], u)
		}
		b = append(b, e[:]...)
	}
	return b
}
