package readfs

import (
	"bytes"
	"errors"
	"io"
	iofs "io/fs"
	"testing"
	"testing/iotest"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// A file in pieces, some of which the volume does not keep, reads as a whole.
func TestFile(t *testing.T) {
	disk := content(1 << 20)
	for _, block := range []int{512, 4096} {
		vol, err := New(fstest.NewDevice(disk, block))
		if err != nil {
			t.Fatal(err)
		}
		runs := []Run{{0, 8192, 10000}, {10000, Zeros, 5000}, {15000, 300001, 200000}, {215000, 1, 3}, {215003, Zeros, 1}}
		var want []byte
		for _, r := range runs {
			if r.At == Zeros {
				want = append(want, make([]byte, r.Len)...)
			} else {
				want = append(want, disk[r.At:][:r.Len]...)
			}
		}
		f := File("dir/name", Info{FileName: "name", Bytes: int64(len(want))}, vol.Content(runs), nil)
		if err := iotest.TestReader(f, want); err != nil {
			t.Error(err)
		}
		r := f.(io.ReaderAt)
		for _, c := range []struct{ off, n int }{{0, 1}, {9999, 2}, {9999, 6000}, {14999, 70000}, {215000, 100}, {0, len(want) + 1}} {
			p := make([]byte, c.n)
			n, err := r.ReadAt(p, int64(c.off))
			if end := min(c.off+c.n, len(want)); !bytes.Equal(p[:n], want[c.off:end]) || (err == io.EOF) != (c.off+c.n > len(want)) {
				t.Errorf("%d bytes at %d: %d, error %v", c.n, c.off, n, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	vol, _ := New(fstest.NewDevice(make([]byte, 8192), 512))
	for _, c := range []struct {
		off int64
		n   int
	}{{-1, 1}, {8192, 1}, {8000, 193}, {1 << 62, 1}} {
		if err := vol.Read(make([]byte, c.n), c.off); !errors.Is(err, fs.ErrOutOfRange) {
			t.Errorf("%d bytes at %d: %v", c.n, c.off, err)
		}
	}
	f := File("f", Info{FileName: "f"}, vol.Content(nil), nil)
	if _, err := f.(io.Seeker).Seek(-1, io.SeekStart); !errors.Is(err, iofs.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("error %v", err)
	}
	if _, err := Dir("d", Info{Dir: true}, nil).Read(nil); !errors.Is(err, ErrIsDir) {
		t.Errorf("error %v", err)
	}
}
