package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// A scanner walks the tables once, front to back. The file is read in chunks
// that are never written again, so that the strings of a large vocabulary can
// point into them instead of being copied one by one.
//
// Invariant: chunk[pos:] holds the bytes that follow the last one taken, and
// chunk ends at file offset end, which never passes limit.
type scanner struct {
	r     io.ReaderAt
	size  int64 // of the file
	limit int64 // no table byte lies beyond
	chunk []byte
	pos   int
	end   int64

	arrays int   // within others, so far
	failed error // of r, which is not the file's fault
}

// The first chunk suits a small file; a vocabulary needs larger ones.
const (
	firstChunk = 256 << 10
	nextChunk  = 2 << 20
)

var errShort = errors.New("the file ends in the middle of its tables: download or copy it again")

func (s *scanner) position() int64  { return s.end - int64(len(s.chunk)-s.pos) }
func (s *scanner) remaining() int64 { return s.limit - s.position() }

// bytes takes the next n bytes. The result is valid for ever.
func (s *scanner) bytes(n int) ([]byte, error) {
	if have := len(s.chunk) - s.pos; have < n {
		if int64(n) > s.remaining() {
			if s.limit < s.size {
				return nil, notSupported("its tables are larger than the limit of %d MiB", maxTables>>20)
			}
			return nil, errShort
		}
		want := nextChunk
		if s.end == 0 {
			want = firstChunk
		}
		want = int(min(int64(max(want, n)), int64(have)+s.limit-s.end))
		next := make([]byte, want)
		copy(next, s.chunk[s.pos:])
		if got, err := s.r.ReadAt(next[have:], s.end); got < want-have {
			if err == nil || err == io.EOF {
				return nil, errShort
			}
			s.failed = err
			return nil, err
		}
		s.end += int64(want - have)
		s.chunk, s.pos = next, 0
	}
	b := s.chunk[s.pos : s.pos+n : s.pos+n]
	s.pos += n
	return b, nil
}

func (s *scanner) uint32() (uint32, error) {
	b, err := s.bytes(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (s *scanner) uint64() (uint64, error) {
	b, err := s.bytes(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string takes a length and that many bytes.
func (s *scanner) string(limit int64) (string, error) {
	n, err := s.uint64()
	if err != nil {
		return "", err
	}
	if n > uint64(min(limit, s.size-s.position())) {
		return "", fmt.Errorf("a text claims %d bytes, more than the file or the format allows", n)
	}
	b, err := s.bytes(int(n))
	if err != nil {
		return "", err
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), nil
}

// sizes of the fixed-size kinds in bytes.
var sizes = [...]int{
	kindUint8: 1, kindInt8: 1, kindUint16: 2, kindInt16: 2, kindUint32: 4, kindInt32: 4,
	kindFloat32: 4, kindBool: 1, kindUint64: 8, kindInt64: 8, kindFloat64: 8,
}

func (s *scanner) value(kind uint32) (any, error) {
	switch kind {
	case kindString:
		return s.string(math.MaxInt64)
	case kindArray:
		return s.array(1)
	}
	if kind >= uint32(len(sizes)) {
		return nil, notSupported("it has the unknown value type %d: the file is damaged or made by a newer program", kind)
	}
	b, err := s.bytes(sizes[kind])
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return b[0], nil
	case kindInt8:
		return int8(b[0]), nil
	case kindUint16:
		return le.Uint16(b), nil
	case kindInt16:
		return int16(le.Uint16(b)), nil
	case kindUint32:
		return le.Uint32(b), nil
	case kindInt32:
		return int32(le.Uint32(b)), nil
	case kindFloat32:
		return math.Float32frombits(le.Uint32(b)), nil
	case kindBool:
		return b[0] != 0, nil
	case kindUint64:
		return le.Uint64(b), nil
	case kindInt64:
		return int64(le.Uint64(b)), nil
	default:
		return math.Float64frombits(le.Uint64(b)), nil
	}
}

// array takes an array, which is within depth-1 others.
func (s *scanner) array(depth int) (any, error) {
	kind, err := s.uint32()
	if err != nil {
		return nil, err
	}
	count, err := s.uint64()
	if err != nil {
		return nil, err
	}
	if kind >= uint32(len(sizes)) {
		return nil, notSupported("it is an array of the unknown value type %d: the file is damaged or made by a newer program", kind)
	}
	least := sizes[kind] // bytes an element takes in the file
	switch kind {
	case kindString: // its length
		least = 8
	case kindArray: // its type and length
		least = 12
	}
	if count > uint64(s.size-s.position())/uint64(least) {
		return nil, fmt.Errorf("an array claims %d elements, more than the file can hold", count)
	}
	if count > maxElements {
		return nil, notSupported("it is an array of %d elements, and the limit is %d", count, maxElements)
	}
	n := int(count)
	if kind == kindArray {
		if s.arrays += n; depth == maxNesting || s.arrays > maxArrays {
			return nil, notSupported("it has arrays within arrays more than %d deep, or more than %d of them", maxNesting, maxArrays)
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = s.array(depth + 1); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	if kind == kindString {
		texts := make([]string, 0, min(n, 1<<18)) // grown only as texts are really found
		for range n {
			t, err := s.string(math.MaxInt64)
			if err != nil {
				return nil, err
			}
			texts = append(texts, t)
		}
		return texts, nil
	}
	b, err := s.bytes(n * least)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return b, nil
	case kindInt8:
		return decode(n, func(i int) int8 { return int8(b[i]) }), nil
	case kindUint16:
		return decode(n, func(i int) uint16 { return le.Uint16(b[2*i:]) }), nil
	case kindInt16:
		return decode(n, func(i int) int16 { return int16(le.Uint16(b[2*i:])) }), nil
	case kindUint32:
		return decode(n, func(i int) uint32 { return le.Uint32(b[4*i:]) }), nil
	case kindInt32:
		return decode(n, func(i int) int32 { return int32(le.Uint32(b[4*i:])) }), nil
	case kindFloat32:
		return decode(n, func(i int) float32 { return math.Float32frombits(le.Uint32(b[4*i:])) }), nil
	case kindBool:
		return decode(n, func(i int) bool { return b[i] != 0 }), nil
	case kindUint64:
		return decode(n, func(i int) uint64 { return le.Uint64(b[8*i:]) }), nil
	case kindInt64:
		return decode(n, func(i int) int64 { return int64(le.Uint64(b[8*i:])) }), nil
	default:
		return decode(n, func(i int) float64 { return math.Float64frombits(le.Uint64(b[8*i:])) }), nil
	}
}

func decode[T any](n int, at func(int) T) []T {
	v := make([]T, n)
	for i := range v {
		v[i] = at(i)
	}
	return v
}
