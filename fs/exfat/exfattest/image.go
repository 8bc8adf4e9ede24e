// Package exfattest makes exFAT volumes for tests.
//
// Its writer is made from Microsoft's specification and not by the reader's ideas;
// fsck.exfat is asked if the volumes are right. It lays files out as a test wants them.
package exfattest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
)

// Medium is where an image is made.
type Medium interface {
	io.ReaderAt
	io.WriterAt
}

// Memory is a medium.
type Memory []byte

// ReadAt reads what is there.
func (m Memory) ReadAt(p []byte, off int64) (int, error) { return copy(p, m[off:]), nil }

// WriteAt writes where there is room.
func (m Memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

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

// Format makes an empty volume of size bytes. tables is the number of FATs; of two the
// second is in use.
func Format(m Medium, size int64, sectorShift, clusterShift, tables int, label string) {
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
	w := &Volume{m: m, sector: sector, cluster: cluster, Table: (tableAt + int64(tables-1)*tableLen) * sector, heapAt: heapAt * sector, Clusters: uint32(count), used: map[uint32]bool{}}
	w.Link(0, 0xFFFFFFF8)
	w.Link(1, 0xFFFFFFFF)

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
	SealBoot(b)
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

// SealBoot gives a boot region its checksum.
func SealBoot(b []byte) {
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

// Item is a file or, with a name that ends in a slash, a directory.
type Item struct {
	Path string
	Data []byte

	Size      int64 // of content that is longer than Data, as zeros; 0 for none
	Valid     int64 // what is said to be written of it; 0 for all
	Scattered bool  // in a chain of clusters that are no neighbours
	Chained   bool  // in a chain of neighbours
	Modified  time.Time
	Zone      int // minutes east of UTC
	NoZone    bool
	Extra     int // secondary entries that nobody knows
}

// Volume is a volume that is formatted.
type Volume struct {
	Table    int64 // where the FAT in use begins, in bytes
	Root     uint32
	Clusters uint32

	m               Medium
	sector, cluster int64
	heapAt          int64
	bitmap          uint32
	used            map[uint32]bool
	next            uint32 // below which no cluster is taken by neighbours
	entries         map[string]int64
}

// Open returns the volume on m, as its boot sector has it.
func Open(m Medium) *Volume {
	b := make([]byte, 512)
	_, err := m.ReadAt(b, 0)
	must(err)
	w := &Volume{m: m, sector: 1 << b[108], used: map[uint32]bool{}, entries: map[string]int64{}}
	w.cluster = w.sector << b[109]
	w.Table, w.heapAt = int64(le.Uint32(b[80:]))*w.sector, int64(le.Uint32(b[88:]))*w.sector
	if b[106]&1 != 0 {
		w.Table += int64(le.Uint32(b[84:])) * w.sector
	}
	w.Clusters, w.Root = le.Uint32(b[92:]), le.Uint32(b[96:])
	return w
}

// At returns where a cluster begins, in bytes.
func (w *Volume) At(c uint32) int64 { return w.heapAt + int64(c-2)*w.cluster }

// Link sets the FAT's entry of the cluster c.
func (w *Volume) Link(c, to uint32) {
	_, err := w.m.WriteAt(le.AppendUint32(nil, to), w.Table+4*int64(c))
	must(err)
}

func (w *Volume) chain(cs []uint32) {
	for i, c := range cs {
		to := uint32(0xFFFFFFFF)
		if i+1 < len(cs) {
			to = cs[i+1]
		}
		w.Link(c, to)
	}
}

func (w *Volume) allocate(size int64, scattered bool) (cs []uint32) {
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
		if c > w.Clusters+1 {
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
func (w *Volume) fill(cs []uint32, r io.Reader, size int64) {
	b := make([]byte, min(size, w.cluster))
	for _, c := range cs {
		n, err := io.ReadFull(r, b[:min(size, w.cluster)])
		_, werr := w.m.WriteAt(b[:n], w.At(c))
		must(werr)
		if size -= int64(n); err != nil || size == 0 {
			break
		}
	}
}

func (w *Volume) writeBitmap() {
	b := make([]byte, (w.Clusters+7)/8)
	for c := range w.used {
		b[(c-2)/8] |= 1 << ((c - 2) % 8)
	}
	_, err := w.m.WriteAt(b, w.At(w.bitmap))
	must(err)
}

// Write adds items to the volume on m and returns where each one's entries are, by path.
func Write(m Medium, items []Item) map[string]int64 {
	w := Open(m)
	root := w.Root
	head := make([]byte, w.cluster)
	_, err := m.ReadAt(head, w.At(root))
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
func (w *Volume) dir(prefix string, b []byte, first uint32, items []Item) (uint32, int64) {
	at := map[string]int{}
	done := map[string]bool{}
	for _, it := range items {
		rest, ok := strings.CutPrefix(it.Path, prefix)
		name, below, isDir := strings.Cut(rest, "/")
		if !ok || name == "" || done[name] {
			continue
		}
		done[name] = true
		var set []byte
		if isDir {
			c, size := w.dir(prefix+name+"/", nil, 0, items)
			if below != "" {
				it = Item{Modified: it.Modified, Zone: it.Zone} // of a file in it
			}
			set = it.set(name, 0x10, c, size, size, len(items)%2 == 0)
			if len(items)%2 != 0 {
				w.chainOf(c, size)
			}
		} else {
			size := max(it.Size, int64(len(it.Data)))
			cs := w.allocate(size, it.Scattered)
			if it.Scattered || it.Chained {
				w.chain(cs)
			}
			data := it.Data
			if it.Valid != 0 { // what follows is not to be seen
				data = append(slices.Clone(data[:it.Valid]), bytes.Repeat([]byte{0xA5}, int(min(size, 1<<20)-it.Valid))...)
			}
			w.fill(cs, bytes.NewReader(data), int64(len(data)))
			c := uint32(0)
			if len(cs) > 0 {
				c = cs[0]
			}
			set = it.set(name, 0x20, c, size, cmp.Or(it.Valid, size), !it.Scattered && !it.Chained)
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
		w.entries[name] = w.At(cs[int64(off)/w.cluster]) + int64(off)%w.cluster
	}
	return cs[0], size
}

func (w *Volume) chainOf(first uint32, size int64) {
	var cs []uint32
	for i := range uint32(size / w.cluster) {
		cs = append(cs, first+i)
	}
	w.chain(cs)
}

// set returns a file's entries.
func (it Item) set(name string, attr uint16, first uint32, size, valid int64, contiguous bool) []byte {
	units := utf16.Encode([]rune(name))
	names := (len(units) + 14) / 15
	b := make([]byte, 32*(2+names+it.Extra))
	b[0], b[1] = 0x85, byte(1+names+it.Extra)
	le.PutUint16(b[4:], attr)
	zone := byte(0x80 | it.Zone/15&0x7F)
	if it.NoZone {
		zone = 0
	}
	t := it.Modified.In(time.FixedZone("", it.Zone*60))
	if it.Modified.IsZero() {
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
	for i := range it.Extra { // vendor extensions, 7.9
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

// SealSet gives the entries at the beginning of b their checksum.
func SealSet(b []byte) {
	n := 32 * (1 + int(b[1]))
	le.PutUint16(b[2:], sum16(b[:n], 2, 3))
}
