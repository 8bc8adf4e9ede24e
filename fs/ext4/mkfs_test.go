package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	iofstest "testing/fstest"
	"time"

	"alphaos/fs"
)

// Volumes made by e2fsprogs: other people's idea of ext4.

func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed (package e2fsprogs); what is left is the small volume in testdata", p)
		}
	}
}

// program runs a program of e2fsprogs, which may end with one of these statuses beside 0.
func program(t testing.TB, stdin string, ok []int, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "DEBUGFS_PAGER=cat", "E2FSPROGS_FAKE_TIME=")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil && !slices.Contains(ok, cmd.ProcessState.ExitCode()) {
		t.Fatalf("%s %s: %v\n%.2000s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// debugfs changes an image. Of what goes wrong it tells only in its output.
func debugfs(t testing.TB, img string, commands ...string) string {
	t.Helper()
	out := program(t, strings.Join(commands, "\n")+"\n", nil, "debugfs", "-w", "-f", "-", img)
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "debugfs") && strings.Contains(line, ": ") && !strings.HasPrefix(line, "Allocated inode") {
			t.Fatalf("debugfs: %s", line)
		}
	}
	return out
}

// repair has e2fsck mend an image, or find nothing to mend.
func repair(t testing.TB, img string, args ...string) {
	t.Helper()
	program(t, "", []int{1}, "e2fsck", append(append([]string{"-fy"}, args...), img)...)
}

// check fails if e2fsck finds anything to mend.
func check(t testing.TB, img string) {
	t.Helper()
	program(t, "", nil, "e2fsck", "-fn", img)
}

func fill(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(b)
	return b
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// source makes a folder with all that a volume may hold, and many files in one.
func source(t testing.TB, many int) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) { t.Helper(); write(t, filepath.Join(dir, name), b) }
	for i, n := range []int{0, 1, 59, 60, 61, 511, 512, 1023, 1024, 1025, 4095, 4096, 4097, 12 << 10, 13 << 10, 65536, 65537, 300<<10 + 17, 5<<20 + 3} {
		put(fmt.Sprintf("sizes/%d", n), fill(uint64(i), n))
	}
	put("models/llama-3.2-3b-instruct-q4_k_m.gguf", fill(100, 2<<20+12345))
	put("Grüße aus Köln.md", fill(101, 5000))
	put("日本語のファイル名 😀.txt", fill(102, 4097))
	put("a\\b:c*?\"<>|\n\t.txt", fill(103, 99))
	put(strings.Repeat("long", 63)+"end", fill(104, 7000))
	put("latin1-\xe9t\xe9", fill(105, 10))
	deep := "deep"
	for i := range 200 {
		deep += fmt.Sprintf("/%d", i)
	}
	put(deep+"/bottom", fill(106, 100))
	for i := range many {
		put(fmt.Sprintf("many/file number %05d.txt", i), fill(uint64(i), i%50))
	}
	links := map[string]string{
		"links/short":    "../sizes/4097",
		"links/up":       "../../../../sizes/60",
		"links/absolute": "/models/llama-3.2-3b-instruct-q4_k_m.gguf",
		"links/long":     strings.Repeat("./", 40) + "../sizes/61",
		"links/folder":   "../models/.",
		"links/twice":    "short",
		"links/nowhere":  "nothing",
		"links/circle":   "circle",
		"links/59":       strings.Repeat("x", 59),
		"links/60":       strings.Repeat("y", 60),
		"links/through":  "../sizes/60/x",
	}
	for name, target := range links {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.Symlink(target, p)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, off := range []int64{100 << 10, 3 << 20, 70 << 20, 1 << 30} {
		if _, err := f.WriteAt(fill(uint64(200+i), 10000), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(1<<30 + 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "sizes/60"), 0o4751), os.Chtimes(filepath.Join(dir, "sizes/61"), time.Time{}, time.Unix(-1000, 0))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mkfs makes an image of so many bytes from a folder.
func mkfs(t testing.TB, size int64, src string, args ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(img, nil, 0o600), os.Truncate(img, size)); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-q", "-F", "-L", "TESTLABEL"}, args...)
	if src != "" {
		args = append(args, "-d", src)
	}
	program(t, "", nil, "mke2fs", append(args, img)...)
	return img
}

func open(t testing.TB, img string, block int) fs.BlockDevice {
	t.Helper()
	dev, err := fs.OpenFileDevice(img, block, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func mount(t testing.TB, dev fs.BlockDevice) *FS {
	t.Helper()
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// same compares all that is on a volume with a folder.
func same(t *testing.T, v *FS, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		name := strings.ToValidUTF8(rel, "\uFFFD")
		want, err := d.Info()
		if err != nil {
			return err
		}
		got, err := v.Lstat(name)
		if err != nil {
			t.Error(err)
			return nil
		}
		seen++
		if got.Mode() != want.Mode() && name != "." || got.Name() != path.Base(name) || name != "." && got.ModTime().Unix() != want.ModTime().Unix() {
			t.Errorf("%q is %v, %v; want %v, %v", name, got, got.ModTime(), want, want.ModTime())
		}
		switch {
		case d.IsDir():
			list, err := v.ReadDir(name)
			if err != nil {
				t.Error(err)
			}
			var have, want []string
			for _, e := range list {
				if e.Name() != "lost+found" {
					have = append(have, e.Name())
				}
				if i, err := e.Info(); err != nil || i.Mode().Type() != e.Type() {
					t.Errorf("%q in %q: %v, %v", e.Name(), name, i, err)
				}
			}
			entries, _ := os.ReadDir(p)
			for _, e := range entries {
				if e.Name() != "lost+found" {
					want = append(want, strings.ToValidUTF8(e.Name(), "\uFFFD"))
				}
			}
			slices.Sort(want)
			if !slices.Equal(have, want) {
				t.Errorf("%q has %d entries, want %d", name, len(have), len(want))
			}
		case d.Type() == iofs.ModeSymlink:
			want, _ := os.Readlink(p)
			if got, err := v.ReadLink(name); got != want || err != nil {
				t.Errorf("%q leads to %q, %v; want %q", name, got, err, want)
			}
		case got.Size() != want.Size():
			t.Errorf("%q has %d bytes, want %d", name, got.Size(), want.Size())
		default:
			w, err := os.Open(p)
			if err != nil {
				return err
			}
			defer w.Close()
			g, err := v.Open(name)
			if err != nil {
				t.Error(err)
				return nil
			}
			defer g.Close()
			compare(t, name, g.(io.ReaderAt), w, got.Size())
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// compare compares contents of size bytes, byte for byte and in odd places.
func compare(t testing.TB, name string, got, want io.ReaderAt, size int64) {
	t.Helper()
	const step = 1 << 20
	buf := make([]byte, 2*min(step, size+1))
	at := func(off, n int64) {
		g, w := buf[:n], buf[len(buf)/2:][:n]
		for i := range g {
			g[i] = 0xAA
		}
		gn, gerr := got.ReadAt(g, off)
		wn, werr := want.ReadAt(w, off)
		if gn != wn || gerr != werr || !bytes.Equal(g[:gn], w[:wn]) {
			t.Errorf("%q: %d bytes at %d are %d other ones, %v; want %d, %v", name, n, off, gn, gerr, wn, werr)
		}
	}
	for off := int64(0); off <= size; off += step {
		if size > 1<<30 && (off > 4<<20 && off < 69<<20 || off > 71<<20 && off < size-2<<20) {
			continue // holes of the sparse file
		}
		at(off, int64(len(buf)/2))
	}
	r := rand.New(rand.NewPCG(uint64(size), 7))
	for range min(size/100, 50) {
		at(r.Int64N(size+10), 1+r.Int64N(min(1<<r.IntN(18), size)))
	}
}

func TestMkfs(t *testing.T) {
	needs(t, "mke2fs", "e2fsck")
	src := source(t, 150)
	for _, c := range []struct {
		name  string
		args  string
		block int // of the device
		mib   int64
	}{
		{"default", "-t ext4", 512, 64},
		{"1k", "-t ext4 -b 1024", 512, 64},
		{"2k on 4096", "-t ext4 -b 2048", 4096, 64},
		{"4k on 4096", "-t ext4 -b 4096", 4096, 64},
		{"1k on 4096", "-t ext4 -b 1024", 4096, 64},
		{"64k", "-t ext4 -b 65536", 512, 256},
		{"many groups", "-t ext4 -b 1024 -g 512 -N 8192", 512, 128},
		{"64bit", "-t ext4 -O 64bit", 512, 64},
		{"not 64bit", "-t ext4 -O ^64bit", 512, 64},
		{"no checksums", "-t ext4 -O ^metadata_csum", 512, 64},
		{"group checksums", "-t ext4 -O ^metadata_csum,uninit_bg,^64bit -g 1024 -N 8192", 512, 64},
		{"group checksums, 64bit", "-t ext4 -O ^metadata_csum,uninit_bg,64bit -g 1024 -N 8192", 512, 64},
		{"no flex_bg", "-t ext4 -O ^flex_bg -g 2048", 512, 64},
		{"meta_bg", "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 512 -N 8192", 512, 128},
		{"sparse_super2", "-t ext4 -O sparse_super2,^resize_inode -g 1024 -N 8192", 512, 64},
		{"bigalloc", "-t ext4 -O bigalloc -C 16384", 512, 128},
		{"bigalloc 1k", "-t ext4 -b 1024 -O bigalloc -C 4096 -g 8192", 512, 128},
		{"no extents", "-t ext4 -O ^extent,^64bit", 512, 64},
		{"no extents 1k", "-t ext4 -b 1024 -O ^extent,^64bit", 512, 64},
		{"csum_seed and more", "-t ext4 -O metadata_csum_seed,large_dir,ea_inode,encrypt,project,verity,mmp,orphan_file,stable_inodes", 512, 64},
		{"small inodes", "-t ext4 -I 128", 512, 64},
		{"large inodes", "-t ext4 -I 1024", 512, 64},
		{"ext3", "-t ext3", 512, 64},
		{"ext3 1k", "-t ext3 -b 1024 -g 1024 -N 8192", 512, 128},
		{"ext2", "-t ext2", 512, 64},
		{"ext2 1k", "-t ext2 -b 1024", 512, 64},
		{"no filetype", "-t ext2 -O none", 512, 64},
		{"revision 0", "-t ext2 -r 0 -O none", 512, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := mkfs(t, c.mib<<20, src, strings.Fields(c.args)...)
			check(t, img)
			v := mount(t, open(t, img, c.block))
			if v.Label() != "TESTLABEL" || len(v.Notes()) > 0 {
				t.Errorf("label %q, notes %q", v.Label(), v.Notes())
			}
			same(t, v, src)
			ownZones(t, v)
			repair(t, img, "-D") // which makes hash trees
			v = mount(t, open(t, img, c.block))
			same(t, v, src)
		})
	}
}

func TestIOFS(t *testing.T) {
	needs(t, "mke2fs")
	src := source(t, 200)
	for _, bad := range []string{"nowhere", "circle", "59", "60", "through"} {
		os.Remove(filepath.Join(src, "links", bad))
	}
	// What is right on ext4 and not in io/fs, or takes too long.
	for _, odd := range []string{"sparse", "models/llama-3.2-3b-instruct-q4_k_m.gguf", "links/absolute", "sizes/5242883", "sizes/307217", "a\\b:c*?\"<>|\n\t.txt", "deep"} {
		os.RemoveAll(filepath.Join(src, odd))
	}
	v := mount(t, open(t, mkfs(t, 64<<20, src, "-t", "ext4"), 512))
	if err := iofstest.TestFS(v, "links/short", "sizes/0", "many/file number 00001.txt", "日本語のファイル名 😀.txt"); err != nil {
		t.Error(err)
	}
}
