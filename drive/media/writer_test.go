package media

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// memory is a medium that counts, fails and forgets as it is told.
type memory struct {
	b      []byte
	writes int
	err    error
	lost   int64 // the offset at which a write has no effect
	odd    bool  // was given a request that is not for whole blocks
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.check(p, off)
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	return copy(p, m.b[off:]), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.check(p, off)
	m.writes++
	if m.err != nil {
		return 0, m.err
	}
	if m.lost > 0 && off == m.lost {
		return len(p), nil
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) check(p []byte, off int64) {
	m.odd = m.odd || off%512 != 0 || len(p)%512 != 0
}

func (m *memory) Sync() error { return m.err }

const driveSize = 5*chunkSize + 512*7

// TestWriter does the same to a writer and to an array, on a medium that was used before and
// on a fresh one.
func TestWriter(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		r := rand.New(rand.NewPCG(1, 2))
		m := &memory{b: make([]byte, driveSize)}
		if !fresh {
			for i := range m.b {
				m.b[i] = 0xA5
			}
		}
		w := NewWriter(m, driveSize, fresh)
		told := int64(0)
		w.Progress = func(done int64) {
			if done < told || done > driveSize {
				t.Errorf("%d bytes are done after %d", done, told)
			}
			told = done
		}
		want := make([]byte, driveSize)
		for range 60 {
			off := r.Int64N(driveSize)
			n := min(r.Int64N(1<<r.IntN(23)+1), driveSize-off)
			p := make([]byte, n)
			if r.IntN(3) > 0 {
				for i := range p {
					p[i] = byte(r.Uint32())
				}
			}
			var err error
			switch r.IntN(4) {
			case 0:
				_, err = w.WriteAt(p, off)
			case 1:
				w.Seek(off, io.SeekStart)
				_, err = w.Write(p)
			case 2:
				w.Seek(off, io.SeekStart)
				_, err = io.CopyN(w, bytes.NewReader(p), n)
			case 3:
				if _, err = w.ReadAt(p, off); !bytes.Equal(p, want[off:off+n]) {
					t.Fatalf("fresh %v: reading %d bytes at %d gives others", fresh, n, off)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			copy(want[off:], p)
		}
		want[driveSize-1] = 1
		_, err := w.WriteAt(want[driveSize-1:], driveSize-1)
		if err := errors.Join(err, w.Zero(0, driveSize), w.Sync()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.b, want) {
			t.Errorf("fresh %v: the medium holds something else", fresh)
		}
		if told != driveSize {
			t.Errorf("%d bytes are done of %d", told, driveSize)
		}
		if m.odd {
			t.Error("requests are not for whole blocks")
		}
		if err := w.Verify(m, nil); err != nil {
			t.Error(err)
		}
		m.b[driveSize-1] ^= 1
		if err := w.Verify(m, nil); !errors.Is(err, ErrDiffers) {
			t.Errorf("a bit was flipped: %v", err)
		}
	}
}

func TestWriterZeros(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		m := &memory{b: bytes.Repeat([]byte{1}, driveSize)}
		if fresh {
			m.b = make([]byte, driveSize)
		}
		w := NewWriter(m, driveSize, fresh)
		if _, err := w.WriteAt([]byte("x"), 10); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Zero(5, 2*chunkSize), w.Sync()); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(m.b[:3*chunkSize], []byte{0}); n != 3*chunkSize-1 || m.b[10] != 'x' {
			t.Errorf("fresh %v: %d zeros", fresh, n)
		}
		if want := map[bool]int{false: 3, true: 1}[fresh]; m.writes != want {
			t.Errorf("fresh %v: %d chunks are written, want %d", fresh, m.writes, want)
		}
		if !fresh && m.b[3*chunkSize] != 1 {
			t.Error("more than was asked for is made zero")
		}
	}
}

func TestWriterErrors(t *testing.T) {
	w := NewWriter(&memory{b: make([]byte, driveSize)}, driveSize, false)
	for _, off := range []int64{-1, driveSize, 1 << 62} {
		if _, err := w.WriteAt([]byte{1}, off); !errors.Is(err, errBeyond) {
			t.Errorf("writing at %d: %v", off, err)
		}
	}
	w.Seek(driveSize-1, io.SeekStart)
	if _, err := io.Copy(w, io.LimitReader(strings.NewReader("xy"), 2)); !errors.Is(err, errBeyond) {
		t.Error(err)
	}
	p := make([]byte, 2)
	if n, err := w.ReadAt(p, driveSize-1); n != 1 || err != io.EOF || p[0] != 'x' {
		t.Errorf("reading over the end: %d, %v", n, err)
	}
	broken := errors.New("broken")
	w = NewWriter(&memory{b: make([]byte, driveSize), err: broken}, driveSize, false)
	w.WriteAt([]byte{1}, 0)
	if err := w.Sync(); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := w.WriteAt([]byte{1}, 0); !errors.Is(err, broken) {
		t.Errorf("after an error: %v", err)
	}
	lossy := &memory{b: make([]byte, driveSize), lost: chunkSize}
	w = NewWriter(lossy, driveSize, false)
	w.WriteAt(bytes.Repeat([]byte{1}, 2*chunkSize), 0)
	if err := errors.Join(w.Sync(), w.Verify(lossy, nil)); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "from 4 MiB on") {
		t.Errorf("a write was lost: %v", err)
	}
}

func TestOut(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.img")
	write := func(w *Writer) error { _, err := w.WriteAt([]byte("hello"), 1000); return err }
	steps := map[string]int64{}
	o := Out{Image: name, Verify: true, Progress: func(step string, total int64) func(int64) { return func(done int64) { steps[step] = done } }}
	if how, err := o.Write(driveSize, driveSize, write); err != nil || !strings.Contains(how, "cache") {
		t.Errorf("%q, %v", how, err)
	}
	if steps[Writing] != driveSize || steps[Verifying] != chunkSize {
		t.Errorf("%v", steps)
	}
	if fi, err := os.Stat(name); err != nil || fi.Size() != driveSize || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", fi, err)
	}
	if _, err := o.Write(1<<20, 0, write); err == nil || !strings.Contains(err.Error(), "exists; add --yes") {
		t.Error(err)
	}
	o.Replace = true
	stop := errors.New("stop")
	if _, err := o.Write(1<<20, 0, func(*Writer) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if fi, err := os.Stat(name); err != nil || fi.Size() != driveSize {
		t.Errorf("what was there is gone: %v, %v", fi, err)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); len(files) > 0 {
		t.Errorf("%q is left", files)
	}
	for _, bad := range []string{"/dev/sdzz", `\\.\PhysicalDrive1`, t.TempDir()} {
		if _, err := (Out{Image: bad, Replace: true}).Write(1, 1, write); err == nil {
			t.Errorf("%s is written", bad)
		}
	}
}

// An image keeps its old content until the new is on the medium.
func TestAtomically(t *testing.T) {
	defer func(f func(*os.File) error) { syncFile = f }(syncFile)
	name := filepath.Join(t.TempDir(), "image")
	content := func() string { b, _ := os.ReadFile(name); return string(b) }
	write := func(s string) error {
		return Atomically(name, func(f *os.File) error { _, err := f.WriteString(s); return err })
	}
	if err := write("old"); err != nil || content() != "old" {
		t.Fatalf("%q, %v", content(), err)
	}
	failed := errors.New("no answer")
	syncFile = func(f *os.File) error {
		if b, err := os.ReadFile(f.Name()); string(b) != "new" || content() != "old" {
			t.Errorf("%q with %q in its place, %v", b, content(), err)
		}
		return failed
	}
	if err := write("new"); !errors.Is(err, failed) || content() != "old" {
		t.Errorf("%q, %v", content(), err)
	}
	if list, _ := os.ReadDir(filepath.Dir(name)); len(list) != 1 {
		t.Errorf("%d files are left", len(list))
	}
}

// loop returns a loop device over an image of size bytes, where there is root and a kernel
// that has any.
func loop(t *testing.T, size int64) Disk {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("loop devices need Linux and root")
	}
	img := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(img, bytes.Repeat([]byte{0xA5}, int(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", img).Output()
	if err != nil {
		t.Skip("losetup makes no loop device here")
	}
	path := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "-d", path).Run() })
	disks, err := List()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Find(disks, path)
	if err != nil || !strings.HasPrefix(d.Name, "loop") || d.Size != size {
		t.Fatalf("%+v, %v", d, err)
	}
	return d
}

func TestDevice(t *testing.T) {
	const size = 3*chunkSize + 4096
	d := loop(t, size)
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i>>12 + i)
	}
	clear(want[chunkSize : chunkSize+5000])
	how, err := Out{Disk: &d, Verify: true}.Write(size, size, func(w *Writer) error {
		_, err := w.ReadFrom(bytes.NewReader(want))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("read back %s", how)
	src, err := OpenSource(d.Path, &d)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got := make([]byte, size)
	if err := readFull(src, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the device holds something else, %v", err)
	}
	other := d
	other.Model = "of another maker"
	if _, err := (Out{Disk: &other}).Write(size, size, func(*Writer) error { t.Error("written"); return nil }); err == nil || !strings.Contains(err.Error(), "another drive is there now") {
		t.Errorf("a drive that took the place of another: %v", err)
	}
	// Whoever holds a device keeps others off it.
	f, _, err := openDisk(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := (Out{Disk: &d}).Write(size, size, func(*Writer) error { return nil }); err == nil || !strings.Contains(err.Error(), "in use by this system") {
		t.Errorf("a device in use: %v", err)
	}
	if _, err := (Out{Disk: &d}).Write(size+1, size, nil); err == nil || !strings.Contains(err.Error(), "has only") {
		t.Error(err)
	}
}
