package fat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"alphaos/fs"
)

// Volumes made by mkfs.fat and mtools: other people's idea of FAT32.

func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed (packages dosfstools and mtools)", p)
		}
	}
}

func run1(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "MTOOLS_SKIP_CHECK=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tree is the content of a test volume, by path.
func tree() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	content := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	m := map[string][]byte{
		"EMPTY.TXT":                            {},
		"short.txt":                            content(10),
		"MixedCase.Txt":                        content(511),
		"one block":                            content(512),
		"llama-3.2-3b-instruct-q4_k_m.gguf":    content(300<<10 + 17),
		"Grüße aus Köln.md":                    content(5000),
		"日本語のファイル名.txt":                        content(4096),
		"Ελληνικά.bin":                         content(4097), // mtools knows no characters beyond U+FFFF
		strings.Repeat("long", 60) + ".txt":    content(7000),
		"EFI/BOOT/BOOTX64.EFI":                 content(40000),
		"data/conversations/first/second.json": content(1234),
		"thirteen12345":                        content(13),
		"models/.hidden":                       content(1),
	}
	for i := range 120 {
		m[fmt.Sprintf("many/file number %03d.txt", i)] = content(i)
	}
	return m
}

func TestMkfs(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat", "mcopy", "mmd")
	for _, c := range []struct {
		name string
		args []string
		bs   int
		mib  int64 // mtools wants 65525 clusters or more; the image is sparse
	}{
		{"1 KiB clusters", []string{"-S", "512", "-s", "2"}, 512, 128},
		{"4096 clusters", []string{"-S", "512", "-s", "8"}, 512, 300},
		{"32 KiB clusters", []string{"-S", "512", "-s", "64"}, 512, 2200},
		{"one FAT", []string{"-f", "1", "-s", "4"}, 512, 150},
		{"4096 sectors", []string{"-S", "4096", "-s", "1"}, 4096, 300},
		{"512 sectors on 4096 blocks", []string{"-S", "512", "-s", "2", "-a"}, 4096, 128},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			img := filepath.Join(dir, "image")
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, c.mib<<20); err != nil {
				t.Fatal(err)
			}
			run1(t, "mkfs.fat", append(append([]string{"-F", "32", "-n", "TESTLABEL"}, c.args...), img)...)
			want := tree()
			src := filepath.Join(dir, "src")
			for name, b := range want {
				p := filepath.Join(src, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			list, err := os.ReadDir(src)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-s", "-m", "-i", img}
			for _, e := range list {
				args = append(args, filepath.Join(src, e.Name()))
			}
			run1(t, "mcopy", append(args, "::")...)

			dev, err := fs.OpenFileDevice(img, c.bs, false)
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			v, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			if v.Label() != "TESTLABEL" {
				t.Errorf("label %q", v.Label())
			}
			var names []string
			for name, b := range want {
				names = append(names, name)
				got, err := iofs.ReadFile(v, name)
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: wrong content, error %v", name, err)
				}
				got, err = iofs.ReadFile(v, strings.ToUpper(name))
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s in capitals: wrong content, error %v", name, err)
				}
				st, err := os.Stat(filepath.Join(src, name))
				if err != nil {
					t.Fatal(err)
				}
				fi, err := v.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				if d := st.ModTime().Sub(fi.ModTime()); d < 0 || d.Seconds() > 2 {
					t.Errorf("%s: time %v, want about %v", name, fi.ModTime(), st.ModTime().UTC())
				}
			}
			if err := fstest.TestFS(v, names...); err != nil {
				t.Error(err)
			}
			run1(t, "fsck.fat", "-n", img)

			// The same in a partition that is a little too short.
			boot := make([]byte, c.bs)
			if err := dev.ReadBlocks(0, boot); err != nil {
				t.Fatal(err)
			}
			le := binary.LittleEndian
			size := uint64(le.Uint32(boot[32:])) * uint64(le.Uint16(boot[11:])) // mkfs.fat leaves some sectors unused
			short, err := Mount(fs.Section(dev, 0, size/uint64(c.bs)-8))
			if err != nil {
				t.Fatal(err)
			}
			if n := short.Notes(); len(n) != 1 || !strings.Contains(n[0], "ends after") || len(v.Notes()) != 0 {
				t.Errorf("notes %q and %q", n, v.Notes())
			}
			for name, b := range want {
				if got, err := short.ReadFile(name); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s, in the short partition: wrong content, error %v", name, err)
				}
			}
		})
	}
}
