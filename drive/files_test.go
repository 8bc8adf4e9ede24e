package drive_test

import (
	"errors"
	"io"
	iofs "io/fs"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// What a person saves is there after the next start, under the name that they gave; what was there is
// replaced only when that is asked for.
func TestSaveDocument(t *testing.T) {
	dev := newVolume(t, create.Options{})
	d := mount(t, dev)
	if where, err := d.SaveDocument(noon, "hello world.go", []byte("one"), false); err != nil || where != "/documents/hello world.go" {
		t.Fatalf("%q, %v", where, err)
	}
	if _, err := d.SaveDocument(noon, "hello world.go", []byte("two"), false); !errors.Is(err, iofs.ErrExist) {
		t.Errorf("it was replaced unasked: %v", err)
	}
	if got, err := iofs.ReadFile(mount(t, dev).Documents(), "hello world.go"); err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := d.SaveDocument(noon, "hello world.go", []byte("three, longer"), true); err != nil {
		t.Error(err)
	}
	d = mount(t, dev)
	got, err := iofs.ReadFile(d.Documents(), "hello world.go")
	info, serr := iofs.Stat(d.Documents(), "hello world.go")
	if err != nil || serr != nil || string(got) != "three, longer" || !info.ModTime().Equal(noon) {
		t.Errorf("%q, %v, %v, %v", got, info, err, serr)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, ".hidden", "a:b", "a?b", strings.Repeat("x", 300)} {
		if where, err := d.SaveDocument(noon, name, []byte("x"), true); err == nil {
			t.Errorf("%q was saved in %s", name, where)
		}
	}
	dev.protected = true
	if _, err := mount(t, dev).SaveDocument(noon, "x", nil, false); !errors.Is(err, fs.ErrReadOnly) {
		t.Errorf("on a protected drive: %v", err)
	}
}

// Conversations that are written out never replace each other, and their place is made if it is missing.
func TestSaveExport(t *testing.T) {
	dev := newVolume(t, create.Options{})
	for i, want := range []string{"/data/backup/2026-03-01-tea.md", "/data/backup/2026-03-01-tea-2.md", "/data/backup/2026-03-01-tea-3.md"} {
		d := mount(t, dev)
		where, err := d.SaveExport(noon, "2026-03-01-tea.md", []byte{byte('a' + i)})
		if err != nil || where != want {
			t.Errorf("%q, want %q: %v", where, want, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if got, err := iofs.ReadFile(mount(t, dev), strings.TrimPrefix(want, "/")); err != nil || string(got) != string(byte('a'+i)) {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := mount(t, dev).SaveExport(noon, "big.md", make([]byte, 64<<20)); err == nil {
		t.Error("there is no room, and yet it was saved")
	}
	// A drive that a person filled by hand has neither of the directories.
	var tree fat.Tree
	if err := tree.Add(drive.EFIPath, fat.Bytes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	d := mount(t, byHand(t, &tree))
	if where, err := d.SaveExport(time.Time{}, "x.json", []byte("x")); err != nil || where != "/data/backup/x.json" {
		t.Errorf("%q, %v", where, err)
	}
	if _, err := iofs.ReadDir(d.Documents(), "."); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("without documents: %v", err)
	}
}

// The file of options is replaced, and one that could not be understood is kept beside it.
func TestSaveConfig(t *testing.T) {
	dev := newVolume(t, create.Options{Config: []byte("{bad")})
	if where, err := mount(t, dev).SaveConfig(noon, []byte("{}"), []byte("{bad")); err != nil || where != "/data/config.bad" {
		t.Errorf("%q, %v", where, err)
	}
	if _, err := mount(t, dev).SaveConfig(noon, []byte(`{"theme": "day"}`), nil); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{drive.ConfigPath: `{"theme": "day"}`, drive.BadConfigPath: "{bad"} {
		if got, err := iofs.ReadFile(mount(t, dev), name); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// The facts are those of all volumes.
func TestMeasure(t *testing.T) {
	d := mount(t, newVolume(t, create.Options{}))
	f, err := d.Measure()
	if err != nil || f.Free <= 0 || f.Free >= f.Size || f.Rate < 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := d.SaveDocument(noon, "x", make([]byte, 1<<20), false); err != nil {
		t.Fatal(err)
	}
	if after, err := d.Measure(); err != nil || after.Free > f.Free-1<<20 || after.Size != f.Size {
		t.Errorf("after saving a document: %+v and then %+v, %v", f, after, err)
	}
}

func TestSaveIndex(t *testing.T) {
	d := mount(t, newVolume(t, create.Options{}))
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	for _, want := range []string{"one", strings.Repeat("two ", 200<<10)} {
		if err := d.SaveIndex(noon, text(want)); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("stopped")
		if err := d.SaveIndex(noon, func(w io.Writer) error { io.WriteString(w, "x"); return broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if b, err := iofs.ReadFile(d, drive.IndexPath); err != nil || string(b) != want {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}
