// Package gguf reads the GGUF model file format, versions 2 and 3, little
// endian: a table of metadata, a table of tensors, and the tensors' data.
//
// Read takes in the two tables only; tensor data stays in the file, and each
// Tensor tells where. A file is hostile until proven otherwise: every count
// and length is checked against the file's size and a fixed limit before
// memory is taken for it, and every tensor is known to lie inside the file,
// aligned and apart from all others, once Read has returned without an error.
//
// A file is called corrupt only if it breaks the format. What the format
// allows and this package does not know, or holds more of than its limits, is
// told as not supported. Tensors may have a type of which not even the size is
// known: the file can be read, and it is for its user to refuse them.
//
// The format is described in the ggml repository, docs/gguf.md.
package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Limits on what a file may declare. Real files stay far below them: the
// largest vocabularies have some 260 thousand words, the largest models a few
// thousand tensors.
const (
	maxTables   = 512 << 20 // bytes of both tables together
	maxKeys     = 1 << 16
	maxTensors  = 1 << 16
	maxKeyBytes = 1 << 16
	maxName     = 256
	maxElements = 1 << 24 // elements of an array
	maxArrays   = 1 << 20 // arrays within arrays, in the whole file
	maxNesting  = 16      // arrays within each other
	maxDims     = 4
	maxAlign    = 1 << 20
)

// Magic is what a GGUF file begins with.
const Magic = "GGUF"

// File is the two tables of a GGUF file.
type File struct {
	Version    uint32
	Tensors    []Tensor // in the order of the file's table
	DataOffset int64    // where tensor data begins, bytes from the start of the file
	Alignment  int64    // of every tensor's offset from DataOffset

	keys   []string
	values map[string]any
	byName map[string]int
}

// Tensor is one entry of the tensor table.
type Tensor struct {
	Name   string
	Type   Type
	Dims   []uint64 // one to four sizes; Dims[0] counts contiguous elements
	Offset int64    // of the data, bytes from the start of the file
	Bytes  int64    // of the data; of an unknown Type all up to the next tensor
}

// Elements is the number of elements in the tensor.
func (t *Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Dims {
		n *= int64(d) // Read has checked that the product fits
	}
	return n
}

// Metadata value types, in the file's numbering.
const (
	kindUint8 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// Read reads the tables of the GGUF file of size bytes in r. An error says in
// one sentence what is wrong with the file; it is errors.ErrUnsupported when
// nothing is but what is not known here.
func Read(r io.ReaderAt, size int64) (*File, error) {
	s := &scanner{r: r, size: size, limit: min(size, maxTables)}
	f, err := s.file()
	var beyond unsupported
	switch {
	case err == nil:
		return f, nil
	case s.failed != nil:
		return nil, fmt.Errorf("the GGUF file cannot be read: %w", s.failed)
	case errors.As(err, &beyond):
		return nil, fmt.Errorf("this GGUF file is not supported: %w", err)
	}
	return nil, err
}

// unsupported is what the format allows, or a later version of it may, and
// this package does not know.
type unsupported string

func (u unsupported) Error() string { return string(u) }

func (u unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

func notSupported(format string, args ...any) error {
	return unsupported(fmt.Sprintf(format, args...))
}

// corrupt says of which file an error tells, unless it is only not supported.
func corrupt(err error) error {
	var beyond unsupported
	if err == nil || errors.As(err, &beyond) {
		return err
	}
	return fmt.Errorf("corrupt GGUF file: %w", err)
}

func (s *scanner) file() (*File, error) {
	if s.size < 24 {
		return nil, fmt.Errorf("not a GGUF file: it has only %d bytes", max(s.size, 0))
	}
	magic, err := s.bytes(4)
	if err != nil {
		return nil, err
	}
	if string(magic) != Magic {
		return nil, fmt.Errorf("not a GGUF file: it begins with %q instead of %q", magic, Magic)
	}
	f := &File{values: map[string]any{}, byName: map[string]int{}, Alignment: 32}
	if f.Version, err = s.uint32(); err != nil {
		return nil, err
	}
	switch {
	case f.Version == 1:
		return nil, notSupported("it has version 1; versions 2 and 3 can be read, so convert the model again")
	case f.Version&0xffff == 0:
		return nil, notSupported("it is big-endian; only little-endian files can be read")
	case f.Version != 2 && f.Version != 3:
		return nil, notSupported("it has version %d; versions 2 and 3 can be read", f.Version)
	}
	tensors, err := s.uint64()
	if err != nil {
		return nil, err
	}
	if err := s.fits("tensors", tensors, 24, maxTensors); err != nil {
		return nil, err
	}
	keys, err := s.uint64()
	if err != nil {
		return nil, err
	}
	if err := s.fits("metadata keys", keys, 13, maxKeys); err != nil {
		return nil, err
	}
	for i := range keys {
		if err := s.keyValue(f); err != nil {
			return nil, corrupt(fmt.Errorf("metadata key %d of %d: %w", i+1, keys, err))
		}
	}
	if _, ok := f.values["general.alignment"]; ok {
		a, ok := f.Uint("general.alignment")
		if !ok || a == 0 {
			return nil, fmt.Errorf("corrupt GGUF file: general.alignment is %v, not a power of two", f.values["general.alignment"])
		}
		if a > maxAlign || a&(a-1) != 0 {
			return nil, notSupported("general.alignment is %d, not a power of two up to %d", a, maxAlign)
		}
		f.Alignment = int64(a)
	}
	for i := range tensors {
		if err := s.tensor(f); err != nil {
			return nil, corrupt(fmt.Errorf("tensor %d of %d: %w", i+1, tensors, err))
		}
	}
	f.DataOffset = (s.position() + f.Alignment - 1) &^ (f.Alignment - 1)
	if err := f.place(s.size); err != nil {
		return nil, corrupt(err)
	}
	return f, nil
}

// fits checks the number of entries in a table, each of at least least bytes.
func (s *scanner) fits(what string, n, least, limit uint64) error {
	switch {
	case n > uint64(s.size-s.position())/least:
		return fmt.Errorf("corrupt GGUF file: it claims %d %s, more than its %d bytes can hold", n, what, s.size)
	case n > limit:
		return notSupported("it has %d %s, and the limit is %d", n, what, limit)
	}
	return nil
}

func (s *scanner) keyValue(f *File) error {
	key, err := s.string(maxKeyBytes)
	if err != nil {
		return err
	}
	if _, dup := f.values[key]; dup {
		return fmt.Errorf("%q appears twice", key)
	}
	kind, err := s.uint32()
	if err != nil {
		return err
	}
	v, err := s.value(kind)
	if err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	f.keys = append(f.keys, key)
	f.values[key] = v
	return nil
}

// tensor reads one entry of the tensor table; Offset is left relative to the
// data's beginning until place has checked it.
func (s *scanner) tensor(f *File) error {
	name, err := s.string(maxName)
	if err != nil {
		return err
	}
	if _, dup := f.byName[name]; dup {
		return fmt.Errorf("%q appears twice", name)
	}
	dims, err := s.uint32()
	if err != nil {
		return err
	}
	if dims > maxDims {
		return notSupported("%q has %d dimensions, and the limit is %d", name, dims, maxDims)
	}
	t := Tensor{Name: name, Dims: make([]uint64, dims)}
	elements := uint64(1)
	for i := range t.Dims {
		if t.Dims[i], err = s.uint64(); err != nil {
			return err
		}
		hi, lo := bits.Mul64(elements, t.Dims[i])
		if hi != 0 || lo > math.MaxInt64/8 {
			return fmt.Errorf("%q has impossible dimensions %v", name, t.Dims[:i+1])
		}
		if elements = lo; lo == 0 {
			return notSupported("%q has no elements: its dimensions are %v", name, t.Dims[:i+1])
		}
	}
	if dims == 0 { // a single number
		t.Dims = []uint64{1}
	}
	kind, err := s.uint32()
	if err != nil {
		return err
	}
	if t.Type = Type(kind); t.Type.Known() {
		block := uint64(t.Type.BlockSize())
		if t.Dims[0]%block != 0 {
			return fmt.Errorf("%q has rows of %d elements, which is no multiple of a %v block's %d", name, t.Dims[0], t.Type, block)
		}
		hi, n := bits.Mul64(elements/block, uint64(t.Type.BlockBytes()))
		if hi != 0 || n > uint64(s.size) && (t.Type != Q2_0 || n/18*17 > uint64(s.size)) { // Q2_0: see regroup
			return fmt.Errorf("%q of dimensions %v in %v is larger than the file, which may be cut short: download or copy it again", name, t.Dims, t.Type)
		}
		t.Bytes = int64(n)
	}
	offset, err := s.uint64()
	if err != nil {
		return err
	}
	if offset > math.MaxInt64 {
		return fmt.Errorf("%q begins at the impossible offset %d", name, offset)
	}
	t.Offset = int64(offset)
	f.byName[name] = len(f.Tensors)
	f.Tensors = append(f.Tensors, t)
	return nil
}

// place checks that tensors lie in the file, aligned and apart, makes their
// offsets absolute, and finds the room of those whose size is not known.
func (f *File) place(size int64) error {
	order := make([]int, len(f.Tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(f.Tensors[a].Offset, f.Tensors[b].Offset) })
	f.regroup(order, size)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset%f.Alignment != 0 {
			return fmt.Errorf("tensor %q begins at offset %d, which is no multiple of the alignment %d", t.Name, t.Offset, f.Alignment)
		}
		if f.DataOffset > size || t.Offset > size-f.DataOffset || t.Bytes > size-f.DataOffset-t.Offset {
			return fmt.Errorf("tensor %q ends beyond the file's %d bytes, so the file is cut short: download or copy it again", t.Name, size)
		}
		t.Offset += f.DataOffset
	}
	for i, at := range order {
		a, end, next := &f.Tensors[at], size, "the end of the file"
		if i+1 < len(order) {
			b := &f.Tensors[order[i+1]]
			end, next = b.Offset, fmt.Sprintf("tensor %q", b.Name)
		}
		if !a.Type.Known() {
			a.Bytes = end - a.Offset
		}
		if a.Bytes == 0 || a.Bytes > end-a.Offset {
			return fmt.Errorf("tensor %q and %s overlap", a.Name, next)
		}
	}
	return nil
}

// regroup gives the tensors of type Q2_0 the type PQ2_0 if the file is of those that had
// its number before blocks of 64 were agreed on: blocks of 128 take a little less room, and
// the tensors of such a file leave no more between them. Whatever else does not fit is Q2_0,
// and place tells what is wrong with it. order sorts tensors by their offsets, which are still
// relative.
func (f *File) regroup(order []int, size int64) {
	short, older := false, true
	for i, at := range order {
		t, end := &f.Tensors[at], size-f.DataOffset
		if t.Type != Q2_0 {
			continue
		}
		if i+1 < len(order) {
			end = f.Tensors[order[i+1]].Offset
		}
		room := end - t.Offset
		short = short || t.Bytes > room
		spare := room - t.Bytes/18*17
		older = older && t.Dims[0]%uint64(PQ2_0.BlockSize()) == 0 && spare >= 0 && spare < f.Alignment
	}
	for i := range f.Tensors {
		if t := &f.Tensors[i]; t.Type == Q2_0 && short && older {
			t.Type, t.Bytes = PQ2_0, t.Bytes/18*17
		}
	}
}

// Keys lists the metadata keys in the order of the file.
func (f *File) Keys() []string { return slices.Clone(f.keys) }

// Value is the value of a metadata key: a bool, string, sized integer or
// float, a slice of one of these, or for an array of arrays a []any of slices;
// nil when absent. Slices are shared with the File and must not be changed.
func (f *File) Value(key string) any { return f.values[key] }

// Tensor finds a tensor by its name.
func (f *File) Tensor(name string) (*Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return nil, false
	}
	return &f.Tensors[i], true
}

// String is the value of a string key.
func (f *File) String(key string) (string, bool) {
	v, ok := f.values[key].(string)
	return v, ok
}

// Bool is the value of a bool key.
func (f *File) Bool(key string) (bool, bool) {
	v, ok := f.values[key].(bool)
	return v, ok
}

// Uint is the value of a key of any integer type that is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	var i int64
	switch v := f.values[key].(type) {
	case uint8:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	case int8:
		i = int64(v)
	case int16:
		i = int64(v)
	case int32:
		i = int64(v)
	case int64:
		i = v
	default:
		return 0, false
	}
	return uint64(i), i >= 0
}

// Float is the value of a floating-point key.
func (f *File) Float(key string) (float64, bool) {
	switch v := f.values[key].(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Strings is the value of an array-of-strings key, nil when absent. The slice
// is shared with the File and must not be changed.
func (f *File) Strings(key string) []string {
	v, _ := f.values[key].([]string)
	return v
}

// Floats is the value of an array of floats, nil when absent. The slice may be
// shared with the File and must not be changed.
func (f *File) Floats(key string) []float32 {
	switch v := f.values[key].(type) {
	case []float32:
		return v
	case []float64:
		return convert[float32](v)
	}
	return nil
}

// Ints is the value of an array of integers of any size, nil when absent; what
// does not fit 32 bits is cut off. The slice may be shared with the File and
// must not be changed.
func (f *File) Ints(key string) []int32 {
	switch v := f.values[key].(type) {
	case []int32:
		return v
	case []uint8:
		return convert[int32](v)
	case []int8:
		return convert[int32](v)
	case []uint16:
		return convert[int32](v)
	case []int16:
		return convert[int32](v)
	case []uint32:
		return convert[int32](v)
	case []uint64:
		return convert[int32](v)
	case []int64:
		return convert[int32](v)
	}
	return nil
}

type number interface {
	~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64 | ~int64 | ~float32 | ~float64
}

func convert[D, S number](s []S) []D {
	d := make([]D, len(s))
	for i, v := range s {
		d[i] = D(v)
	}
	return d
}

// Summary counts the tensors of each type, most bytes first: "Q4_K 25, F32 19".
func (f *File) Summary() string {
	type count struct {
		n     int
		bytes int64
	}
	counts := map[Type]count{}
	var types []Type
	for i := range f.Tensors {
		t := &f.Tensors[i]
		c, seen := counts[t.Type]
		if !seen {
			types = append(types, t.Type)
		}
		counts[t.Type] = count{c.n + 1, c.bytes + t.Bytes}
	}
	slices.SortStableFunc(types, func(a, b Type) int {
		if counts[a].bytes > counts[b].bytes {
			return -1
		}
		return 1
	})
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = fmt.Sprintf("%v %d", t, counts[t].n)
	}
	return strings.Join(parts, ", ")
}
