package llm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// splitFiles cuts a model into n parts as llama-gguf-split does.
func splitFiles(t *testing.T, model []byte, n int, name string) fstest.MapFS {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(model), int64(len(model)))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for i := range n {
		meta := []gguf.KeyValue{{Key: "split.no", Value: uint16(i)}, {Key: "split.count", Value: uint16(n)}, {Key: "split.tensors.count", Value: int32(len(f.Tensors))}}
		if i == 0 {
			for _, k := range f.Keys() {
				meta = append(meta, gguf.KeyValue{Key: k, Value: f.Value(k)})
			}
		}
		mine := append([]gguf.Tensor(nil), f.Tensors[len(f.Tensors)*i/n:len(f.Tensors)*(i+1)/n]...)
		from := append([]gguf.Tensor(nil), mine...)
		b, err := gguf.Head(meta, mine)
		if err != nil {
			t.Fatal(err)
		}
		for k := range mine {
			b = append(b, model[from[k].Offset:][:from[k].Bytes]...)
			b = append(b, make([]byte, -len(b)&31)...)
		}
		files[fmt.Sprintf("models/%s-%05d-of-%05d.gguf", name, i+1, n)] = &fstest.MapFile{Data: b}
	}
	return files
}

func loadFile(fsys fs.FS, name string) (*Model, error) {
	f, err := Open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := Load(f, f.Size(), Options{Kernel: Kernels()[0]})
	if err != nil {
		return nil, err
	}
	if err := f.Verify(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func TestOpenSplit(t *testing.T) {
	b := llmtest.Llama(llmtest.Small).Bytes()
	whole, err := Load(bytes.NewReader(b), int64(len(b)), Options{Kernel: Kernels()[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	want := eval(t, newSession(t, whole), 1, 100, 50)
	files := splitFiles(t, b, 3, "m")
	for _, name := range []string{"models/m-00001-of-00003.gguf", "models/m-00003-of-00003.gguf"} {
		m, err := loadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if rms, _ := distance(t, eval(t, newSession(t, m), 1, 100, 50), want); rms != 0 {
			t.Errorf("%s: the model in parts computes something else", name)
		}
		m.Close()
	}
	// Upper and lower case of names does not matter.
	files["models/M-00002-OF-00003.GGUF"] = files["models/m-00002-of-00003.gguf"]
	delete(files, "models/m-00002-of-00003.gguf")
	for _, name := range []string{"models/m-00001-of-00003.gguf", "models/M-00002-OF-00003.GGUF"} {
		f, err := Open(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() != "m-00001-of-00003.gguf" {
			t.Errorf("%s is called %s", name, f.Name())
		}
		f.Close()
	}
	delete(files, "models/M-00002-OF-00003.GGUF")
	if _, err := loadFile(files, "models/m-00001-of-00003.gguf"); err == nil || err.Error() != "part 2 of 3 of the model, m-00002-of-00003.gguf, is missing: copy it beside the others" {
		t.Errorf("a missing part: %v", err)
	}
}

// A whole model may have a name like that of a part.
func TestOpenNamedLikeSplit(t *testing.T) {
	b := llmtest.Llama(llmtest.Small).Bytes()
	one := llmtest.Llama(llmtest.Small)
	one.Set("split.count", uint32(1))
	one.Set("split.no", uint32(0))
	for name, data := range map[string][]byte{
		"h-00001-of-00001.gguf": b, "H-00001-OF-00001.GGUF": b, "h-00002-of-00003.gguf": b, "one-00001-of-00001.gguf": one.Bytes(),
	} {
		m, err := loadFile(fstest.MapFS{name: {Data: data}}, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m.Close()
	}
	// A part under the name of another is refused.
	files := splitFiles(t, b, 2, "m")
	second := files["models/m-00002-of-00002.gguf"]
	for _, name := range []string{"models/m-00001-of-00002.gguf", "models/m-00002-of-00003.gguf"} {
		if _, err := Open(fstest.MapFS{name: second, "models/m-00002-of-00002.gguf": second, "models/m-00001-of-00003.gguf": second, "models/m-00003-of-00003.gguf": second}, name); err == nil || !strings.Contains(err.Error(), "as its name says") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Sound files that were once refused, if they lie beside the repository.
func TestCases(t *testing.T) {
	dir := os.DirFS("../../shared/cases")
	for _, name := range []string{"kv-array/kv-heads-array-same.gguf", "called-corrupt/nested-array.gguf", "split-1of1/h-00001-of-00001.gguf"} {
		m, err := loadFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("no files in ../shared/cases beside the repository")
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		eval(t, newSession(t, m), 1, 2, 3)
		m.Close()
	}
	sums, _ := fs.Glob(dir, "sha256-sidecar/*.sha256")
	model, err := fs.ReadFile(dir, "sha256-sidecar/m.gguf")
	if err != nil || len(sums) == 0 {
		t.Errorf("%d checksum files, %v", len(sums), err)
	}
	for _, name := range sums {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if sum, ok := findSum(b, "m.gguf"); !ok || sum != sha256.Sum256(model) {
			t.Errorf("%s: %x, %v", name, sum, ok)
		}
	}
	for name, want := range map[string]string{"called-corrupt/type105.gguf": "type number 105, which is not supported", "called-corrupt/type31.gguf": "type Q4_0_4_4, which is not supported"} {
		if _, err := loadFile(dir, name); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "corrupt") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerify(t *testing.T) {
	b := llmtest.Llama(llmtest.Small).Bytes()
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	damaged := bytes.Clone(b)
	damaged[len(b)-5] ^= 1
	for _, c := range []struct{ name, sum, want, note string }{
		{"none", "", "", "m.gguf.sha256 holds no SHA-256 checksum of m.gguf"},
		{"right", sum + "  m.gguf\n", "", ""},
		{"PowerShell", utf16le("\r\nSHA256          " + strings.ToUpper(sum) + "       C:\\m.gguf\r\n"), "", ""},
		{"wrong", strings.Repeat("0", 64) + "  m.gguf\n", "m.gguf does not match its checksum in m.gguf.sha256: it is damaged", ""},
		{"other", sum + "  other.gguf\n", "", "so that file was not checked"},
	} {
		files := fstest.MapFS{"m.gguf": {Data: b}, "m.gguf.sha256": {Data: []byte(c.sum)}}
		m, err := loadFile(files, "m.gguf")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil {
			continue
		}
		m.Close()
		f, err := Open(files, "m.gguf")
		if err != nil {
			t.Fatal(err)
		}
		if note := f.Note(); !strings.Contains(note, c.note) || (note == "") != (c.note == "") || f.Checked() != (c.note == "") {
			t.Errorf("%s: note %q, want %q; checked %v", c.name, note, c.note, f.Checked())
		}
		f.Close()
		files["m.gguf"] = &fstest.MapFile{Data: damaged}
		if m, err = loadFile(files, "m.gguf"); err == nil {
			m.Close()
		}
		if (err == nil) != (c.note != "") {
			t.Errorf("%s, damaged: %v", c.name, err)
		}
	}
	// A checksum that cannot be read is no reason to refuse the model either.
	if f, err := Open(fstest.MapFS{"m.gguf": {Data: b}, "m.gguf.sha256": {Mode: fs.ModeDir}}, "m.gguf"); err != nil || !strings.Contains(f.Note(), "cannot be read") {
		t.Errorf("a directory for a checksum: %v", err)
	}
	// Of a split model each part has its own.
	files := splitFiles(t, b, 2, "m")
	second := files["models/m-00002-of-00002.gguf"]
	files["models/m-00002-of-00002.gguf.sha256"] = &fstest.MapFile{Data: fmt.Appendf(nil, "%x\n", sha256.Sum256(second.Data))}
	m, err := loadFile(files, "models/m-00001-of-00002.gguf")
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	second.Data[len(second.Data)-40] ^= 1
	if m, err := loadFile(files, "models/m-00001-of-00002.gguf"); err == nil || !strings.Contains(err.Error(), "m-00002-of-00002.gguf does not match") {
		t.Errorf("a damaged part: %v", err)
	} else if err == nil {
		m.Close()
	}
}

// A model whose weights hold a NaN says so instead of talking nonsense, and
// the session is as before.
func TestNotNumbers(t *testing.T) {
	f := llmtest.Llama(llmtest.Small)
	x := f.Tensor("blk.1.ffn_norm.weight")
	copy(x.Data[8:], []byte{0, 0, 0xc0, 0x7f})
	b := f.Bytes()
	m, err := Load(bytes.NewReader(b), int64(len(b)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newSession(t, m)
	if _, err := s.Eval(context.Background(), []int32{1, 100}); err == nil || !strings.Contains(err.Error(), "not a number") {
		t.Errorf("a NaN in the weights: %v", err)
	}
	if s.Len() != 0 {
		t.Errorf("the session kept %d tokens", s.Len())
	}
	for i := range 9 {
		x := make([]float32, 9)
		if !finite(x[:i]) {
			t.Errorf("%d zeros are not finite", i)
		}
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			clear(x)
			x[i] = bad
			if finite(x) || i < 8 && !finite(x[i+1:]) {
				t.Errorf("%g at %d was misjudged", bad, i)
			}
		}
	}
}

// Reread finds a bit that has flipped since the file was opened for loading, wherever it is, and what
// cannot be read; of a file without a checksum it tells no more than that.
func TestReread(t *testing.T) {
	b := llmtest.Llama(llmtest.Small).Bytes()
	files := splitFiles(t, b, 2, "m")
	sum := func(name string) {
		sum := sha256.Sum256(files[name].Data)
		files[name+".sha256"] = &fstest.MapFile{Data: ChecksumLine(sum[:], name[len("models/"):])}
	}
	const first, second = "models/m-00001-of-00002.gguf", "models/m-00002-of-00002.gguf"
	reread := func() (compared bool, err error) {
		f, oerr := Open(files, first)
		if oerr != nil {
			t.Fatal(oerr)
		}
		defer f.Close()
		last := int64(0)
		compared, err = f.Reread(t.Context(), func(done int64) {
			if done < last {
				t.Errorf("%d bytes are done, after %d", done, last)
			}
			last = done
		})
		if want := int64(len(files[first].Data) + len(files[second].Data)); err == nil && last != want {
			t.Errorf("%d bytes of %d were read", last, want)
		}
		return compared, err
	}
	sum(first)
	if compared, err := reread(); compared || err != nil {
		t.Errorf("with one checksum of two: compared %v, %v", compared, err)
	}
	sum(second)
	if compared, err := reread(); !compared || err != nil {
		t.Errorf("with checksums: compared %v, %v", compared, err)
	}
	for _, name := range []string{first, second} {
		data := files[name].Data
		data[len(data)-1] ^= 1
		if _, err := reread(); err == nil || !strings.HasPrefix(err.Error(), name[len("models/"):]+" does not match its checksum") {
			t.Errorf("%s is damaged: %v", name, err)
		}
		data[len(data)-1] ^= 1
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	one := "models/one.gguf"
	files[one] = &fstest.MapFile{Data: b}
	f, err := Open(files, one)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Reread(ctx, func(int64) { t.Error("progress") }); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
