package fat

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"alphaos/fs"
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

// BenchmarkAgainstRaw reads and writes a file of 1 GiB and, turn by turn, as many blocks of
// the same medium without a file system, in requests of 4 MiB, and says how much of the raw
// speed is left, the best of several turns, in per cent. Each medium is an image file, whose flush goes to the
// host's drive, or memory, which no real medium is as fast as.
func BenchmarkAgainstRaw(b *testing.B) {
	const size, request = 1 << 30, 4 << 20
	for _, medium := range []string{"file", "memory"} {
		b.Run(medium, func(b *testing.B) {
			plan, err := Plan(&Tree{}, size+256<<20, 512)
			if err != nil {
				b.Fatal(err)
			}
			img, err := os.Create(filepath.Join(b.TempDir(), "image"))
			if err != nil {
				b.Fatal(err)
			}
			defer img.Close()
			if err := img.Truncate(size + 256<<20); err != nil {
				b.Fatal(err)
			}
			if err := plan.Write(img, 0); err != nil {
				b.Fatal(err)
			}
			var dev fs.BlockDevice
			if dev, err = fs.NewFileDevice(img, size+256<<20, 512); err != nil {
				b.Fatal(err)
			}
			if medium == "memory" {
				m := ram{make([]byte, size+256<<20)}
				if err := dev.ReadBlocks(0, m.b); err != nil {
					b.Fatal(err)
				}
				dev = m
			}
			v, err := Mount(dev)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, request)
			for i := range buf {
				buf[i] = byte(i * 7)
			}
			at := uint64(v.dataAt / 512)
			check := func(err error) {
				if err != nil && err != io.EOF {
					b.Fatal(err)
				}
			}
			raw := func(f func(uint64, []byte) error) {
				for n := uint64(0); n < size; n += request {
					check(f(at+n/512, buf))
				}
			}
			writeFile := func() {
				w, err := v.Create("big")
				check(err)
				for n := 0; n < size; n += request {
					_, err := w.Write(buf)
					check(err)
				}
				check(w.Close())
				check(v.Sync())
			}
			writeFile() // so that all of the medium is there
			check(v.Remove("big"))
			took := map[string][]float64{}
			clock := func(what string, f func()) {
				began := time.Now()
				f()
				took[what] = append(took[what], time.Since(began).Seconds())
			}
			for b.Loop() {
				for range 5 {
					clock("raw write", func() { raw(dev.WriteBlocks); check(dev.Flush()) })
					// What raw writes have spoilt are the root and the file.
					v = nil
					check(plan.Write(img, 0))
					if m, ok := dev.(ram); ok {
						check(func() error { _, err := img.ReadAt(m.b[:v0(plan)], 0); return err }())
					}
					v, err = Mount(dev)
					check(err)
					clock("write", writeFile)
					f, err := v.Open("big")
					check(err)
					for range 5 {
						clock("raw read", func() { raw(dev.ReadBlocks) })
						clock("read", func() {
							for n := int64(0); n < size; n += request {
								_, err := f.(io.ReaderAt).ReadAt(buf, n)
								check(err)
							}
						})
					}
					r, p := rand.New(rand.NewPCG(1, 1)), make([]byte, 4096)
					random := func(f func(n int64)) {
						for range 20000 {
							f(r.Int64N(size/4096) * 4096)
						}
					}
					clock("raw random", func() { random(func(n int64) { check(dev.ReadBlocks(at+uint64(n)/512, p)) }) })
					clock("random", func() {
						random(func(n int64) { _, err := f.(io.ReaderAt).ReadAt(p, n); check(err) })
					})
					check(f.Close())
					check(v.Remove("big"))
				}
			}
			best := func(what string) float64 { return slices.Min(took[what]) }
			for _, what := range []string{"read", "write", "random"} {
				b.ReportMetric(100*best("raw "+what)/best(what), "%raw-"+what)
			}
			b.ReportMetric(size/best("raw read")/1e6, "MB/s-raw-read")
			b.ReportMetric(size/best("raw write")/1e6, "MB/s-raw-write")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// v0 returns how many bytes of a fresh volume are not content.
func v0(plan *Format) int64 { return plan.dataAt() + plan.cluster }

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
