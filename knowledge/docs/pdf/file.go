package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// What is wrong with a file, as the end of a sentence.
var (
	ErrPassword = errors.New("it is protected by a password")
	ErrDamaged  = errors.New("it is damaged: no pages can be found in it")
	ErrTooLarge = errors.New("it unpacks to more than can be read")
)

const (
	maxStream  = 64 << 20 // bytes that a stream may unpack to
	maxWork    = 1 << 30  // bytes that all streams may, and operators count as some
	maxObjects = 1 << 22
	maxCached  = 1 << 16 // objects kept
)

// A place is where an object is: at an offset of the file, or the index-th of an object stream.
type place struct {
	at    int64
	in    int // number of the object stream, 0: none
	index int
}

// A file is an open PDF file.
type file struct {
	ctx     context.Context
	r       io.ReaderAt
	size    int64
	places  map[int]place
	trailer dict
	cipher  *cipher
	cache   map[int]any
	packs   map[int]*pack // object streams
	loading map[int]bool
	work    int64
}

// A pack is an unpacked object stream.
type pack struct {
	b  []byte
	at map[int]int // where an object begins, by number
}

// open finds the objects: by the table that the file ends with or, when that is damaged,
// by looking through all of it.
func open(ctx context.Context, r io.ReaderAt, size int64) (*file, error) {
	f := &file{ctx: ctx, r: r, size: size, places: map[int]place{}, trailer: dict{}, cache: map[int]any{}, packs: map[int]*pack{}, loading: map[int]bool{}}
	head := f.bytes(0, 1024)
	if !bytes.Contains(head, []byte("%PDF-")) {
		return nil, errors.New("it is not a PDF file, although its name says so")
	}
	f.readTables()
	if err := f.unlock(); err != nil {
		return nil, err
	}
	if !f.hasPages() {
		if err := f.mend(); err != nil {
			return nil, err
		}
	}
	return f, ctx.Err()
}

// hasPages tells whether the tree of pages can be found.
func (f *file) hasPages() bool {
	return len(f.array(f.dict(f.dict(f.trailer["Root"])["Pages"])["Kids"])) > 0
}

// bytes returns up to n bytes from an offset.
func (f *file) bytes(at int64, n int) []byte {
	if at < 0 || at >= f.size {
		return nil
	}
	b := make([]byte, min(int64(n), f.size-at))
	got, _ := f.r.ReadAt(b, at) // what can't be read is missing, and the file is mended without it
	return b[:got]
}

// readTables follows the cross-reference tables from the last one back.
func (f *file) readTables() {
	tail := f.bytes(max(0, f.size-2048), 2048)
	i := bytes.LastIndex(tail, []byte("startxref"))
	if i < 0 {
		return
	}
	at, ok := (&lexer{b: tail, i: i + len("startxref")}).next().(float64)
	if !ok {
		return
	}
	seen := map[int64]bool{}
	for queue := []float64{at}; len(queue) > 0 && len(seen) < 1000; {
		at := int64(queue[0])
		queue = queue[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		t := f.readTable(at)
		if t == nil {
			return
		}
		for k, v := range t {
			if _, ok := f.trailer[k]; !ok {
				f.trailer[k] = v
			}
		}
		for _, key := range []name{"XRefStm", "Prev"} {
			if prev, ok := t[key].(float64); ok {
				queue = append(queue, prev)
			}
		}
	}
}

func (f *file) readTable(at int64) dict {
	l := &lexer{b: f.bytes(at, 64)}
	if l.next() != op("xref") {
		s, ok := f.parseAt(at, ref{}).(*stream)
		if !ok || s.dict["Type"] != name("XRef") {
			return nil
		}
		f.readXrefStream(s)
		return s.dict
	}
	// The table may be as long as the file has objects.
	for n := 1 << 16; ; n *= 4 {
		b := f.bytes(at, n)
		l = &lexer{b: b, i: 4}
		found := map[int]place{}
		var t dict
		for t == nil {
			o := l.next()
			if o == op("trailer") {
				if t, _ = l.next().(dict); t == nil {
					return nil
				}
				break
			}
			from, ok := o.(float64)
			count, ok2 := l.next().(float64)
			if !ok || !ok2 || from < 0 || from+count > maxObjects {
				break
			}
			for i := 0; i < int(count); i++ {
				where, ok := l.next().(float64)
				l.next()
				kind, _ := l.next().(op)
				if !ok || kind != "n" && kind != "f" {
					break
				}
				if kind == "n" {
					found[int(from)+i] = place{at: int64(where)}
				}
			}
		}
		if t != nil && !l.short {
			for num, p := range found {
				if _, ok := f.places[num]; !ok {
					f.places[num] = p
				}
			}
			return t
		}
		if len(b) < n || n >= 256<<20 {
			return nil
		}
	}
}

func (f *file) readXrefStream(s *stream) {
	b, _ := f.decode(s) // what of it can be unpacked is used
	var w [3]int
	sum := 0
	for i, v := range f.array(s.dict["W"]) {
		if n, ok := v.(float64); ok && i < 3 && n >= 0 && n <= 8 {
			w[i] = int(n)
			sum += int(n)
		}
	}
	if sum == 0 {
		return
	}
	index := f.array(s.dict["Index"])
	if len(index) == 0 {
		index = []any{0.0, s.dict["Size"]}
	}
	for ; len(index) >= 2; index = index[2:] {
		from, ok := index[0].(float64)
		count, ok2 := index[1].(float64)
		if !ok || !ok2 || from < 0 || from+count > maxObjects {
			return
		}
		for i := 0; i < int(count) && len(b) >= sum; i++ {
			v := [3]int64{1, 0, 0}
			for k, n := range w {
				if n > 0 {
					v[k] = 0
				}
				for range n {
					v[k], b = v[k]<<8|int64(b[0]), b[1:]
				}
			}
			num := int(from) + i
			if _, ok := f.places[num]; ok {
				continue
			}
			switch v[0] {
			case 1:
				f.places[num] = place{at: v[1]}
			case 2:
				f.places[num] = place{in: int(v[1]), index: int(v[2])}
			}
		}
	}
}

// mend looks for objects in the whole file.
func (f *file) mend() error {
	f.places, f.trailer, f.cache = map[int]place{}, dict{}, map[int]any{}
	f.packs = map[int]*pack{}
	const window, overlap = 1 << 20, 1 << 10
	var packs []int
	for base := int64(0); base < f.size; base += window - overlap {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		b := f.bytes(base, window)
		for i := 0; ; {
			n := bytes.Index(b[i:], []byte("obj"))
			if n < 0 {
				break
			}
			i += n + 3
			if num, at, ok := objectBefore(b, i-3); ok && len(f.places) < maxObjects {
				f.places[num] = place{at: base + int64(at)}
				if head := b[i:min(len(b), i+300)]; bytes.Contains(head, []byte("/ObjStm")) && !slices.Contains(packs, num) && len(packs) < 1<<14 {
					packs = append(packs, num)
				}
			}
		}
		for i := 0; ; {
			n := bytes.Index(b[i:], []byte("trailer"))
			if n < 0 {
				break
			}
			i += n + 7
			if t, ok := (&lexer{b: b, i: i}).next().(dict); ok {
				for k, v := range t {
					f.trailer[k] = v
				}
			}
		}
		if base+window >= f.size {
			break
		}
	}
	// The trailer of newer files is the dictionary of a cross-reference stream.
	for _, num := range slices.Sorted(maps.Keys(f.places)) {
		if err := f.busy(num); err != nil {
			return err
		}
		if d := f.dict(ref{num, 0}); d["Type"] == name("XRef") {
			for _, key := range []name{"Root", "Encrypt", "ID"} {
				if v, ok := d[key]; ok && f.trailer[key] == nil {
					f.trailer[key] = v
				}
			}
		}
	}
	if err := f.unlock(); err != nil {
		return err
	}
	for _, num := range packs {
		if p := f.pack(num); p != nil {
			for inner := range p.at {
				if _, ok := f.places[inner]; !ok {
					f.places[inner] = place{in: num}
				}
			}
		}
	}
	nums := slices.Sorted(maps.Keys(f.places))
	if !f.hasPages() {
		for _, num := range nums {
			if err := f.busy(num); err != nil {
				return err
			}
			if f.dict(ref{num, 0})["Type"] == name("Catalog") {
				f.trailer["Root"] = ref{num, 0}
			}
		}
	}
	if f.hasPages() {
		return nil
	}
	// No tree: the pages in the order of their numbers.
	var kids []any
	for _, num := range nums {
		if f.dict(ref{num, 0})["Type"] == name("Page") {
			kids = append(kids, ref{num, 0})
		}
	}
	if len(kids) == 0 {
		return ErrDamaged
	}
	f.trailer["Root"] = dict{"Pages": dict{"Kids": kids}}
	return nil
}

// busy returns why work should stop, if it should, now and then.
func (f *file) busy(n int) error {
	if f.work > maxWork {
		return ErrTooLarge
	}
	if n&255 == 0 {
		return f.ctx.Err()
	}
	return nil
}

// objectBefore reads the two numbers in front of the word obj at i.
func objectBefore(b []byte, i int) (num, at int, ok bool) {
	back := func() (v int, ok bool) {
		end := i
		for i > 0 && class[b[i-1]] == 1 {
			i--
		}
		if i == end {
			return 0, false
		}
		end = i
		for i > 0 && b[i-1] >= '0' && b[i-1] <= '9' && end-i < 9 {
			i--
		}
		for _, c := range b[i:end] {
			v = v*10 + int(c-'0')
		}
		return v, i < end
	}
	if _, ok = back(); !ok {
		return 0, 0, false
	}
	num, ok = back()
	return num, i, ok && num < maxObjects
}

// parseAt reads the object "num gen obj …" at an offset.
func (f *file) parseAt(at int64, id ref) any {
	for n := 4 << 10; ; n *= 8 {
		b := f.bytes(at, n)
		if f.work += int64(len(b)) / 8; f.work > maxWork {
			return nil
		}
		l := &lexer{b: b}
		num, ok := l.next().(float64)
		_, ok2 := l.next().(float64)
		if !ok || !ok2 || l.next() != op("obj") || id.num != 0 && int(num) != id.num {
			return nil
		}
		if id.num == 0 {
			id.num = int(num)
		}
		o := l.next()
		d, isDict := o.(dict)
		if isDict && !l.short {
			save := l.i
			if l.next() == op("stream") {
				i := l.i
				if i < len(b) && b[i] == '\r' {
					i++
				}
				if i < len(b) && b[i] == '\n' {
					i++
				}
				return &stream{dict: d, at: at + int64(i), id: id}
			}
			l.i = save
		}
		if !l.short && l.i < len(b) || len(b) < n || n > 64<<20 {
			switch o.(type) {
			case op, stray, eof:
				return nil
			}
			return o
		}
	}
}

// get follows references to an object.
func (f *file) get(o any) any {
	for range 8 {
		r, ok := o.(ref)
		if !ok {
			return o
		}
		o = f.load(r)
	}
	return nil
}

func (f *file) load(r ref) any {
	if o, ok := f.cache[r.num]; ok {
		return o
	}
	p, ok := f.places[r.num]
	if !ok || f.loading[r.num] || f.work > maxWork {
		return nil
	}
	f.loading[r.num] = true
	defer delete(f.loading, r.num)
	var o any
	if p.in == 0 {
		o = f.parseAt(p.at, ref{r.num, r.gen})
		if f.cipher != nil {
			o = f.cipher.strings(o, r, 0)
		}
	} else if pack := f.pack(p.in); pack != nil {
		if at, ok := pack.at[r.num]; ok {
			l := &lexer{b: pack.b, i: at}
			switch v := l.next().(type) {
			case op, stray, eof:
			default:
				o = v
			}
			f.work += int64(l.i - at)
		}
	}
	if len(f.cache) >= maxCached {
		clear(f.cache)
	}
	f.cache[r.num] = o
	return o
}

// pack unpacks an object stream. A few are kept.
func (f *file) pack(num int) *pack {
	if p, ok := f.packs[num]; ok {
		return p
	}
	place, ok := f.places[num]
	if !ok || place.in != 0 {
		return nil
	}
	s, ok := f.parseAt(place.at, ref{num, 0}).(*stream)
	if !ok {
		return nil
	}
	b, _ := f.decode(s) // what of it can be unpacked is used
	first, _ := f.get(s.dict["First"]).(float64)
	count, _ := f.get(s.dict["N"]).(float64)
	p := &pack{b: b, at: map[int]int{}}
	l := &lexer{b: b}
	for i := 0; i < int(count); i++ {
		inner, ok := l.next().(float64)
		at, ok2 := l.next().(float64)
		if !ok || !ok2 {
			break
		}
		if at+first >= 0 && int(at+first) < len(b) {
			p.at[int(inner)] = int(at + first)
		}
	}
	if len(f.packs) >= 32 {
		clear(f.packs)
	}
	f.packs[num] = p
	return p
}

func (f *file) dict(o any) dict {
	switch o := f.get(o).(type) {
	case dict:
		return o
	case *stream:
		return o.dict
	}
	return nil
}

func (f *file) array(o any) []any {
	a, _ := f.get(o).([]any)
	return a
}

func (f *file) num(o any, otherwise float64) float64 {
	if n, ok := f.get(o).(float64); ok {
		return n
	}
	return otherwise
}

// raw returns the bytes of a stream as they are in the file.
func (f *file) raw(s *stream) ([]byte, error) {
	n := f.num(s.dict["Length"], -1)
	if n >= 0 && int64(n) <= f.size-s.at {
		if n > maxStream {
			return nil, ErrTooLarge
		}
		b := f.bytes(s.at, int(n)+32)
		if f.work += int64(len(b)); f.work > maxWork {
			return nil, ErrTooLarge
		}
		if len(b) >= int(n) && bytes.Contains(b[int(n):], []byte("endstream")) {
			return b[:int(n)], nil
		}
	}
	// The length is wrong: to the word that ends it.
	for n := 64 << 10; ; n *= 8 {
		b := f.bytes(s.at, n)
		if f.work += int64(len(b)); f.work > maxWork || len(b) > maxStream {
			return nil, ErrTooLarge
		}
		if i := bytes.Index(b, []byte("endstream")); i >= 0 {
			return b[:i], nil
		}
		if len(b) < n {
			return b, nil
		}
	}
}

// decode returns the bytes of a stream, unpacked.
func (f *file) decode(s *stream) ([]byte, error) {
	b, err := f.raw(s)
	if err != nil {
		return nil, err
	}
	if f.cipher != nil && s.dict["Type"] != name("XRef") {
		b = f.cipher.stream(b, s.id)
	}
	filters := f.list(s.dict["Filter"])
	params := f.list(s.dict["DecodeParms"])
	if len(filters) > 8 {
		return nil, fmt.Errorf("a stream has %d filters", len(filters))
	}
	for i, filter := range filters {
		var p dict
		if i < len(params) {
			p = f.dict(params[i])
		}
		kind, _ := f.get(filter).(name)
		out, e := f.filter(kind, p, b)
		if f.work += int64(len(out)); f.work > maxWork {
			return nil, ErrTooLarge
		}
		if e != nil && len(out) == 0 {
			return nil, e
		}
		b = out
	}
	return b, nil
}

// list is an array, or a single object as one.
func (f *file) list(o any) []any {
	switch o := f.get(o).(type) {
	case nil:
		return nil
	case []any:
		return o
	default:
		return []any{o}
	}
}
