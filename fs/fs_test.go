package fs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i/512 + i)
	}
	return b
}

func TestSection(t *testing.T) {
	data := pattern(16 * 512)
	dev := fstest.NewDevice(data, 512)
	s := fs.Section(dev, 4, 8)
	if s.Blocks() != 8 || s.BlockSize() != 512 {
		t.Fatalf("section has %d blocks of %d bytes, want 8 of 512", s.Blocks(), s.BlockSize())
	}
	p := make([]byte, 1024)
	if err := s.ReadBlocks(1, p); err != nil || !bytes.Equal(p, data[5*512:7*512]) {
		t.Errorf("ReadBlocks(1): wrong bytes, error %v", err)
	}
	if err := s.WriteBlocks(7, bytes.Repeat([]byte{7}, 512)); err != nil || data[11*512] != 7 || data[12*512] == 7 {
		t.Errorf("WriteBlocks(7) did not write block 11 alone: %v", err)
	}
	for _, lba := range []uint64{7, 8, 9, 1 << 63, ^uint64(0)} {
		if err := s.ReadBlocks(lba, p); !errors.Is(err, fs.ErrOutOfRange) {
			t.Errorf("ReadBlocks(%d) of two blocks: %v, want ErrOutOfRange", lba, err)
		}
		if err := s.WriteBlocks(lba, p); !errors.Is(err, fs.ErrOutOfRange) {
			t.Errorf("WriteBlocks(%d) of two blocks: %v, want ErrOutOfRange", lba, err)
		}
	}
	if err := s.ReadBlocks(0, p[:100]); err == nil {
		t.Error("a request of 100 bytes was accepted")
	}
	for _, c := range []struct{ first, count, want uint64 }{{10, 100, 6}, {16, 1, 0}, {99, 1, 0}, {1, ^uint64(0), 15}} {
		if got := fs.Section(dev, c.first, c.count).Blocks(); got != c.want {
			t.Errorf("Section(%d, %d) has %d blocks, want %d", c.first, c.count, got, c.want)
		}
	}
}

func TestFileDevice(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	data := pattern(4*4096 + 100)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := fs.OpenFileDevice(name, 4096, true)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Blocks() != 4 {
		t.Fatalf("%d blocks, want 4", d.Blocks())
	}
	p := make([]byte, 2*4096)
	if err := d.ReadBlocks(2, p); err != nil || !bytes.Equal(p, data[2*4096:4*4096]) {
		t.Errorf("ReadBlocks(2): wrong bytes, error %v", err)
	}
	if err := d.ReadBlocks(3, p); !errors.Is(err, fs.ErrOutOfRange) {
		t.Errorf("reading beyond the end: %v, want ErrOutOfRange", err)
	}
	if err := d.WriteBlocks(1, p); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	copy(data[4096:], p)
	if got, _ := os.ReadFile(name); !bytes.Equal(got, data) {
		t.Error("the file does not hold what was written")
	}
	// A file that shrinks under the device is an error, not a short read.
	if err := os.Truncate(name, 4096); err != nil {
		t.Fatal(err)
	}
	if err := d.ReadBlocks(2, p); err == nil {
		t.Error("reading what was cut off succeeded")
	}
	if _, err := fs.OpenFileDevice(name, 1000, false); err == nil {
		t.Error("block size 1000 was accepted")
	}
}

func TestReadOnly(t *testing.T) {
	data := make([]byte, 1024)
	data[512] = 1
	d := fs.ReadOnly(fstest.NewDevice(data, 512))
	p := make([]byte, 512)
	if err := d.ReadBlocks(1, p); err != nil || p[0] != 1 || d.Blocks() != 2 {
		t.Errorf("error %v", err)
	}
	if err := d.WriteBlocks(0, p); !errors.Is(err, fs.ErrReadOnly) || data[0] != 0 {
		t.Errorf("writing: %v", err)
	}
	if err := d.Flush(); err != nil {
		t.Error(err)
	}
}
