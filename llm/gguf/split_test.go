package gguf

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// splitModel makes n parts of a model of 2n tensors, part i with pad(i) bytes
// of metadata, and the tensors' data.
func splitModel(t testing.TB, n int, spoil func(part int, meta []KeyValue) []KeyValue) (parts []Part, data map[string][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	data = map[string][]byte{}
	for i := range n {
		meta := []KeyValue{{"split.no", uint16(i)}, {"split.count", uint16(n)}, {"split.tensors.count", int32(2 * n)}}
		if i == 0 {
			meta = append(meta, KeyValue{"general.architecture", "llama"}, KeyValue{"pad", strings.Repeat("x", 5000)})
		}
		if spoil != nil {
			meta = spoil(i, meta)
		}
		name := string(rune('a' + i))
		tensors := []Tensor{{Name: name + "1", Type: F32, Dims: []uint64{uint64(1000 + 7*i)}}, {Name: name + "2", Type: Q8_0, Dims: []uint64{64, 5}}}
		b, err := Head(meta, tensors)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range tensors {
			content := make([]byte, x.Bytes)
			for k := range content {
				content[k] = byte(r.Uint32())
			}
			data[x.Name] = content
			b = append(b, make([]byte, x.Offset-int64(len(b)))...)
			b = append(b, content...)
		}
		parts = append(parts, Part{Name: name, R: bytes.NewReader(b), Size: int64(len(b))})
	}
	return parts, data
}

func TestJoin(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		parts, data := splitModel(t, n, nil)
		j, err := Join(parts)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Read(j, j.Size())
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := f.String("general.architecture"); s != "llama" || f.Value("split.count") != nil {
			t.Errorf("metadata %q", f.Keys())
		}
		if len(f.Tensors) != 2*n {
			t.Fatalf("%d tensors", len(f.Tensors))
		}
		for _, x := range f.Tensors {
			got := make([]byte, x.Bytes)
			if _, err := j.ReadAt(got, x.Offset); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data[x.Name]) {
				t.Errorf("tensor %s has other data", x.Name)
			}
		}
		for i, p := range parts {
			if part, _ := Read(p.R, p.Size); (j.pieces[i+1].at-part.DataOffset)%4096 != 0 {
				t.Errorf("the data of part %d moved within its page", i)
			}
		}
		// All at once and in odd pieces it is the same.
		whole := make([]byte, j.Size()+10)
		if n, err := j.ReadAt(whole, 0); int64(n) != j.Size() || err != io.EOF {
			t.Fatalf("read %d of %d bytes: %v", n, j.Size(), err)
		}
		for off := int64(0); off < j.Size(); off += 777 {
			p := bytes.Repeat([]byte{0xee}, 777)
			n, err := j.ReadAt(p, off)
			if want := whole[off:min(off+777, j.Size())]; n != len(want) || !bytes.Equal(p[:n], want) || (err != nil) != (n < 777) {
				t.Fatalf("at %d: %d bytes, %v", off, n, err)
			}
		}
		if _, err := j.ReadAt(whole[:1], j.Size()); err != io.EOF {
			t.Errorf("reading at the end: %v", err)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	good, _ := splitModel(t, 3, nil)
	other, _ := splitModel(t, 2, nil)
	for name, c := range map[string]struct {
		parts []Part
		want  string
	}{
		"order":   {[]Part{good[0], good[2], good[1]}, "c is not part 2 of 3"},
		"missing": {good[:2], "a is not part 1 of 2"},
		"mixed":   {[]Part{good[0], other[1], good[2]}, "b is not part 2 of 3"},
		"cut":     {[]Part{good[0], good[1], {"c", good[2].R, good[2].Size - 40}}, "c: corrupt"},
		"none":    {nil, "0 parts"},
	} {
		if _, err := Join(c.parts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	few, _ := splitModel(t, 2, func(part int, meta []KeyValue) []KeyValue {
		meta[2].Value = int32(5)
		return meta
	})
	if _, err := Join(few); err == nil || !strings.Contains(err.Error(), "4 tensors together, not 5") {
		t.Errorf("too few tensors: %v", err)
	}
	j, err := Join(good)
	if err != nil {
		t.Fatal(err)
	}
	j.pieces[2].r = broken{}
	if n, err := j.ReadAt(make([]byte, j.size), 0); err == nil || err == io.EOF || int64(n) != j.pieces[2].at {
		t.Errorf("a broken part: %d bytes, %v", n, err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errFailing }

func TestParts(t *testing.T) {
	names, ok := Parts("m-Q4-00002-of-00003.gguf")
	if want := []string{"m-Q4-00001-of-00003.gguf", "m-Q4-00002-of-00003.gguf", "m-Q4-00003-of-00003.gguf"}; !ok || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, ok)
	}
	names, ok = Parts("M-00001-OF-00002.GGUF")
	if want := []string{"M-00001-OF-00002.GGUF", "M-00002-OF-00002.GGUF"}; !ok || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, ok)
	}
	for _, name := range []string{"m.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-1-of-3.gguf", "m-00001-of-99999.gguf", "m-00001-of-00003.bin"} {
		if names, ok := Parts(name); ok {
			t.Errorf("%s is a part: %q", name, names)
		}
	}
	for name, want := range map[string]string{"m.gguf": "m", "M.GGUF": "M", "m-Q4-00002-of-00003.gguf": "m-Q4", "m": "m", "m-00004-of-00003.gguf": "m-00004-of-00003"} {
		if got := PlainName(name); got != want {
			t.Errorf("%s is called %s, not %s", name, got, want)
		}
	}
}

// Two files that claim to be parts either are refused or make a file whose
// tensors can all be read.
func FuzzJoin(f *testing.F) {
	parts, _ := splitModel(f, 2, nil)
	whole := func(p Part) []byte {
		b := make([]byte, p.Size)
		if _, err := p.R.ReadAt(b, 0); err != nil && err != io.EOF {
			f.Fatal(err)
		}
		return b
	}
	a, b := whole(parts[0]), whole(parts[1])
	f.Add(a, b)
	f.Add(a, a)
	f.Add(a[:len(a)-3], b)
	f.Add([]byte("GGUF"), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		j, err := Join([]Part{{"a", bytes.NewReader(a), int64(len(a))}, {"b", bytes.NewReader(b), int64(len(b))}})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one sentence: %v", err)
			}
			return
		}
		file, err := Read(j, j.Size())
		if err != nil {
			t.Fatalf("what was joined cannot be read: %v", err)
		}
		for _, x := range file.Tensors {
			if n, err := j.ReadAt(make([]byte, x.Bytes), x.Offset); int64(n) != x.Bytes || err != nil && err != io.EOF {
				t.Fatalf("tensor %q: %d bytes, %v", x.Name, n, err)
			}
		}
	})
}
