package llm

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direct reads a file past the page cache, whatever is asked for: what is not whole pages is copied from some that are.
type direct struct {
	f    *os.File
	room sync.Pool // *[]byte that begin with a page
}

func openDirect(b *testing.B, name string) *direct {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &direct{f: f}
}

func (d *direct) ReadAt(p []byte, off int64) (int, error) {
	if off%page == 0 && len(p)%page == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%page == 0 {
		return d.f.ReadAt(p, off)
	}
	first := off &^ (page - 1)
	n := int(off-first) + len(p)
	whole := (n + page - 1) &^ (page - 1)
	room, _ := d.room.Get().(*[]byte)
	if room == nil || len(*room) < whole {
		raw := make([]byte, whole+page)
		raw = raw[-uintptr(unsafe.Pointer(&raw[0]))&(page-1):][:whole]
		room = &raw
	}
	defer d.room.Put(room)
	got, err := d.f.ReadAt((*room)[:whole], first)
	if got >= n {
		err = nil
	} else if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return copy(p, (*room)[off-first:max(int(off-first), min(got, n))]), err
}

// rate is how many bytes a second it gives at most when pieces of a size are read from anywhere, some at a time.
func (d *direct) rate(b *testing.B, size int64, piece, together int) float64 {
	const pieces = 400
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range together {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(piece)))
			p := make([]byte, piece)
			for range pieces / together {
				if _, err := d.ReadAt(p, r.Int64N(size-int64(piece))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(pieces*piece) / time.Since(begin).Seconds()
}

// BenchmarkExpertsFile decodes with the mixture of experts in the file ALPHAOS_EXPERTS, with ALPHAOS_EXPERTS_BUDGET MB (6000) for its weights: "cache" reads
// the experts that are missing from the file, past the system's cache; "mmap" has all weights in a file that is mapped, and
// leaves it to the system which are in memory. What memory that has must be limited from outside:
//
//	systemd-run --scope -p MemoryMax=6G go test ./llm -run XXX -bench ExpertsFile/mmap -benchtime 20x -timeout 0
//
// "hits" is the share of experts that were in memory, "share" the speed as a part of what the bytes that were read allow:
// the drive's rate is the best of reading pieces of an expert's size, one, two or four at a time.
func BenchmarkExpertsFile(b *testing.B) {
	name := os.Getenv("ALPHAOS_EXPERTS")
	if name == "" {
		b.Skip("ALPHAOS_EXPERTS names a mixture of experts larger than 6 GB")
	}
	file := openDirect(b, name)
	info, err := file.f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	size := info.Size()
	budget := int64(6000)
	if v, err := strconv.Atoi(os.Getenv("ALPHAOS_EXPERTS_BUDGET")); err == nil {
		budget = int64(v)
	}
	options := map[string]Options{
		"cache": {Budget: budget * 1e6, Requests: 4, Threads: 2},
		"mmap":  {Threads: 2, Alloc: func(n int) ([]byte, error) { return mapped(b, filepath.Dir(name), n) }},
	}
	for _, way := range []string{"cache", "mmap"} {
		b.Run(way, func(b *testing.B) {
			m, err := Load(file, size, options[way])
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Close)
			s := newSession(b, m)
			r := rand.New(rand.NewPCG(1, 2))
			tokens := 0
			decode := func() {
				if s.Len() == s.Cap() {
					s.Truncate(0)
				}
				if _, err := s.Eval(context.Background(), []int32{r.Int32N(int32(m.config.vocabulary))}); err != nil {
					b.Fatal(err)
				}
				tokens++
			}
			for range 40 { // so that the experts that are used most are there
				decode()
			}
			before, cached := m.Experts()
			tokens = 0
			begin := time.Now()
			for b.Loop() {
				decode()
			}
			took := time.Since(begin).Seconds()
			b.ReportMetric(float64(tokens)/took, "tokens/s")
			if !cached {
				return
			}
			after, _ := m.Experts()
			read := float64(after.Read - before.Read)
			piece := int(read / float64(max(1, after.Asked-after.Hits-before.Asked+before.Hits)))
			var rates []float64
			for _, together := range []int{1, 2, 4} {
				rates = append(rates, file.rate(b, size, max(page, piece), together))
			}
			b.ReportMetric(float64(after.Hits-before.Hits)/float64(after.Asked-before.Asked), "hits")
			b.ReportMetric(read/float64(tokens)/1e6, "MB/token")
			b.ReportMetric(slices.Max(rates)/1e9, "GB/s")
			b.ReportMetric(read/slices.Max(rates)/took, "share")
			b.ReportMetric(float64(after.At), "requests")
		})
	}
}

// mapped is n bytes of memory that the system may write to a file in dir, and read again, as it likes.
func mapped(b *testing.B, dir string, n int) ([]byte, error) {
	f, err := os.CreateTemp(dir, "weights")
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() {
		f.Close()
		os.Remove(f.Name())
	})
	if err := f.Truncate(int64(n)); err != nil {
		return nil, err
	}
	w, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() {
		if err := unix.Munmap(w); err != nil {
			b.Error(err)
		}
	})
	return w, nil
}
