package knowledge

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"alphaos/knowledge/docs"
)

// The library as a file, so that it need not be made anew at each start. It is a cache: whatever is wrong
// with it, the documents are there to make another. Numbers are varints, texts have their length in front:
//
//	magic, model
//	documents   their number; of each name, size, time, hash, title, language, rows, note, text, number of chunks
//	chunks      of each document in order: start, end, section, place, length in terms
//	terms       their number; of each text, number of chunks, last chunk, list
//	vectors     numbers of a vector, number of vectors; of each chunk, scale; then all rows
//	CRC-32C     of all before, 4 bytes
const magic = "ALPHAIX\x01"

// ErrIndex says that a file is no index, is damaged, or of another model or version.
var ErrIndex = errors.New("the index can't be used; it is made anew from the documents")

type saver struct {
	w   *bufio.Writer
	buf []byte
	err error
}

func (s *saver) write(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *saver) num(v uint64) {
	s.buf = binary.AppendUvarint(s.buf[:0], v)
	s.write(s.buf)
}

func (s *saver) text(t string) {
	s.num(uint64(len(t)))
	if s.err == nil {
		_, s.err = s.w.WriteString(t)
	}
}

// Save writes the library to a file.
func (l *Library) Save(w io.Writer) error {
	l.mu.Lock() // the chunks are packed first
	defer l.mu.Unlock()
	if l.index.live < len(l.chunks) {
		l.pack()
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	s := &saver{w: bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)}
	s.write([]byte(magic))
	s.text(l.model)
	list := slices.SortedFunc(maps.Values(l.docs), func(a, b *document) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last), cmp.Compare(a.Name, b.Name))
	})
	s.num(uint64(len(list)))
	for _, d := range list {
		s.text(d.Name)
		s.num(uint64(d.Size))
		s.num(uint64(d.ModTime.Unix()))
		s.num(uint64(d.ModTime.Nanosecond()))
		s.write(d.Hash[:])
		s.text(d.title)
		s.num(uint64(d.lang))
		s.num(uint64(d.rows))
		s.text(d.note)
		s.text(d.text)
		s.num(uint64(d.last - d.first))
	}
	for i, c := range l.chunks {
		for _, n := range []uint32{c.start, c.end, c.section, uint32(c.place.Page), uint32(c.place.Line), uint32(c.place.Row), uint32(l.index.lengths[i])} {
			s.num(uint64(n))
		}
		s.text(c.place.Sheet)
		s.text(c.place.Path)
	}
	terms := slices.Sorted(maps.Keys(l.index.ids))
	s.num(uint64(len(terms)))
	for _, t := range terms {
		p := &l.index.terms[l.index.ids[t]]
		s.text(t)
		s.num(uint64(p.df))
		s.num(uint64(p.last))
		s.text(string(p.list))
	}
	s.num(uint64(l.vectors.dim))
	s.num(uint64(l.vectors.count))
	for i, c := range l.vectors.chunks {
		s.num(uint64(c))
		s.num(uint64(math.Float32bits(l.vectors.scales[i])))
	}
	row := make([]byte, l.vectors.dim)
	for i := range l.vectors.count {
		for k, v := range l.vectors.rows[i*l.vectors.dim:][:l.vectors.dim] {
			row[k] = byte(v)
		}
		s.write(row)
	}
	if s.err == nil {
		s.err = s.w.Flush()
	}
	if s.err == nil {
		_, s.err = w.Write(sum.Sum(nil))
	}
	return s.err
}

type loader struct {
	r    *bufio.Reader
	left int64 // bytes of the file, so that no length can be absurd
	sum  hash.Hash32
	err  error
}

func (l *loader) fail(what string) {
	if l.err == nil {
		l.err = fmt.Errorf("%w (%s)", ErrIndex, what)
	}
}

// ReadByte is for binary.ReadUvarint.
func (l *loader) ReadByte() (byte, error) {
	c, err := l.r.ReadByte()
	if err == nil {
		l.left--
		l.sum.Write([]byte{c})
	}
	return c, err
}

func (l *loader) num(most uint64) uint64 {
	if l.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(l)
	switch {
	case err != nil:
		l.fail("it ends early")
	case v > most:
		l.fail("a number is too large")
	default:
		return v
	}
	return 0
}

// count is a number of things that each need at least one byte of the file.
func (l *loader) count() int { return int(l.num(uint64(max(l.left, 0)))) }

func (l *loader) bytes(n int) []byte {
	if l.err != nil || int64(n) > l.left {
		l.fail("a length is too large")
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(l.r, b); err != nil {
		l.fail("it ends early")
		return nil
	}
	l.left -= int64(n)
	l.sum.Write(b)
	return b
}

func (l *loader) text() string { return string(l.bytes(l.count())) }

// Load reads a library that Save wrote to a file of size bytes, for an Embedder and its model as New takes them. Vectors of
// another model are left out; without an embedder they are kept for the one that Use names. The error wraps ErrIndex when the file is to blame.
func Load(r io.Reader, size int64, embedder Embedder, model string) (*Library, error) {
	f := &loader{r: bufio.NewReaderSize(r, 1<<16), left: size - 4, sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	if string(f.bytes(len(magic))) != magic {
		f.fail("it is of another version")
	}
	of := f.text()
	if embedder == nil {
		model = of
	}
	l := New(embedder, model)
	x := &l.index
	x.ids = map[string]uint32{}
	const most = math.MaxUint32
	var list []*document
	chunks := uint64(0)
	for n := f.count(); n > 0 && f.err == nil; n-- {
		d := &document{}
		d.Name = f.text()
		d.Size = int64(f.num(math.MaxInt64))
		d.ModTime = time.Unix(int64(f.num(math.MaxUint64)), int64(f.num(999_999_999))).UTC()
		copy(d.Hash[:], f.bytes(len(d.Hash)))
		d.title = f.text()
		d.lang = language(f.num(uint64(len(languages) - 1)))
		d.rows = int(f.num(most))
		d.note = f.text()
		d.text = f.text()
		d.first = uint32(chunks)
		if chunks += uint64(f.count()); chunks > uint64(size) {
			f.fail("there are too many chunks")
		}
		d.last = uint32(chunks)
		if l.docs[d.Name] != nil {
			f.fail("a document is there twice")
		}
		l.enter(d)
		list = append(list, d)
	}
	for _, d := range list {
		for i := d.first; i < d.last && f.err == nil; i++ {
			c := chunk{doc: d, start: uint32(f.num(most)), end: uint32(f.num(most)), section: uint32(f.num(most))}
			c.place = docs.Place{Page: int(f.num(most)), Line: int(f.num(most)), Row: int(f.num(most))}
			length := f.num(math.MaxUint16)
			c.place.Sheet, c.place.Path = f.text(), f.text()
			if c.start >= c.end || int(c.end) > len(d.text) || length == 0 {
				f.fail("a chunk is nowhere")
			}
			l.chunks = append(l.chunks, c)
			x.lengths = append(x.lengths, uint16(length))
			x.total += length
			x.live++
		}
	}
	for n := f.count(); n > 0 && f.err == nil; n-- {
		t := f.text()
		p := postings{df: uint32(f.num(chunks)), last: uint32(f.num(max(chunks, 1) - 1))}
		p.list = f.bytes(f.count())
		if _, ok := x.ids[t]; ok {
			f.fail("a term is there twice")
		}
		x.ids[t] = uint32(len(x.terms))
		x.terms = append(x.terms, p)
	}
	v := &l.vectors
	v.dim = f.count()
	v.count = f.count()
	if v.dim == 0 && v.count > 0 || f.err == nil && v.count > 0 && int64(v.dim) > f.left/int64(v.count) {
		f.fail("there are too many vectors")
	}
	for i := 0; i < v.count && f.err == nil; i++ {
		v.chunks = append(v.chunks, uint32(f.num(max(chunks, 1)-1)))
		v.scales = append(v.scales, math.Float32frombits(uint32(f.num(most))))
		if chunks == 0 {
			f.fail("a vector is of no chunk")
		}
	}
	if f.err == nil && v.count > 0 {
		rows := make([]int8, 0, v.count*v.dim)
		for range v.count {
			for _, c := range f.bytes(v.dim) {
				rows = append(rows, int8(c))
			}
		}
		v.rows = rows
	}
	want := f.sum.Sum32()
	var end [4]byte
	if _, err := io.ReadFull(f.r, end[:]); f.err == nil && (err != nil || f.left != 0 || binary.BigEndian.Uint32(end[:]) != want) {
		f.fail("its checksum is wrong")
	}
	if f.err != nil {
		return nil, f.err
	}
	if of != model {
		*v = vectors{}
	}
	for _, c := range v.chunks {
		v.hold(c)
	}
	return l, nil
}
