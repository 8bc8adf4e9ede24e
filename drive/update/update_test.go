package update

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/check"
	"alphaos/drive/create"
	"alphaos/drive/manifest"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fat/fattest"
	"alphaos/fs/fstest"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/petest"
	"alphaos/internal/vmtest"
	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/tools/secureboot"
)

// program is an EFI application that is AlphaOS as far as anybody can tell.
func program(version string, size int) []byte {
	return petest.Application(append([]byte(version+string(ours)), bytes.Repeat([]byte(version), size/len(version))...))
}

// hostFile writes a file that lasts as long as the test.
func hostFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func model(t testing.TB, name string) []byte {
	t.Helper()
	b, err := gguf.Head([]gguf.KeyValue{{Key: "general.name", Value: name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ram is a drive in memory. Once it was uncached, f spoils what is read, if there is one.
type ram struct {
	fstest.Device
	spoil    func(lba uint64, p []byte)
	uncached *bool
}

func (r ram) Uncache() string { *r.uncached = true; return "from memory" }

func (r ram) ReadBlocks(lba uint64, p []byte) error {
	err := r.Device.ReadBlocks(lba, p)
	if *r.uncached && r.spoil != nil {
		r.spoil(lba, p)
	}
	return err
}

func inMemory(b []byte) ram {
	return ram{fstest.NewDevice(slices.Clone(b), 512), nil, new(bool)}
}

// image is a drive with the program "old", not to be changed.
func image(t testing.TB, layout string) []byte {
	t.Helper()
	if images[layout] != nil {
		return images[layout]
	}
	images[layout] = vmtest.Image(t, layout, create.Options{EFI: hostFile(t, "old.efi", program("old", 3000))})
	return images[layout]
}

var images = map[string][]byte{}

// holds reads a file by its logical path.
func holds(t testing.TB, dev fs.BlockDevice, name string) []byte {
	t.Helper()
	d, err := drive.Open(dev, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := iofs.ReadFile(d, name)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

// sound has us and fsck.fat look at a drive.
func sound(t testing.TB, dev fs.BlockDevice) {
	t.Helper()
	if r, err := check.Drive(dev, check.Options{}); err != nil || r.Found > 0 {
		t.Errorf("error %v\n%s", err, r)
	}
	medium, err := volume.List(dev)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range medium.Volumes {
		fsck.Sound(t, v)
	}
}

func TestAdd(t *testing.T) {
	for _, layout := range drive.Layouts {
		t.Run(layout, func(t *testing.T) {
			dev := inMemory(image(t, layout))
			journal := holds(t, dev, drive.JournalPath)
			want := map[string][]byte{
				"models/New Model.gguf":         model(t, "new"),
				"documents/notes.md":            bytes.Repeat([]byte("notes "), 2<<20),
				"documents/Über die Straße.PDF": []byte("%PDF"),
				"fonts/a font.ttf":              []byte("font"),
			}
			var files []string
			for name, content := range want {
				files = append(files, hostFile(t, filepath.Base(name), content))
			}
			slices.Sort(files)
			steps := ""
			o := Options{Verify: true, Progress: func(step string, total int64) func(int64) {
				steps += step + " "
				last := int64(0)
				return func(done int64) {
					if done < last || done > total {
						t.Errorf("%d of %d done after %d", done, total, last)
					}
					if last = done; done == total {
						steps += "ended "
					}
				}
			}}
			r, err := Add(dev, files, o)
			if err != nil || len(r.Files) != len(want) || r.Verified != "from memory" || r.Free == 0 || r.Said != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			if steps != "Writing ended Reading back ended " {
				t.Errorf("steps %q", steps)
			}
			for name, content := range want {
				if got := holds(t, dev, name); !bytes.Equal(got, content) {
					t.Errorf("%s holds %d bytes, want %d", name, len(got), len(content))
				}
			}
			d, err := drive.Open(dev, true)
			if err != nil {
				t.Fatal(err)
			}
			m, err := llm.Open(d, "models/New Model.gguf")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(holds(t, dev, llm.ChecksumPath("models/New Model.gguf"))), "  New Model.gguf\n") || m.Verify() != nil {
				t.Errorf("its checksum: %v", m.Verify())
			}
			m.Close()
			sound(t, dev)

			// Into a place of one's own, and again.
			note := hostFile(t, "note.bin", []byte("first"))
			o = Options{To: "/documents/kitchen/../desk/"}
			if r, err = Add(dev, []string{note}, o); err != nil || r.Files[0].Name != "documents/desk/note.bin" || r.Verified != "" {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := os.WriteFile(note, []byte("second"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err = Add(dev, []string{note}, o); err == nil || !strings.Contains(err.Error(), "is there already; add --replace") {
				t.Error(err)
			}
			o.Replace = true
			if _, err = Add(dev, []string{note}, o); err != nil || string(holds(t, dev, "documents/desk/note.bin")) != "second" {
				t.Error(err)
			}
			sound(t, dev)
			if !bytes.Equal(journal, holds(t, dev, drive.JournalPath)) {
				t.Error("the journal was changed")
			}
		})
	}
}

func TestAddRefuses(t *testing.T) {
	full := image(t, "full")
	part := func(no int) []byte {
		b, err := gguf.Head([]gguf.KeyValue{{Key: "split.no", Value: uint16(no)}, {Key: "split.count", Value: uint16(2)}, {Key: "split.tensors.count", Value: int32(0)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sparse := hostFile(t, "large.pdf", nil)
	if err := os.Truncate(sparse, 100<<20); err != nil {
		t.Fatal(err)
	}
	huge := hostFile(t, "huge.pdf", nil)
	if err := os.Truncate(huge, 4<<30); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want  string
		files []string
		o     Options
	}{
		{"x.bin is neither a model nor a document nor a font, by its name; say where it is to go, for example --to documents", []string{hostFile(t, "x.bin", nil)}, Options{}},
		{"no-such.md", []string{"no-such.md"}, Options{}},
		{"is not an ordinary file", []string{t.TempDir()}, Options{To: "documents"}},
		{"is not a GGUF model", []string{hostFile(t, "x.gguf", []byte("something"))}, Options{}},
		{"s-00002-of-00002.gguf, is missing", []string{hostFile(t, "s-00001-of-00002.gguf", part(0))}, Options{}},
		{"/journal/Journal.LOG is a file whose place on the drive AlphaOS keeps", []string{hostFile(t, "Journal.LOG", nil)}, Options{To: "journal", Replace: true}},
		{"has a character that FAT32 does not allow", []string{hostFile(t, "what?.md", nil)}, Options{}},
		{"two files are to be named", []string{hostFile(t, "a.md", nil), hostFile(t, "A.md", nil)}, Options{}},
		{"it does not fit: 100.0 MiB are needed on ALPHAOSDATA, and 41", []string{hostFile(t, "small.md", []byte("fits")), sparse}, Options{}},
		{"no more than 4 GiB; split it", []string{huge}, Options{}},
	} {
		dev := inMemory(full)
		r, err := Add(dev, c.files, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v, %v, want %q", r, err, c.want)
		}
		if !bytes.Equal(full, dev.Bytes()) {
			t.Errorf("%s: something was written", c.want)
		}
	}
	if _, err := Add(inMemory(make([]byte, 1<<20)), nil, Options{}); !errors.Is(err, volume.ErrNothing) {
		t.Error(err)
	}

	// A drive that was not put in order is mended first, or refused.
	note := hostFile(t, "note.md", []byte("a note"))
	dev := inMemory(full)
	medium, err := volume.List(dev)
	if err != nil {
		t.Fatal(err)
	}
	v := fattest.Open(t, medium.Volumes[drive.Knowledge])
	v.Mark()
	v.Lose(4)
	if r, err := Add(dev, []string{note}, Options{}); err != nil || len(r.Said) != 1 || !strings.Contains(r.Said[0], "4 clusters") {
		t.Errorf("%+v, %v", r, err)
	}
	sound(t, dev)
	v.Mark()
	v.Entry([]string{"JOURNAL    "}, "JOURNAL LOG", func(raw []byte) { raw[0] = 0xE5 })
	if _, err := Add(dev, []string{note}, Options{Replace: true}); err == nil || !strings.Contains(err.Error(), "have it mended with alphaos drive check --repair") {
		t.Error(err)
	}
}

// What comes back wrong is told.
func TestVerify(t *testing.T) {
	dev := inMemory(image(t, "minimal"))
	dev.spoil = func(_ uint64, p []byte) {
		if i := bytes.Index(p, []byte("paper")); i >= 0 {
			p[i] = 'q'
		}
	}
	if _, err := Add(dev, []string{hostFile(t, "note.md", []byte("on paper"))}, Options{Verify: true}); !errors.Is(err, media.ErrDiffers) || !strings.Contains(err.Error(), "/documents/note.md: ") {
		t.Error(err)
	}
}

func TestProgram(t *testing.T) {
	old, next := program("old", 3000), program("new", 40000)
	name := hostFile(t, "new.efi", next)
	manager := petest.Application([]byte("a boot manager"))
	for _, c := range []struct {
		name           string
		layout         string
		chain          []byte // where a boot manager finds it; nil: none
		efi            []byte // in place of the old one; nil: that; empty: none
		first, chained []byte // afterwards
		err            string
	}{
		{"minimal", "minimal", nil, nil, next, nil, ""},
		{"full", "full", nil, nil, next, nil, ""},
		{"from a boot manager", "minimal", old, manager, manager, next, ""},
		{"both", "minimal", old, nil, next, next, ""},
		{"one of them was", "minimal", next, nil, next, next, ""},
		{"lost", "minimal", nil, []byte{}, next, nil, ""},
		{"the same", "minimal", nil, next, next, nil, ErrSame.Error()},
		{"only a boot manager", "minimal", nil, manager, manager, nil, "is not AlphaOS but perhaps a boot manager"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := inMemory(image(t, c.layout))
			d, err := drive.Open(dev, false)
			if err != nil {
				t.Fatal(err)
			}
			v, _, err := d.On(drive.EFIPath)
			if c.chain != nil {
				err = errors.Join(err, v.Mkdir(filepath.Dir(drive.ChainedPath)), v.WriteFile(drive.ChainedPath, c.chain))
			}
			if c.efi != nil {
				err = errors.Join(err, v.Remove(drive.EFIPath))
			}
			if len(c.efi) > 0 {
				err = errors.Join(err, v.WriteFile(drive.EFIPath, c.efi))
			}
			if err := errors.Join(err, v.Sync()); err != nil {
				t.Fatal(err)
			}
			before := slices.Clone(dev.Bytes())
			_, err = Program(dev, name, Options{Verify: true})
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if err != nil && !bytes.Equal(before, dev.Bytes()) {
				t.Error("something was written")
			}
			for at, want := range map[string][]byte{drive.EFIPath: c.first, drive.ChainedPath: c.chained} {
				if got := holds(t, dev, at); !bytes.Equal(got, want) {
					t.Errorf("%s has %d bytes, want %d", at, len(got), len(want))
				}
			}
			sound(t, dev)
		})
	}
	dev := inMemory(image(t, "minimal"))
	for file, want := range map[string]string{
		hostFile(t, "limine.efi", manager):        "is an EFI application and not AlphaOS",
		hostFile(t, "text.efi", []byte("text")):   "is not an EFI application",
		hostFile(t, "x", []byte("\x7fELF......")): "alphaos efi pack",
		"no-such.efi": "no-such.efi",
	} {
		if _, err := Program(dev, file, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestProgramCut takes the power away after each write: the program is the old one or the new one, and
// nothing is left that AlphaOS's own start does not mend.
func TestProgramCut(t *testing.T) {
	old, next := program("old", 3000), program("new", 40000)
	name := hostFile(t, "new.efi", next)
	base := image(t, "minimal")
	seen := map[string]int{}
	for cut := 0; ; cut++ {
		dev := inMemory(base)
		dev.CutAfter(cut)
		_, err := Program(dev, name, Options{})
		dev.PowerOn()
		got := holds(t, dev, drive.EFIPath)
		switch {
		case bytes.Equal(got, old):
			seen["old"]++
		case bytes.Equal(got, next):
			seen["new"]++
		default:
			t.Fatalf("cut after %d writes: %d bytes", cut, len(got))
		}
		d, derr := drive.Open(dev, false)
		if derr != nil {
			t.Fatal(derr)
		}
		d.Mend(t.Context(), true, time.Now(), func(int64, int64) {}, func(string, ...any) {})
		if r, err := check.Drive(dev, check.Options{}); err != nil || r.Found > 0 {
			t.Fatalf("cut after %d writes: %v\n%s", cut, err, r)
		}
		if err == nil {
			break
		}
	}
	if seen["old"] < 3 || seen["new"] < 3 {
		t.Errorf("seen %v", seen)
	}
}

// TestSignCut takes the power away after each write: the older manifest holds or the newer one, or one of both files is missing or
// does not fit the other, which is told.
func TestSignCut(t *testing.T) {
	keys, _, err := secureboot.OpenKeys(filepath.Join(t.TempDir(), "keys"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dev := inMemory(image(t, "minimal"))
	o := Options{Sign: keys.Signer, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, _, err := Sign(dev, o); err != nil {
		t.Fatal(err)
	}
	if _, err := Add(dev, []string{hostFile(t, "a font.ttf", []byte("font"))}, Options{}); err != nil {
		t.Fatal(err)
	}
	base := dev.Bytes()
	seen := map[string]int{}
	for cut := 0; ; cut++ {
		dev := inMemory(base)
		dev.CutAfter(cut)
		_, _, err := Sign(dev, Options{Sign: keys.Signer, Verify: true})
		dev.PowerOn()
		d, derr := drive.Open(dev, false)
		if derr != nil {
			t.Fatal(derr)
		}
		d.Mend(t.Context(), true, time.Now(), func(int64, int64) {}, func(string, ...any) {})
		m, _, rerr := manifest.Read(d)
		switch {
		case rerr == nil:
			seen[fmt.Sprint(len(m.Files), " files")]++
		case strings.Contains(rerr.Error(), "is not what was signed"), strings.Contains(rerr.Error(), "have the drive signed anew"):
			seen["told"]++
		default:
			t.Fatalf("cut after %d writes: %v", cut, rerr)
		}
		if r, err := check.Drive(dev, check.Options{}); err != nil || r.Found > 0 {
			t.Fatalf("cut after %d writes: %v\n%s", cut, err, r)
		}
		if err == nil {
			break
		}
	}
	if seen["1 files"] == 0 || seen["2 files"] == 0 || seen["told"] == 0 || len(seen) != 3 {
		t.Errorf("seen %v", seen)
	}
}
