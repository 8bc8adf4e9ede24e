package steps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fat"
)

// What a round says that there is, there is.
func TestSteps(t *testing.T) {
	const size = 64 << 20
	plan, err := fat.Plan(&fat.Tree{}, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "volume"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := plan.Write(f, 0); err != nil {
		t.Fatal(err)
	}
	dev, err := fs.NewFileDevice(f, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fat.Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Mkdir("documents"); err != nil {
		t.Fatal(err)
	}
	s, again := New(3), New(3)
	for range 400 {
		again.Next()
		if err := s.Next()(v); err != nil {
			t.Fatalf("step %d: %v", s.Steps, err)
		}
	}
	list, err := v.ReadDir(Dir(3))
	if err != nil || len(list) != len(s.All) || len(list) < 5 || len(again.All) != len(s.All) {
		t.Errorf("%d files, want %d, %d; error %v", len(list), len(s.All), len(again.All), err)
	}
	for name, want := range s.All {
		if got, err := v.ReadFile(name); err != nil || string(got) != want || again.All[name] != want || !strings.HasPrefix(name, Dir(3)) {
			t.Errorf("%s differs, error %v", name, err)
		}
	}
}
