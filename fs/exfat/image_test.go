package exfat

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
)

// A writer of exFAT volumes, made from the specification and not by the reader's ideas;
// fsck.exfat is asked if they are right. It lays files out as a test wants them.

// medium is where an image is made.
type medium interface {
	io.ReaderAt
	io.WriterAt
}

// memory is a medium.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m[off:]), nil }
func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

var le = binary.LittleEndian

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// checksums of the specification, in the words of its examples (figures 1 to 4).
func sum32(b []byte, skip ...int) (c uint32) {
	for i, x := range b {
		if !slices.Contains(skip, i) {
			c = bits.RotateLeft32(c, -1) + uint32(x)
		}
	}
	return c
}

func sum16(b []byte, skip ...int) (c uint16) {
	for i, x := range b {
		if !slices.Contains(skip, i) {
			c = bits.RotateLeft16(c, -1) + uint16(x)
		}
	}
	return c
}

// format makes an empty volume of size bytes. tables is the number of FATs; of two the
// second is in use.
func format(m medium, size int64, sectorShift, clusterShift, tables int, label string) {
	sector, cluster := int64(1)<<sectorShift, int64(1)<<(sectorShift+clusterShift)
	count := int64(0)
	tableAt, heapAt := int64(24), int64(0)
	tableLen := int64(0)
	for count = size / cluster; ; count-- {
		tableLen = (4*(count+2) + sector - 1) / sector
		heapAt = tableAt + int64(tables)*tableLen
		if heapAt*sector+count*cluster <= size {
			break
		}
	}
	b := make([]byte, 12*sector)
	copy(b, "\xEB\x76\x90EXFAT   ")
	le.PutUint64(b[72:], uint64(size/sector))
	le.PutUint32(b[80:], uint32(tableAt))
	le.PutUint32(b[84:], uint32(tableLen))
	le.PutUint32(b[88:], uint32(heapAt))
	le.PutUint32(b[92:], uint32(count))
	le.PutUint32(b[100:], 0x12345678)
	le.PutUint16(b[104:], 0x100)
	b[106] = byte(tables - 1)
	b[108], b[109], b[110], b[111], b[112] = byte(sectorShift), byte(clusterShift), byte(tables), 0x80, 0xFF
	b[510], b[511] = 0x55, 0xAA
	for i := int64(1); i <= 8; i++ {
		copy(b[(i+1)*sector-4:], "\x00\x00\x55\xAA")
	}
	w := &writer{m: m, sector: sector, cluster: cluster, tableAt: (tableAt + int64(tables-1)*tableLen) * sector, heapAt: heapAt * sector, count: uint32(count), used: map[uint32]bool{}}
	w.link(0, 0xFFFFFFF8)
	w.link(1, 0xFFFFFFFF)

	up := upcaseTable()
	if size < 64<<10 { // the capitals of ASCII, which are all that must be in it
		up = nil
		for u := range uint16('{') {
			if u >= 'a' && u <= 'z' {
				u -= 'a' - 'A'
			}
			up = le.AppendUint16(up, u)
		}
	}
	bitmap := w.allocate((count+7)/8, false)
	upcase := w.allocate(int64(len(up)), false)
	root := w.allocate(1, false)
	for _, c := range [][]uint32{bitmap, upcase, root} {
		w.chain(c)
	}
	w.fill(upcase, bytes.NewReader(up), int64(len(up)))
	le.PutUint32(b[96:], root[0])
	e := make([]byte, cluster)
	if label != "" {
		e[0], e[1] = 0x83, byte(len(utf16.Encode([]rune(label))))
		for i, u := range utf16.Encode([]rune(label)) {
			le.PutUint16(e[2+2*i:], u)
		}
	}
	copy(e[32:], entryOf(0x81, bitmap[0], (count+7)/8, 0))
	copy(e[64:], entryOf(0x82, upcase[0], int64(len(up)), sum32(up)))
	if label == "" {
		e = append(e[32:], make([]byte, 32)...)
	}
	w.fill(root, bytes.NewReader(e), cluster)
	w.bitmap = bitmap[0]
	w.writeBitmap()
	sealBoot(b)
	for _, at := range []int64{0, 12 * sector} {
		_, err := m.WriteAt(b, at)
		must(err)
	}
}

func entryOf(kind byte, first uint32, size int64, sum uint32) []byte {
	e := make([]byte, 32)
	e[0] = kind
	le.PutUint32(e[4:], sum)
	le.PutUint32(e[20:], first)
	le.PutUint64(e[24:], uint64(size))
	return e
}

// sealBoot gives a boot region its checksum.
func sealBoot(b []byte) {
	size := len(b) / 12
	sum := sum32(b[:11*size], 106, 107, 112)
	for i := 11 * size; i < len(b); i += 4 {
		le.PutUint32(b[i:], sum)
	}
}

// upcaseTable returns Unicode's capitals, compressed.
func upcaseTable() (b []byte) {
	upper := func(u int) uint16 {
		if c := unicode.ToUpper(rune(u)); c < 1<<16 {
			return uint16(c)
		}
		return uint16(u)
	}
	for u := 0; u < 1<<16; {
		same := 0
		for u+same < 1<<16 && int(upper(u+same)) == u+same {
			same++
		}
		if same > 2 || u+same == 1<<16 {
			b = le.AppendUint16(b, 0xFFFF)
			b = le.AppendUint16(b, uint16(min(same, 0xFFFF)))
			u += min(same, 0xFFFF)
			continue
		}
		b = le.AppendUint16(b, upper(u))
		u++
	}
	return b
}

// item is a file or, with a name that ends in a slash, a directory.
type item struct {
	path string
	data []byte

	size      int64 // of content that is longer than data, as zeros; 0 for none
	valid     int64 // what is said to be written of it; 0 for all
	scattered bool  // in a chain of clusters that are no neighbours
	chained   bool  // in a chain of neighbours
	modified  time.Time
	zone      int // minutes east of UTC
	noZone    bool
	extra     int // secondary entries that nobody knows
}

// writer adds files to a volume that is formatted.
type writer struct {
	m               medium
	sector, cluster int64
	tableAt, heapAt int64
	count, bitmap   uint32
	used            map[uint32]bool
	next            uint32 // below which no cluster is taken by neighbours
	entries         map[string]int64
}

func openWriter(m medium) (w *writer, root uint32) {
	b := make([]byte, 512)
	_, err := m.ReadAt(b, 0)
	must(err)
	w = &writer{m: m, sector: 1 << b[108], used: map[uint32]bool{}, entries: map[string]int64{}}
	w.cluster = w.sector << b[109]
	w.tableAt, w.heapAt = int64(le.Uint32(b[80:]))*w.sector, int64(le.Uint32(b[88:]))*w.sector
	if b[106]&1 != 0 {
		w.tableAt += int64(le.Uint32(b[84:])) * w.sector
	}
	w.count = le.Uint32(b[92:])
	return w, le.Uint32(b[96:])
}

func (w *writer) at(c uint32) int64 { return w.heapAt + int64(c-2)*w.cluster }

func (w *writer) link(c, to uint32) {
	_, err := w.m.WriteAt(le.AppendUint32(nil, to), w.tableAt+4*int64(c))
	must(err)
}

func (w *writer) chain(cs []uint32) {
	for i, c := range cs {
		to := uint32(0xFFFFFFFF)
		if i+1 < len(cs) {
			to = cs[i+1]
		}
		w.link(c, to)
	}
}

func (w *writer) allocate(size int64, scattered bool) (cs []uint32) {
	n := (size + w.cluster - 1) / w.cluster
	step := uint32(1)
	if scattered {
		step = 2
	}
	w.next = max(w.next, 2)
	for c := w.next; int64(len(cs)) < n; c += step {
		for w.used[c] {
			c++
		}
		if c > w.count+1 {
			panic("the volume is full")
		}
		if !scattered {
			w.next = c + 1
		}
		cs = append(cs, c)
		w.used[c] = true
	}
	if scattered { // the second half first
		k := len(cs) / 2
		cs = append(slices.Clone(cs[k:]), cs[:k]...)
	}
	// Neighbours begin behind all that is scattered.
	for c := range w.used {
		w.next = max(w.next, c+1)
	}
	return cs
}

// fill writes size bytes into clusters.
func (w *writer) fill(cs []uint32, r io.Reader, size int64) {
	b := make([]byte, min(size, w.cluster))
	for _, c := range cs {
		n, err := io.ReadFull(r, b[:min(size, w.cluster)])
		_, werr := w.m.WriteAt(b[:n], w.at(c))
		must(werr)
		if size -= int64(n); err != nil || size == 0 {
			break
		}
	}
}

func (w *writer) writeBitmap() {
	b := make([]byte, (w.count+7)/8)
	for c := range w.used {
		b[(c-2)/8] |= 1 << ((c - 2) % 8)
	}
	_, err := w.m.WriteAt(b, w.at(w.bitmap))
	must(err)
}

// write adds items to the volume on m and returns where each one's entries are, by path.
func write(m medium, items []item) map[string]int64 {
	w, root := openWriter(m)
	head := make([]byte, w.cluster)
	_, err := m.ReadAt(head, w.at(root))
	must(err)
	end := 0
	for ; head[end] != 0; end += 32 {
		if first, size := le.Uint32(head[end+20:]), int64(le.Uint64(head[end+24:])); head[end] == 0x81 || head[end] == 0x82 {
			if head[end] == 0x81 {
				w.bitmap = first
			}
			for c := range uint32((size + w.cluster - 1) / w.cluster) {
				w.used[first+c] = true
			}
		}
	}
	w.used[root] = true
	for c := range w.used {
		w.next = max(w.next, c+1)
	}
	w.dir("", head[:end], root, items)
	w.writeBitmap()
	return w.entries
}

// dir writes the directory prefix; first is the cluster of the root directory, else 0. It
// returns where it is.
func (w *writer) dir(prefix string, b []byte, first uint32, items []item) (uint32, int64) {
	at := map[string]int{}
	done := map[string]bool{}
	for _, it := range items {
		rest, ok := strings.CutPrefix(it.path, prefix)
		name, below, isDir := strings.Cut(rest, "/")
		if !ok || name == "" || done[name] {
			continue
		}
		done[name] = true
		var set []byte
		if isDir {
			c, size := w.dir(prefix+name+"/", nil, 0, items)
			if below != "" {
				it = item{modified: it.modified, zone: it.zone} // of a file in it
			}
			set = it.set(name, 0x10, c, size, size, len(items)%2 == 0)
			if len(items)%2 != 0 {
				w.chainOf(c, size)
			}
		} else {
			size := max(it.size, int64(len(it.data)))
			cs := w.allocate(size, it.scattered)
			if it.scattered || it.chained {
				w.chain(cs)
			}
			data := it.data
			if it.valid != 0 { // what follows is not to be seen
				data = append(slices.Clone(data[:it.valid]), bytes.Repeat([]byte{0xA5}, int(min(size, 1<<20)-it.valid))...)
			}
			w.fill(cs, bytes.NewReader(data), int64(len(data)))
			c := uint32(0)
			if len(cs) > 0 {
				c = cs[0]
			}
			set = it.set(name, 0x20, c, size, cmp.Or(it.valid, size), !it.scattered && !it.chained)
		}
		at[prefix+name] = len(b)
		b = append(b, set...)
	}
	size := max((int64(len(b))+w.cluster-1)/w.cluster, 1) * w.cluster
	var cs []uint32
	if first != 0 {
		cs = append([]uint32{first}, w.allocate(size-w.cluster, true)...)
		w.chain(cs)
	} else {
		cs = w.allocate(size, false)
	}
	w.fill(cs, bytes.NewReader(b), int64(len(b))) // what follows is zeros since the volume was formatted
	for name, off := range at {
		w.entries[name] = w.at(cs[int64(off)/w.cluster]) + int64(off)%w.cluster
	}
	return cs[0], size
}

func (w *writer) chainOf(first uint32, size int64) {
	var cs []uint32
	for i := range uint32(size / w.cluster) {
		cs = append(cs, first+i)
	}
	w.chain(cs)
}

// set returns a file's entries.
func (it item) set(name string, attr uint16, first uint32, size, valid int64, contiguous bool) []byte {
	units := utf16.Encode([]rune(name))
	names := (len(units) + 14) / 15
	b := make([]byte, 32*(2+names+it.extra))
	b[0], b[1] = 0x85, byte(1+names+it.extra)
	le.PutUint16(b[4:], attr)
	zone := byte(0x80 | it.zone/15&0x7F)
	if it.noZone {
		zone = 0
	}
	t := it.modified.In(time.FixedZone("", it.zone*60))
	if it.modified.IsZero() {
		t = time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC)
	}
	stamp := uint32(t.Year()-1980)<<25 | uint32(t.Month())<<21 | uint32(t.Day())<<16 | uint32(t.Hour())<<11 | uint32(t.Minute())<<5 | uint32(t.Second()/2)
	for i := range 3 {
		le.PutUint32(b[8+4*i:], stamp)
		b[22+i] = zone
	}
	b[20], b[21] = byte(t.Second()%2*100+t.Nanosecond()/1e7), byte(t.Second()%2*100+t.Nanosecond()/1e7)
	s := b[32:]
	s[0], s[1], s[3] = 0xC0, 1, byte(len(units))
	if contiguous && size > 0 {
		s[1] |= 2
	}
	var upper []byte
	for i, u := range units {
		c := unicode.ToUpper(rune(u))
		if c >= 1<<16 {
			c = rune(u)
		}
		upper = le.AppendUint16(upper, uint16(c))
		le.PutUint16(b[64+32*(i/15)+2+2*(i%15):], u)
	}
	for i := range names {
		b[64+32*i] = 0xC1
	}
	for i := range it.extra { // vendor extensions, 7.9
		b[64+32*(names+i)] = 0xE0
		copy(b[64+32*(names+i)+2:], "sixteen bytes ID")
	}
	le.PutUint16(s[4:], sum16(upper))
	le.PutUint64(s[8:], uint64(valid))
	le.PutUint32(s[20:], first)
	le.PutUint64(s[24:], uint64(size))
	le.PutUint16(b[2:], sum16(b, 2, 3))
	return b
}

// sealSet gives the entries at the beginning of b their checksum.
func sealSet(b []byte) {
	n := 32 * (1 + int(b[1]))
	le.PutUint16(b[2:], sum16(b[:n], 2, 3))
}

// want is what a walk should find, by path.
func want(items []item) map[string][]byte {
	m := map[string][]byte{}
	for _, it := range items {
		if it.size < 1<<30 && !strings.HasSuffix(it.path, "/") {
			b := make([]byte, max(it.size, int64(len(it.data))))
			copy(b, it.data[:cmp.Or(it.valid, int64(len(it.data)))])
			m[path.Clean(it.path)] = b
		}
	}
	return m
}

func content(seed byte, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// sample is what most test volumes hold. Its size is some three hundred clusters of unit
// bytes.
func sample(unit int) []item {
	items := []item{
		{path: "empty.txt"},
		{path: "one byte", data: content(1, 1)},
		{path: "models/contiguous.gguf", data: content(2, 20*unit+17)},
		{path: "models/scattered.gguf", data: content(3, 30*unit+1), scattered: true},
		{path: "models/chained.gguf", data: content(4, 8*unit), chained: true},
		{path: "models/begun.gguf", data: content(5, 9*unit), valid: int64(3*unit + 100)},
		{path: "models/begun and scattered.gguf", data: content(6, 9*unit), valid: int64(unit), scattered: true},
		{path: "models/reserved.gguf", size: int64(5 * unit), valid: 1, data: content(6, 1)},
		{path: "nothing/"},
		{path: "a/b/c/d/e/deep.txt", data: content(7, 100)},
		{path: "Grüße aus Köln.md", data: content(8, 5000)},
		{path: "日本語のファイル名.txt", data: content(9, 4096)},
		{path: "Ελληνικά.bin", data: content(10, 4097)},
		{path: "smile 😀.txt", data: content(11, 3)},
		{path: "fifteen12345678", data: content(12, 15)},
		{path: strings.Repeat("long", 63) + ".gz", data: content(13, 1000)},
		{path: "summer.txt", data: content(14, 10), modified: time.Date(2023, 7, 1, 23, 30, 15, 500e6, time.UTC), zone: 330},
		{path: "west.txt", data: content(15, 10), modified: time.Date(2023, 7, 1, 1, 30, 16, 0, time.UTC), zone: -480},
		{path: "local.txt", data: content(16, 10), modified: time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC), noZone: true},
	}
	for i := range 60 {
		items = append(items, item{path: fmt.Sprintf("many/file number %03d.txt", i), data: content(byte(i), i)})
	}
	for i := range 20 {
		items = append(items, item{path: fmt.Sprintf("in the root %02d", i), data: content(byte(i), i)})
	}
	return items
}

// newImage returns a volume in memory that holds items.
func newImage(size int64, sectorShift, clusterShift, tables int, items []item) (memory, map[string]int64) {
	m := make(memory, size)
	format(m, size, sectorShift, clusterShift, tables, "STICK ä")
	return m, write(m, items)
}

// check compares a mounted volume with what was written.
func check(t *testing.T, v *FS, items []item) {
	t.Helper()
	for name, data := range want(items) {
		got, err := v.ReadFile(name)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d; error %v", name, len(got), len(data), err)
		}
		f, err := v.Open(strings.ToUpper(name))
		if err != nil {
			t.Errorf("in capitals: %v", err)
			continue
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: read %d bytes, want %d; error %v", name, len(got), len(data), err)
		}
		f.Close()
		info, err := v.Stat(name)
		if err != nil || info.Size() != int64(len(data)) || info.Name() != path.Base(name) {
			t.Errorf("%s: %v, error %v", name, info, err)
		}
	}
}
