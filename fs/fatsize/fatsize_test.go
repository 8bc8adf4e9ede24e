package fatsize

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/internal/fsck"
)

const volumeSize = 40 * mib

// format returns a volume with 512-byte clusters and a file for each size.
func format(t testing.TB, sizes ...int) []byte {
	t.Helper()
	var tree fat.Tree
	for i, n := range sizes {
		if err := tree.Add(fmt.Sprintf("file%d", i), fat.Bytes(bytes.Repeat([]byte{byte(i + 1)}, n))); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := fat.Plan(&tree, volumeSize, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan.Label = "FATSIZE"
	name := filepath.Join(t.TempDir(), "volume")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Truncate(volumeSize), plan.Write(f, 0)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sparse is a device that reads as zeros behind head.
type sparse struct {
	head   []byte
	blocks uint64
}

func (s sparse) BlockSize() int                   { return 512 }
func (s sparse) Blocks() uint64                   { return s.blocks }
func (s sparse) WriteBlocks(uint64, []byte) error { return fs.ErrReadOnly }
func (s sparse) Flush() error                     { return nil }
func (s sparse) ReadBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(s, lba, p); err != nil {
		return err
	}
	clear(p)
	if off := lba * 512; off < uint64(len(s.head)) {
		copy(p, s.head[off:])
	}
	return nil
}

// resized copies a volume to a place of size bytes that is full of something else.
func resized(t testing.TB, b []byte, size int64) ([]byte, error) {
	t.Helper()
	dev := sparse{b, uint64(len(b) / 512)}
	v, err := Read(dev)
	if err != nil {
		return nil, err
	}
	pieces, patches, err := v.Copy(dev, size)
	if err != nil {
		return nil, err
	}
	out := bytes.Repeat([]byte{0xA5}, int(size))
	at, from := int64(0), int64(0)
	for p := range pieces {
		if p.N == 0 {
			continue
		}
		if p.N < 0 || p.Dst < at || p.Dst+p.N > size {
			t.Fatalf("%+v is behind %d or beyond %d", p, at, size)
		}
		if at = p.Dst + p.N; p.Src < 0 {
			clear(out[p.Dst:at])
			continue
		}
		if p.Src < from || p.Src%512 != 0 {
			t.Fatalf("%+v is before %d", p, from)
		}
		from = p.Src + p.N
		copy(out[p.Dst:at], b[p.Src:from])
	}
	for _, p := range patches {
		copy(out[p.Dst:], p.Data)
	}
	if int64(len(b)) == size && len(patches) > 0 {
		t.Error("there are patches for the volume's own size")
	}
	return out, nil
}

func TestCopy(t *testing.T) {
	sizes := []int{0, 1, 511, 512, 5000, 2 * mib}
	b := format(t, sizes...)
	le := binary.LittleEndian
	v, err := Read(sparse{b, uint64(len(b) / 512)})
	if err != nil {
		t.Fatal(err)
	}
	// A bad cluster, and one that only the second FAT has taken, which may not be lost.
	badAt, oddAt := v.clusters-5, int64(30000)
	for i := range v.fats {
		le.PutUint32(b[v.reserved+i*v.table+4*badAt:], bad)
	}
	for _, size := range []int64{v.Least(), volumeSize, volumeSize + 512, 41 * mib, 120 * mib} {
		c := bytes.Clone(b)
		if size == volumeSize {
			le.PutUint32(c[v.reserved+v.table+4*oddAt:], 0x0FFFFFFF)
			copy(c[v.dataAt()+(oddAt-2)*v.cluster:], "precious")
		}
		out, err := resized(t, c, size)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if size == volumeSize {
			if !bytes.Contains(out, []byte("precious")) {
				t.Error("a cluster that one FAT has taken is not copied")
			}
			continue
		}
		dev := sparse{out, uint64(len(out) / 512)}
		w, err := Read(dev)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got := w.bytes; got > size || got < size-4096-mib {
			t.Errorf("%d bytes: the volume has %d", size, got)
		}
		mounted, err := fat.Mount(dev)
		if err != nil || len(mounted.Notes()) > 0 {
			t.Fatal(mounted.Notes(), err)
		}
		for i, n := range sizes {
			got, err := mounted.ReadFile(fmt.Sprintf("file%d", i))
			if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, n)) {
				t.Errorf("%d bytes: file %d differs, %v", size, i, err)
			}
		}
		fsck.Sound(t, fstest.NewDevice(out, 512))
	}
	if _, err := resized(t, b, v.Least()-512); err == nil {
		t.Error("the volume became smaller than it can be")
	}
}

// A full volume that becomes a little larger loses nothing to its longer FAT.
func TestCopyFull(t *testing.T) {
	v, err := fat.Mount(sparse{format(t), volumeSize / 512})
	if err != nil {
		t.Fatal(err)
	}
	free, err := v.Free()
	if err != nil {
		t.Fatal(err)
	}
	b := format(t, int(free))
	for _, more := range []int64{512, 4096, 64 << 10, 512 << 10, mib - 512, mib, mib + 8192, 2 * mib} {
		out, err := resized(t, b, volumeSize+more)
		if err != nil {
			t.Fatalf("%d bytes more: %v", more, err)
		}
		mounted, err := fat.Mount(sparse{out, uint64(len(out) / 512)})
		if err != nil || len(mounted.Notes()) > 0 {
			t.Fatal(mounted.Notes(), err)
		}
		if got, err := mounted.ReadFile("file0"); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{1}, int(free))) {
			t.Errorf("%d bytes more: the file differs, %v", more, err)
		}
		fsck.Sound(t, fstest.NewDevice(out, 512))
	}
}

func TestReadRefuses(t *testing.T) {
	b := format(t, 1)[:2*mib]
	put := func(off int, value ...byte) func([]byte) { return func(b []byte) { copy(b[off:], value) } }
	for what, change := range map[string]func([]byte){
		"no signature":             put(510, 0),
		"sectors of 0":             put(11, 0, 0),
		"sectors of 513":           put(11, 1, 2),
		"sectors of 8192":          put(11, 0, 0x20),
		"clusters of 3":            put(13, 3),
		"no FAT":                   put(16, 0),
		"three FATs":               put(16, 3),
		"FAT16":                    put(22, 1),
		"a fixed root":             put(17, 1),
		"a version":                put(42, 1),
		"a FAT that is too short":  put(36, 1, 0, 0, 0),
		"a FAT that is too long":   put(36, 0xFF, 0xFF, 0xFF, 0xFF),
		"too many sectors":         put(32, 0xFF, 0xFF, 0xFF, 0xFF),
		"too few clusters":         put(32, 0, 0, 1, 0),
		"FSInfo among the FATs":    put(48, 0xFE, 0xFF),
		"a backup among the FATs":  put(50, 0xFE, 0xFF),
		"a root that nobody took":  put(44, 0, 0, 1, 0),
		"a root that is not there": put(44, 0xFF, 0xFF, 0xFF, 0x0F),
	} {
		c := bytes.Clone(b)
		change(c)
		if _, err := Read(sparse{c, volumeSize / 512}); !errors.Is(err, ErrOdd) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, n := range []uint64{0, 1, 100} {
		if _, err := Read(sparse{b, n}); err == nil {
			t.Errorf("%d blocks are a volume", n)
		}
	}
}

func Fuzz(f *testing.F) {
	b := format(f, 5000, 70000)
	f.Add(b[:512], b[32*512:][:4096], int64(100))
	f.Add(b[:512], b[32*512:][:512], int64(-100))
	f.Fuzz(func(t *testing.T, boot, table []byte, more int64) {
		if len(boot) < 512 {
			return
		}
		head := make([]byte, 2*mib)
		copy(head, boot[:512])
		reserved := int(binary.LittleEndian.Uint16(boot[14:])) * 512
		if reserved < len(head) {
			copy(head[reserved:], table)
		}
		dev := sparse{head, volumeSize / 512}
		v, err := Read(dev)
		if err != nil {
			return
		}
		size := max(v.Least(), min(volumeSize+more%(64*mib), 1<<41))
		pieces, patches, err := v.Copy(dev, size)
		if err != nil {
			t.Fatal(err)
		}
		at, from := int64(0), int64(0)
		for p := range pieces {
			if p.N < 0 || p.Dst < at || p.Dst+p.N > size || p.Src >= 0 && (p.Src < from || p.Src+p.N > volumeSize) {
				t.Fatalf("%+v, size %d", p, size)
			}
			if at = p.Dst + p.N; p.Src >= 0 {
				from = p.Src + p.N
			}
		}
		for _, p := range patches {
			if p.Dst < 0 || p.Dst+int64(len(p.Data)) > v.reserved {
				t.Fatalf("a patch of %d bytes at %d", len(p.Data), p.Dst)
			}
		}
	})
}
