package media

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// changeInPlace writes blocks of a drive of size bytes 0xA5, and reads them back by another way.
func changeInPlace(t *testing.T, name string, d *Disk, size int64) {
	t.Helper()
	p, err := OpenInPlace(name, d, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.BlockSize() != 512 || p.Blocks() != uint64(size/512) {
		t.Errorf("%d blocks of %d", p.Blocks(), p.BlockSize())
	}
	want := bytes.Repeat([]byte{0xA5}, int(size)/512*512)
	r := rand.New(rand.NewPCG(1, 2))
	for i, n := range []int{1, 7, 2*chunkSize/512 + 3, 64} {
		memory := make([]byte, n*512+4096)
		b := memory[i*8:][:n*512] // seldom aligned
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		at := r.IntN(len(want)/512 - n)
		copy(want[at*512:], b)
		if err := p.WriteBlocks(uint64(at), b); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(b)+1)[1:]
		if err := p.ReadBlocks(uint64(at), got); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d blocks at %d are others: %v", n, at, err)
		}
	}
	if err := p.WriteBlocks(p.Blocks(), want[:512]); err == nil {
		t.Error("a block behind the end was written")
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("read back %s", p.Uncache())
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenInPlace(name, d, false); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got := make([]byte, len(want))
	if err := p.ReadBlocks(0, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the drive holds something else: %v", err)
	}
	if err := p.WriteBlocks(0, want[:512]); err == nil {
		t.Error("a drive that was opened for reading was written")
	}
}

func TestInPlace(t *testing.T) {
	const size = 4*chunkSize + 512*3
	t.Run("image", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, bytes.Repeat([]byte{0xA5}, size+100), 0o600); err != nil { // not in whole blocks
			t.Fatal(err)
		}
		changeInPlace(t, name, nil, size)
	})
	t.Run("drive", func(t *testing.T) {
		d := loop(t, size)
		changeInPlace(t, d.Path, &d, size)
		f, _, err := openDisk(d)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := OpenInPlace(d.Path, &d, true); err == nil || !strings.Contains(err.Error(), "in use by this system") {
			t.Errorf("a drive in use: %v", err)
		}
	})
	for _, write := range []bool{false, true} {
		if _, err := OpenInPlace("/dev/sdz", &Disk{Path: "/dev/sdz", Mounts: []string{"/media/a", "/media/b"}}, write); err == nil || !strings.Contains(err.Error(), "/dev/sdz is mounted at /media/a, /media/b; unmount it") {
			t.Errorf("a mounted drive: %v", err)
		}
		if _, err := OpenInPlace(t.TempDir(), nil, write); err == nil || !strings.Contains(err.Error(), "is not an ordinary file") {
			t.Errorf("a folder: %v", err)
		}
	}
	name := filepath.Join(t.TempDir(), "protected")
	if err := os.WriteFile(name, make([]byte, 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenInPlace(name, &Disk{Path: name, ReadOnly: true, Size: 1024, BlockSize: 512}, true); err == nil || !strings.Contains(err.Error(), "write-protected") {
		t.Errorf("a protected drive: %v", err)
	}
}
