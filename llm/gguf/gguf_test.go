package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// builder writes GGUF bytes, right or wrong as the test wishes.
type builder struct{ bytes.Buffer }

func (b *builder) u32(v uint32) *builder {
	b.Write(binary.LittleEndian.AppendUint32(nil, v))
	return b
}
func (b *builder) u64(v uint64) *builder {
	b.Write(binary.LittleEndian.AppendUint64(nil, v))
	return b
}
func (b *builder) str(s string) *builder {
	b.u64(uint64(len(s)))
	b.WriteString(s)
	return b
}
func (b *builder) head(version uint32, tensors, keys uint64) *builder {
	b.WriteString("GGUF")
	return b.u32(version).u64(tensors).u64(keys)
}
func (b *builder) tensor(name string, t Type, offset uint64, dims ...uint64) *builder {
	b.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b.u64(d)
	}
	return b.u32(uint32(t)).u64(offset)
}
func (b *builder) align(n int) *builder {
	for b.Len()%n != 0 {
		b.WriteByte(0)
	}
	return b
}
func (b *builder) data(n int) []byte {
	b.align(32).Write(make([]byte, n))
	return b.Bytes()
}

func small() []byte {
	b := &builder{}
	b.head(3, 2, 8)
	b.str("general.architecture").u32(kindString).str("llama")
	b.str("n").u32(kindInt16).Write([]byte{7, 0})
	b.str("eps").u32(kindFloat32).u32(math.Float32bits(1e-5))
	b.str("yes").u32(kindBool).WriteByte(1)
	b.str("words").u32(kindArray).u32(kindString).u64(3).str("a").str("").str("ccc")
	b.str("scores").u32(kindArray).u32(kindFloat32).u64(2).u32(math.Float32bits(-1)).u32(math.Float32bits(2.5))
	b.str("kinds").u32(kindArray).u32(kindInt32).u64(2).u32(3).u32(math.MaxUint32)
	b.str("negative").u32(kindInt64).u64(math.MaxUint64)
	b.tensor("a", Q8_0, 0, 64, 3).tensor("b", F32, 224, 5)
	return b.data(224 + 20)
}

func TestRead(t *testing.T) {
	d := small()
	f, err := Read(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := f.String("general.architecture"); v != "llama" || !ok {
		t.Errorf("String = %q, %v", v, ok)
	}
	if v, ok := f.Uint("n"); v != 7 || !ok {
		t.Errorf("Uint = %d, %v", v, ok)
	}
	if _, ok := f.Uint("negative"); ok {
		t.Error("a negative number was accepted as Uint")
	}
	if v, ok := f.Float("eps"); float32(v) != 1e-5 || !ok {
		t.Errorf("Float = %g, %v", v, ok)
	}
	if v, ok := f.Bool("yes"); !v || !ok {
		t.Errorf("Bool = %v, %v", v, ok)
	}
	if v := f.Strings("words"); !reflect.DeepEqual(v, []string{"a", "", "ccc"}) {
		t.Errorf("Strings = %q", v)
	}
	if v := f.Floats("scores"); !reflect.DeepEqual(v, []float32{-1, 2.5}) {
		t.Errorf("Floats = %v", v)
	}
	if v := f.Ints("kinds"); !reflect.DeepEqual(v, []int32{3, -1}) {
		t.Errorf("Ints = %v", v)
	}
	if f.Strings("absent") != nil || f.Value("absent") != nil || f.Ints("words") != nil {
		t.Error("an absent or differently typed key has a value")
	}
	if len(f.Keys()) != 8 || f.Keys()[4] != "words" {
		t.Errorf("Keys = %q", f.Keys())
	}
	a, _ := f.Tensor("a")
	b, ok := f.Tensor("b")
	if !ok || a.Bytes != 3*2*34 || b.Bytes != 20 || a.Offset != f.DataOffset || b.Offset != f.DataOffset+224 || b.Elements() != 5 {
		t.Errorf("tensors %+v %+v", a, b)
	}
	if got := f.Summary(); got != "Q8_0 1, F32 1" {
		t.Errorf("Summary = %q", got)
	}
}

// A file cut anywhere is refused without a panic.
func TestReadCut(t *testing.T) {
	d := small()
	for n := range d {
		if _, err := Read(bytes.NewReader(d[:n]), int64(n)); err == nil {
			t.Errorf("a file cut to %d of %d bytes was accepted", n, len(d))
		}
		if _, err := Read(bytes.NewReader(d[:n]), int64(len(d))); err == nil && n < int(len(d)-244) {
			t.Errorf("a reader that ends at %d of %d bytes was accepted", n, len(d))
		}
	}
}

func TestReadRefuses(t *testing.T) {
	h := func(tensors, keys uint64) *builder { return (&builder{}).head(3, tensors, keys) }
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "only 0 bytes"},
		{"other file", append([]byte("PK\x03\x04"), make([]byte, 40)...), "not a GGUF"},
		{"version 1", (&builder{}).head(1, 0, 0).data(0), "version 1"},
		{"big endian", (&builder{}).head(3<<24, 0, 0).data(0), "big-endian"},
		{"version 9", (&builder{}).head(9, 0, 0).data(0), "version 9"},
		{"many tensors", h(1<<60, 0).data(64), "claims 1152921504606846976 tensors"},
		{"many keys", h(0, 1<<40).data(64), "metadata keys"},
		{"long key", h(0, 1).u64(1 << 62).data(64), "claims 4611686018427387904 bytes"},
		{"negative key", h(0, 1).u64(math.MaxUint64).data(64), "claims 18446744073709551615 bytes"},
		{"long array", h(0, 1).str("k").u32(kindArray).u32(kindUint64).u64(1 << 61).data(64), "array claims"},
		{"array beyond file", h(0, 1).str("k").u32(kindArray).u32(kindString).u64(1000).data(64), "array claims 1000"},
		{"array of arrays beyond file", h(0, 1).str("k").u32(kindArray).u32(kindArray).u64(1000).data(64), "array claims 1000"},
		{"unknown value", h(0, 1).str("k").u32(77).data(64), "not supported: metadata key 1 of 1: \"k\": it has the unknown value type 77"},
		{"array of unknown values", h(0, 1).str("k").u32(kindArray).u32(77).u64(1).data(64), "not supported: metadata key 1 of 1: \"k\": it is an array of the unknown value type 77"},
		{"deep arrays", nested(h(0, 1).str("k").u32(kindArray), maxNesting).u32(kindUint8).u64(0).data(64), "not supported"},
		{"double key", h(0, 2).str("k").u32(kindUint32).u32(1).str("k").u32(kindUint32).u32(1).data(64), "twice"},
		{"odd alignment", h(0, 1).str("general.alignment").u32(kindUint32).u32(48).data(64), "not supported: general.alignment is 48"},
		{"alignment 0", h(0, 1).str("general.alignment").u32(kindUint32).u32(0).data(64), "corrupt GGUF file: general.alignment is 0"},
		{"alignment no number", h(0, 1).str("general.alignment").u32(kindString).str("x").data(64), "power of two"},
		{"five dimensions", h(1, 0).tensor("t", F32, 0, 1, 1, 1, 1, 1).data(64), "not supported: tensor 1 of 1: \"t\" has 5 dimensions"},
		{"zero dimension", h(1, 0).tensor("t", F32, 0, 0).data(64), "not supported: tensor 1 of 1: \"t\" has no elements"},
		{"overflow", h(1, 0).tensor("t", F32, 0, 1<<32, 1<<32, 1<<32).data(64), "impossible dimensions"},
		{"too large", h(1, 0).tensor("t", F32, 0, 1<<30).data(64), "larger than the file"},
		{"unknown type without data", h(1, 0).tensor("t", 200, 64, 1).data(64), "overlap"},
		{"unknown types together", h(2, 0).tensor("t", 200, 0, 1).tensor("u", 200, 0, 1).data(64), "overlap"},
		{"half block", h(1, 0).tensor("t", Q4_0, 0, 48).data(64), "no multiple"},
		{"odd offset", h(1, 0).tensor("t", F32, 4, 4).data(64), "alignment"},
		{"far offset", h(1, 0).tensor("t", F32, 1<<40, 4).data(64), "cut short"},
		{"offset overflow", h(1, 0).tensor("t", F32, math.MaxInt64-31, 4).data(64), "cut short"},
		{"offset negative", h(1, 0).tensor("t", F32, 1<<63, 4).data(64), "impossible offset"},
		{"overlap", h(2, 0).tensor("t", F32, 0, 12).tensor("u", F32, 32, 4).data(96), "overlap"},
		{"double tensor", h(2, 0).tensor("t", F32, 0, 1).tensor("t", F32, 32, 1).data(96), "twice"},
	} {
		_, err := Read(bytes.NewReader(c.file), int64(len(c.file)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is not one sentence: %v", c.name, err)
		} else if strings.Contains(err.Error(), "corrupt") && strings.Contains(err.Error(), "supported") {
			t.Errorf("%s: %v", c.name, err)
		} else if errors.Is(err, errors.ErrUnsupported) != strings.Contains(err.Error(), "not supported: ") {
			t.Errorf("%s: %v is not told apart from damage", c.name, err)
		}
	}
}

// What fits into a large file but is beyond a limit is not damage.
func TestReadLarge(t *testing.T) {
	h := func() *builder { return (&builder{}).head(3, 0, 1).str("k") }
	for name, b := range map[string]*builder{
		"text":           h().u32(kindString).u64(maxTables + 1),
		"text in array":  h().u32(kindArray).u32(kindString).u64(1).u64(maxTables + 1),
		"array":          h().u32(kindArray).u32(kindUint64).u64(maxTables / 8),
		"tensors":        (&builder{}).head(3, 40_000_000, 0),
		"array of texts": h().u32(kindArray).u32(kindString).u64(maxTables / 8),
	} {
		_, err := Read(sparse(b.Bytes()), 2*maxTables)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sparse is a file that begins with these bytes and goes on with zeros.
type sparse []byte

func (s sparse) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(s)) {
		copy(p, s[at:])
	}
	return len(p), nil
}

// nested is n arrays of one array each.
func nested(b *builder, n int) *builder {
	for range n {
		b.u32(kindArray).u64(1)
	}
	return b
}

// What the format allows is read, whether or not anybody here can use it.
func TestReadUnusual(t *testing.T) {
	b := (&builder{}).head(3, 5, 2)
	b.str("pairs").u32(kindArray).u32(kindArray).u64(3)
	b.u32(kindString).u64(2).str("a").str("b")
	b.u32(kindUint16).u64(1).Write([]byte{7, 0})
	b.u32(kindArray).u64(1).u32(kindBool).u64(2).Write([]byte{1, 0})
	nested(b.str("deep").u32(kindArray), maxNesting-1).u32(kindUint8).u64(0)
	b.tensor("new", 105, 0, 64, 2).tensor("removed", 31, 64, 32).tensor("number", F32, 96)
	b.tensor("ternary", TQ2_0, 128, 256).tensor("last", 37, 224, 100)
	d := b.data(250)
	f, err := Read(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{[]string{"a", "b"}, []uint16{7}, []any{[]bool{true, false}}}
	if got := f.Value("pairs"); !reflect.DeepEqual(got, want) {
		t.Errorf("pairs are %#v", got)
	}
	for i, want := range []struct {
		kind  string
		bytes int64
	}{{"number 105", 64}, {"Q4_0_4_4", 32}, {"F32", 4}, {"TQ2_0", 66}, {"IQ4_NL_4_8", 26}} {
		if x := f.Tensors[i]; x.Type.String() != want.kind || x.Bytes != want.bytes {
			t.Errorf("tensor %s has type %v and %d bytes, not %v", x.Name, x.Type, x.Bytes, want)
		}
	}
	if s := f.Summary(); !strings.Contains(s, "number 105 1") {
		t.Errorf("the summary is %q", s)
	}

	// Written again it is the same.
	var meta []KeyValue
	for _, k := range f.Keys() {
		meta = append(meta, KeyValue{k, f.Value(k)})
	}
	to := append([]Tensor(nil), f.Tensors...)
	head, err := Head(meta, to)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range f.Tensors {
		head = append(head, make([]byte, to[i].Offset-int64(len(head)))...)
		head = append(head, d[x.Offset:][:x.Bytes]...)
	}
	g, err := Read(bytes.NewReader(head), int64(len(head)))
	if err != nil || !reflect.DeepEqual(g.values, f.values) || !reflect.DeepEqual(g.Tensors, to) {
		t.Errorf("written and read again: %+v, %v", g, err)
	}
	if _, err := Head([]KeyValue{{"mixed", []any{[]string{}, "text"}}}, nil); err == nil {
		t.Error("a text among arrays was written")
	}
}

// A medium that fails is not the file's fault.
func TestReadFails(t *testing.T) {
	d := small()
	_, err := Read(failing{}, int64(len(d)))
	if err == nil || strings.Contains(err.Error(), "corrupt") || !errors.Is(err, errFailing) {
		t.Errorf("error %v", err)
	}
}

var errFailing = errors.New("the drive was removed")

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errFailing }

// A vocabulary that spans several chunks comes back whole.
func TestLargeVocabulary(t *testing.T) {
	b := vocabulary(300000)
	f, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	words := f.Strings("tokenizer.ggml.tokens")
	if len(words) != 300000 {
		t.Fatalf("%d words", len(words))
	}
	for i, w := range words {
		if w != fmt.Sprintf("word%d", i) {
			t.Fatalf("word %d is %q", i, w)
		}
	}
}

func vocabulary(n int) []byte {
	b := &builder{}
	b.head(3, 0, 1).str("tokenizer.ggml.tokens").u32(kindArray).u32(kindString).u64(uint64(n))
	for i := range n {
		b.str(fmt.Sprintf("word%d", i))
	}
	return b.Bytes()
}

func TestReferenceFiles(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/models/*.gguf")
	cases, _ := filepath.Glob("../../../shared/cases/called-corrupt/*.gguf")
	files = append(files, cases...)
	more, _ := filepath.Glob("../../../shared/data/tokenizer/*.gguf")
	if files = append(files, more...); len(files) == 0 {
		t.Skip("no reference models in ../shared/data beside the repository")
	}
	for _, name := range files {
		r, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := r.Stat()
		if err != nil {
			t.Fatal(err)
		}
		f, err := Read(r, info.Size())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if _, ok := f.String("general.architecture"); !ok {
			t.Errorf("%s has no architecture", name)
		}
		r.Close()
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small())
	f.Add(vocabulary(20))
	f.Add((&builder{}).head(2, 1, 0).tensor("t", Q4_K, 0, 256, 2).data(288))
	f.Add(nested((&builder{}).head(3, 1, 1).str("k").u32(kindArray), 3).u32(kindUint8).u64(0).tensor("t", 105, 0, 3).data(64))
	f.Fuzz(func(t *testing.T, d []byte) {
		g, err := Read(bytes.NewReader(d), int64(len(d)))
		if err != nil {
			return
		}
		for i := range g.Tensors {
			x := &g.Tensors[i]
			if x.Offset < g.DataOffset || x.Bytes <= 0 || x.Offset+x.Bytes > int64(len(d)) || x.Elements() <= 0 {
				t.Fatalf("tensor %+v lies outside the file", x)
			}
		}
		for _, k := range g.Keys() {
			g.Uint(k)
			g.Ints(k)
			g.Floats(k)
			if g.Value(k) == nil {
				t.Fatalf("key %q has no value", k)
			}
		}
	})
}

func BenchmarkRead128k(b *testing.B) {
	d := vocabulary(128 << 10)
	b.SetBytes(int64(len(d)))
	for b.Loop() {
		if _, err := Read(bytes.NewReader(d), int64(len(d))); err != nil {
			b.Fatal(err)
		}
	}
}

// Before blocks of 64 were agreed on, files had blocks of 128 under the number of Q2_0: their tensors
// lie closer.
func TestOlderQ2_0(t *testing.T) {
	const rows, cols = 40, 256
	older := func(spare uint64) *builder {
		b := (&builder{}).head(3, 3, 0)
		size := (uint64(rows*cols/128*34)+31)&^31 + spare
		return b.tensor("a", Q2_0, 0, cols, rows).tensor("b", Q2_0, size, cols, rows).tensor("c", F32, 2*size, 8)
	}
	read := func(b *builder, n int) (*File, error) {
		d := b.data(n)
		return Read(bytes.NewReader(d), int64(len(d)))
	}
	f, err := read(older(0), 2*2720+32)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Tensors[:2] {
		if x.Type != PQ2_0 || x.Bytes != rows*cols/128*34 {
			t.Errorf("tensor %s of an older file has type %v and %d bytes", x.Name, x.Type, x.Bytes)
		}
	}
	b := (&builder{}).head(3, 2, 0).tensor("a", Q2_0, 0, cols, rows).tensor("b", Q2_0, 2880, cols, rows)
	if f, err = read(b, 2*2880); err != nil || f.Tensors[0].Type != Q2_0 || f.Tensors[1].Bytes != 2880 {
		t.Errorf("a file with blocks of 64: %v", err)
	}
	// A file that ends early is no older one, and neither is one whose tensors overlap.
	b = (&builder{}).head(3, 2, 0).tensor("a", Q2_0, 0, cols, rows).tensor("b", Q2_0, 2880, cols, rows)
	if _, err = read(b, 2880+2720); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a file that ends early: %v", err)
	}
	if _, err = read(older(64), 3*2880); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("tensors that are neither: %v", err)
	}
}
