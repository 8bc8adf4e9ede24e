package fat

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// ram is a medium in memory that is as fast as copying.
type ram struct{ b []byte }

func (r ram) BlockSize() int { return 512 }
func (r ram) Blocks() uint64 { return uint64(len(r.b) / 512) }
func (r ram) Flush() error   { return nil }
func (r ram) ReadBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(r, lba, p); err != nil {
		return err
	}
	copy(p, r.b[lba*512:])
	return nil
}
func (r ram) WriteBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(r, lba, p); err != nil {
		return err
	}
	copy(r.b[lba*512:], p)
	return nil
}

// BenchmarkAgainstRaw writes and reads a file of 1 GiB and, request by request in turn, as many
// blocks of another medium of the same kind without a file system, in requests of 4 MiB, then
// pieces of 4 KiB from anywhere. It says how much of the raw speed is left, in per cent: the
// median of several such turns, in each of which the medians of requests count, since a busy
// host slows some of either kind. Each medium is an image
// file, whose flush goes to the host's drive, or memory, which no real medium is as fast as.
func BenchmarkAgainstRaw(b *testing.B) {
	const size, room, request, turns = 1 << 30, 256 << 20, 4 << 20, 5
	check := func(err error) {
		if err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
	plan, err := Plan(&Tree{}, size+room, 512)
	check(err)
	fresh := map[string]func() fs.BlockDevice{
		"file": func() fs.BlockDevice {
			img, err := os.Create(filepath.Join(b.TempDir(), "image"))
			check(err)
			b.Cleanup(func() { img.Close() })
			check(img.Truncate(size + room))
			dev, err := fs.NewFileDevice(img, size+room, 512)
			check(err)
			return dev
		},
		"memory": func() fs.BlockDevice { return ram{make([]byte, size+room)} },
	}
	for _, medium := range []string{"file", "memory"} {
		b.Run(medium, func(b *testing.B) {
			raw, dev := fresh[medium](), fresh[medium]()
			vol, err := readfs.New(dev)
			check(err)
			check(plan.Write(target{vol}, 0))
			v, err := Mount(dev)
			check(err)
			buf := make([]byte, request)
			for i := range buf {
				buf[i] = byte(i * 7)
			}
			at := uint64(v.dataAt / 512)
			// race does n pieces either way by turns, and ends of both, and returns how long each
			// took, by the medians of the pieces.
			race := func(n int, one, other func(i int), ends ...func()) (a, b float64) {
				took := func(f func()) float64 {
					began := time.Now()
					f()
					return time.Since(began).Seconds()
				}
				as, bs := make([]float64, n), make([]float64, n)
				for i := range n {
					if i%2 == 0 {
						as[i] = took(func() { one(i) })
						bs[i] = took(func() { other(i) })
					} else {
						bs[i] = took(func() { other(i) })
						as[i] = took(func() { one(i) })
					}
				}
				a, b = median(as)*float64(n), median(bs)*float64(n)
				if len(ends) > 0 {
					a += took(ends[0])
					b += took(ends[1])
				}
				return a, b
			}
			left := map[string][]float64{}
			for b.Loop() {
				for turn := range turns + 1 { // the first finds a medium of which nothing is there
					note := func(what string, a, b float64) {
						if turn > 0 {
							left[what] = append(left[what], 100*a/b)
						}
					}
					w, err := v.Create("big")
					check(err)
					a, o := race(size/request,
						func(i int) { check(raw.WriteBlocks(at+uint64(i)*request/512, buf)) },
						func(int) { _, err := w.Write(buf); check(err) },
						func() { check(raw.Flush()) },
						func() { check(w.Close()); check(v.Sync()) })
					note("write", a, o)
					f, err := v.Open("big")
					check(err)
					file := f.(io.ReaderAt)
					a, o = race(size/request,
						func(i int) { check(raw.ReadBlocks(at+uint64(i)*request/512, buf)) },
						func(i int) { _, err := file.ReadAt(buf, int64(i)*request); check(err) })
					note("read", a, o)
					r, p := rand.New(rand.NewPCG(1, 1)), make([]byte, 4096)
					a, o = race(20000,
						func(int) { check(raw.ReadBlocks(at+uint64(r.Int64N(size/4096))*8, p)) },
						func(int) { _, err := file.ReadAt(p, r.Int64N(size/4096)*4096); check(err) })
					note("random", a, o)
					check(f.Close())
					check(v.Remove("big"))
				}
			}
			for what, of := range left {
				b.ReportMetric(median(of), "%raw-"+what)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// target writes a plan on a device.
type target struct{ *readfs.Bytes }

func (t target) WriteAt(p []byte, off int64) (int, error) {
	return len(p), t.Bytes.Write(p, off)
}
func (target) Write([]byte) (int, error)      { return 0, errors.ErrUnsupported }
func (target) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }

// BenchmarkOpenLarge opens the largest file there can be, in clusters of 4 KiB, on a volume
// that was just mounted: all of its chain is read from an image file.
func BenchmarkOpenLarge(b *testing.B) {
	const size = 1<<32 - 4096
	var files Tree
	if err := files.Add("big", Content{Size: size}); err != nil {
		b.Fatal(err)
	}
	plan, err := Plan(&files, 5<<30, 512)
	if err != nil {
		b.Fatal(err)
	}
	img, err := os.Create(filepath.Join(b.TempDir(), "image"))
	if err != nil {
		b.Fatal(err)
	}
	defer img.Close()
	if err := img.Truncate(5 << 30); err != nil {
		b.Fatal(err)
	}
	if err := plan.Write(img, 0); err != nil {
		b.Fatal(err)
	}
	dev, err := fs.NewFileDevice(img, 5<<30, 512)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v, err := Mount(dev)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Open("big"); err != nil {
			b.Fatal(err)
		}
	}
}

// counted counts what a medium is asked for.
type counted struct {
	ram
	reads, writes, flushes int
	read, written          int64
}

func (c *counted) Flush() error { c.flushes++; return nil }
func (c *counted) ReadBlocks(lba uint64, p []byte) error {
	c.reads, c.read = c.reads+1, c.read+int64(len(p))
	return c.ram.ReadBlocks(lba, p)
}
func (c *counted) WriteBlocks(lba uint64, p []byte) error {
	c.writes, c.written = c.writes+1, c.written+int64(len(p))
	return c.ram.WriteBlocks(lba, p)
}

// TestLargeRequests pins down what writing and reading a large file asks of the medium beyond
// its content: that, and not this computer's speed, is what a stick's speed is lost by.
func TestLargeRequests(t *testing.T) {
	const size, request = 256 << 20, 4 << 20
	for _, piece := range []int{request, 64 << 10, 5000} {
		c := &counted{ram: ram{formatted(t, &Tree{}, size+64<<20)}}
		v, err := Mount(c)
		if err != nil {
			t.Fatal(err)
		}
		w, err := v.Create("big")
		if err != nil {
			t.Fatal(err)
		}
		b := []byte(text(1, piece))
		n := 0
		for ; n < size; n += piece {
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		data := (n + max(request, gather) - 1) / min(max(piece, gather), request)
		if more := c.writes - data; more > 40 || c.written > int64(n)*101/100 || c.read > int64(n)/100 || c.flushes > 8 {
			t.Errorf("pieces of %d: %d writes (%d more than of data) of %d bytes, %d reads of %d bytes, %d flushes", piece, c.writes, more, c.written, c.reads, c.read, c.flushes)
		}
		f, err := v.Open("big")
		if err != nil {
			t.Fatal(err)
		}
		c.reads, c.read = 0, 0
		p := make([]byte, request)
		for off := int64(0); off < size; off += request {
			if _, err := f.(io.ReaderAt).ReadAt(p, off); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		if c.reads != size/request || c.read != size {
			t.Errorf("pieces of %d: %d reads of %d bytes", piece, c.reads, c.read)
		}
		c.reads = 0
		for i := range int64(1000) { // no walk from the start
			if _, err := f.(io.ReaderAt).ReadAt(p[:4096], i*7919%(size/4096)*4096); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		if c.reads != 1000 {
			t.Errorf("1000 pieces from anywhere took %d reads", c.reads)
		}
	}
}
