package engine

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

func TestElsewhere(t *testing.T) {
	dir := func(names ...string) Models {
		files := fstest.MapFS{}
		for _, name := range names {
			files["models/"+name] = &fstest.MapFile{Data: []byte("x")}
		}
		return DirModels(files, "models")
	}
	looked := 0
	bad := errors.New("a stick cannot be read")
	p := Elsewhere(dir("a.gguf"), func() ([]Place, error) {
		looked++
		return []Place{{"STICK", dir("b.gguf", "a.gguf")}, {"STICK/models", dir("c.gguf")}, {"EMPTY", dir()}}, bad
	})
	own, err := p.List()
	if err != nil || len(own) != 1 || looked > 0 {
		t.Errorf("own models %v, error %v, looked %d times elsewhere", own, err, looked)
	}
	if _, err := p.Open("STICK/b.gguf"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before anybody looked: %v", err)
	}
	list, err := p.ListAll()
	want := []ModelFile{{Name: "STICK/a.gguf", Size: 1, Elsewhere: true}, {Name: "STICK/b.gguf", Size: 1, Elsewhere: true}, {Name: "STICK/models/c.gguf", Size: 1, Elsewhere: true}}
	if !errors.Is(err, bad) || !slices.Equal(list, want) {
		t.Errorf("elsewhere %v, error %v", list, err)
	}
	// MapFS has no ReaderAt, which is said of a file that is there.
	for name, there := range map[string]bool{"STICK/b.gguf": true, "STICK/models/c.gguf": true, "a.gguf": true, "STICK/c.gguf": false, "OTHER/b.gguf": false, "STICK": false} {
		if _, err := p.Open(name); errors.Is(err, fs.ErrNotExist) == there {
			t.Errorf("%s: %v", name, err)
		}
	}
}
