package engine

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"alphaos/llm"
)

func TestFindModel(t *testing.T) {
	list := []ModelFile{{Name: "7.gguf"}, {Name: "Llama-3.2-1B.gguf"}, {Name: "llama-3.2-3B.gguf"}, {Name: "qwen.GGUF"}}
	for want, name := range map[string]string{
		"1": "7.gguf", "2": "Llama-3.2-1B.gguf", "4": "qwen.GGUF", "7": "7.gguf",
		"llama-3.2-1b": "Llama-3.2-1B.gguf", "LLAMA-3.2-1B.GGUF": "Llama-3.2-1B.gguf",
		"q": "qwen.GGUF", "llama": "", "llama-3.2-3": "llama-3.2-3B.gguf", "5": "", "": "", "x": "",
	} {
		m, err := Find(list, want)
		if m.Name != name || (err == nil) != (name != "") {
			t.Errorf("Find(%q) = %q, %v", want, m.Name, err)
		}
	}
}

func TestDirModels(t *testing.T) {
	m := DirModels(fstest.MapFS{
		"models/b.gguf": {Data: []byte("bb")}, "models/A.GGUF": {Data: []byte("a")},
		"models/._b.gguf": {}, "models/readme.txt": {}, "models/dir.gguf/x": {},
		"models/c-00001-of-00002.gguf": {Data: []byte("cc")}, "models/c-00002-of-00002.gguf": {Data: []byte("c")},
		"models/d-00002-of-00002.gguf": {Data: []byte("d")}, "models/b.gguf.sha256": {},
	}, "/models")
	list, err := m.List()
	if want := []ModelFile{{Name: "A.GGUF", Size: 1}, {Name: "b.gguf", Size: 2}, {Name: "c-00001-of-00002.gguf", Size: 3}, {Name: "d-00002-of-00002.gguf", Size: 1}}; err != nil || !slices.Equal(list, want) {
		t.Errorf("%v, %v", list, err)
	}
	if m, err := Find(list, "c"); err != nil || m.Size != 3 {
		t.Errorf("the split model: %v, %v", m, err)
	}
	if _, err := m.Open("d-00002-of-00002.gguf"); err == nil || !strings.Contains(err.Error(), "d-00002-of-00002.gguf: not a GGUF file") {
		t.Errorf("a part that is none: %v", err)
	}
	if r, err := m.Open("b.gguf"); err != nil {
		t.Errorf("an empty checksum: %v", err)
	} else if note := r.Note(); !strings.Contains(note, "b.gguf.sha256 holds no SHA-256 checksum") {
		t.Errorf("an empty checksum: %q", note)
	}
	r, err := m.Open("A.GGUF")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	if n, err := r.ReadAt(p, 0); n != 1 || string(p) != "a" || r.Size() != 1 {
		t.Error(n, err, p)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"none.gguf", "dir.gguf", "../A.GGUF"} {
		if _, err := m.Open(name); err == nil {
			t.Errorf("opened %s", name)
		}
	}
	if list, err := DirModels(fstest.MapFS{}, "models").List(); err != nil || len(list) != 0 {
		t.Errorf("missing directory: %v, %v", list, err)
	}
}

// What is built in is there without a drive, once, and instead of a file of its name.
func TestBuiltIn(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	builtIn := DirModels(fstest.MapFS{"Guide.gguf": file("new guide")}, ".")
	for _, c := range []struct {
		drive Models
		names string
		fails bool
	}{
		{DirModels(fstest.MapFS{"models/a.gguf": file("a"), "models/guide.GGUF": file("old"), "models/z.gguf": file("z")}, "models"), "a.gguf z.gguf Guide.gguf", false},
		{DirModels(fstest.MapFS{}, "models"), "Guide.gguf", false},
		{DirModels(fstest.MapFS{"models": file("no folder")}, "models"), "Guide.gguf", true},
	} {
		m := WithBuiltIn(c.drive, builtIn)
		list, err := m.List()
		var names []string
		for _, f := range list {
			names = append(names, f.Name)
			if f.BuiltIn != (f.Name == "Guide.gguf") {
				t.Errorf("%+v", f)
			}
		}
		if got := strings.Join(names, " "); got != c.names || (err != nil) != c.fails {
			t.Errorf("listed are %s, %v; want %s", got, err, c.names)
		}
		r, err := m.Open("guide.gguf")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, r.Size())
		if _, err := r.ReadAt(b, 0); err != nil || string(b) != "new guide" {
			t.Errorf("the built-in file is %q, %v", b, err)
		}
		r.Close()
	}
}

// unverified is a file that does not match its checksum.
type unverified struct{ ModelReader }

func (unverified) Verify() error { return errors.New("it is damaged") }

// A model is checked when it was loaded, but not one that is streamed, all of
// which would have to be read for it.
func TestChecksumOfStreamed(t *testing.T) {
	r, err := DirModels(os.DirFS("../../shared/data/models"), ".").Open("stories260K-F32.gguf")
	if err != nil {
		t.Skip("the reference models are not in ../shared/data/models")
	}
	defer r.Close()
	for _, budget := range []int64{0, 800 << 10} {
		m, err := Load(unverified{r}, Options{LLM: llm.Options{Budget: budget, Threads: 1}})
		if (err == nil) != (budget != 0) || err == nil && m.Info.Streamed == 0 {
			t.Errorf("within %d bytes: %v", budget, err)
		}
		if err == nil {
			m.Close()
		}
	}
}
