package fat

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	backend "github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"

	"alphaos/fs"
)

// TestTakingTurns has us and mtools change volumes of all cluster sizes by turns: each reads what
// the other wrote, and fsck.fat finds nothing in between.
func TestTakingTurns(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat", "mcopy", "mdel", "mren", "mmd", "mrd", "dosfslabel")
	for _, c := range []struct{ sector, perCluster, mib int }{
		{512, 1, 40}, {512, 2, 80}, {512, 4, 150}, {512, 8, 300}, {512, 16, 600}, {512, 32, 1100}, {512, 64, 2200}, {512, 128, 4400},
		{4096, 1, 300}, {4096, 8, 2200},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.perCluster, c.sector), func(t *testing.T) {
			dir := t.TempDir()
			img := filepath.Join(dir, "image")
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, int64(c.mib)<<20); err != nil {
				t.Fatal(err)
			}
			run1(t, "mkfs.fat", "-F", "32", "-n", "TURNS", "-S", fmt.Sprint(c.sector), "-s", fmt.Sprint(c.perCluster), img)
			dev, err := fs.OpenFileDevice(img, c.sector, true)
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			want := map[string]string{".": "directory"}
			ours := func(f func(v *FS) error) {
				t.Helper()
				v, err := Mount(dev)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "before our turn", everything(t, v), want)
				v.Clock = func() time.Time { return someDay }
				if err := f(v); err != nil {
					t.Fatal(err)
				}
				if err := v.Sync(); err != nil {
					t.Fatal(err)
				}
				sound(t, img)
			}
			theirs := func(name string, args ...string) {
				t.Helper()
				run1(t, name, append([]string{"-i", img}, args...)...)
				sound(t, img)
			}
			out := func() {
				t.Helper()
				to := filepath.Join(dir, "out")
				os.RemoveAll(to)
				if err := os.Mkdir(to, 0o700); err != nil {
					t.Fatal(err)
				}
				theirs("mcopy", "-s", "-n", "::*", to)
				for name, content := range want {
					if content == "directory" {
						continue
					}
					got, err := os.ReadFile(filepath.Join(to, name))
					if err != nil || string(got) != content {
						t.Errorf("mtools read %d bytes of %s, want %d: %v", len(got), name, len(content), err)
					}
				}
			}
			put := func(v *FS, name string, n int) {
				t.Helper()
				want[name] = text(len(name), n)
				if err := v.WriteFile(name, []byte(want[name])); err != nil {
					t.Fatal(err)
				}
			}
			ours(func(v *FS) error {
				if err := v.Mkdir("Grüße"); err != nil {
					return err
				}
				want["Grüße"] = "directory"
				for i := range 30 {
					put(v, fmt.Sprintf("Grüße/ein längerer Name, Nummer %d.txt", i), i*i*100)
				}
				put(v, "PLAIN.TXT", 3<<20)
				put(v, "日本語.md", 5000)
				put(v, strings.Repeat("long", 60)+".txt", 7000)
				return v.SetLabel("NEW LABEL")
			})
			out()
			if got := strings.TrimSpace(run1(t, "dosfslabel", img)); got != "NEW LABEL" {
				t.Errorf("dosfslabel says %q", got)
			}
			src := filepath.Join(dir, "from mtools.txt")
			content := text(77, 200000)
			if err := os.WriteFile(src, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			theirs("mcopy", src, "::Grüße")
			want["Grüße/from mtools.txt"] = content
			theirs("mdel", "::Grüße/ein längerer Name, Nummer 7.txt")
			delete(want, "Grüße/ein längerer Name, Nummer 7.txt")
			theirs("mren", "::PLAIN.TXT", "::no longer plain.txt")
			want["no longer plain.txt"] = want["PLAIN.TXT"]
			delete(want, "PLAIN.TXT")
			theirs("mmd", "::made by mtools")
			want["made by mtools"] = "directory"
			ours(func(v *FS) error {
				if got := v.Label(); got != "NEW LABEL" {
					t.Errorf("the label is %q", got)
				}
				if err := v.Rename("Grüße/from mtools.txt", "made by mtools/moved.txt"); err != nil {
					return err
				}
				want["made by mtools/moved.txt"] = content
				delete(want, "Grüße/from mtools.txt")
				w, err := v.OpenWriter("no longer plain.txt")
				if err != nil {
					return err
				}
				if _, err := w.Write([]byte(content)); err != nil {
					return err
				}
				want["no longer plain.txt"] += content
				if err := w.Close(); err != nil {
					return err
				}
				if err := v.Rename("Grüße", "made by mtools/Grüße"); err != nil {
					return err
				}
				for name, c := range want {
					if name == "Grüße" || path.Dir(name) == "Grüße" {
						want["made by mtools/"+name] = c
						delete(want, name)
					}
				}
				return v.Remove(strings.Repeat("long", 60) + ".txt")
			})
			delete(want, strings.Repeat("long", 60)+".txt")
			out()
			ours(func(v *FS) error { return v.SetLabel("") })
		})
	}
}

// TestGoDiskfs mends what go-diskfs makes, whose directories and count of free clusters are
// not quite right, and then uses it.
func TestGoDiskfs(t *testing.T) {
	needs(t, "fsck.fat")
	const size = 64 << 20
	img := filepath.Join(t.TempDir(), "image")
	back, err := backend.CreateFromPath(img, size)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := fat32.Create(back, size, 0, 512, "DISKFS", false)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{".": "directory"}
	for _, dir := range []string{"one", "one/two"} {
		if err := theirs.Mkdir("/" + dir); err != nil {
			t.Fatal(err)
		}
		want[dir] = "directory"
	}
	for i, name := range []string{"plain.txt", "one/a longer name.txt", "one/two/deep.bin"} {
		f, err := theirs.OpenFile("/"+name, os.O_CREATE|os.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = text(i, 1000+70000*i)
		if _, err := f.Write([]byte(want[name])); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	r := checked(t, "go-diskfs", b, 512, CheckOptions{})
	t.Logf("%s", r)
	v, err := Mount(ram{b})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "mended", everything(t, v), want)
	if err := v.WriteFile("one/ours", bytes.Repeat([]byte("x"), 9000)); err != nil {
		t.Fatal(err)
	}
	if err := v.Remove("plain.txt"); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	soundImage(t, b)
}
