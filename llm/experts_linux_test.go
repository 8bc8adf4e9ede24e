package llm

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"alphaos/llm/gguf"
)

// Go's own timers may be late by a millisecond, which is longer than most reads take.
func init() {
	nap = func(d time.Duration) {
		t := unix.NsecToTimespec(int64(max(0, d)))
		for unix.Nanosleep(&t, &t) == unix.EINTR {
		}
	}
}

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

// folded reads the experts of the second half of a model's layers from where some of the first half are that have the same
// types, so that the system's cache can hold all that is read beside the memory that is measured.
type folded struct {
	io.ReaderAt
	spans []*gguf.Tensor // of the second half
	from  []*gguf.Tensor // the same of the first half
}

func newFolded(b *testing.B, r io.ReaderAt, size int64) *folded {
	f, err := gguf.Read(r, size)
	if err != nil {
		b.Fatal(err)
	}
	d := &folded{ReaderAt: r}
	layers := 0
	for ; ; layers++ {
		if _, ok := f.Tensor(partOf(layers)("ffn_down_exps.weight")); !ok {
			break
		}
	}
	experts := func(i int) (list [3]*gguf.Tensor, types [3]gguf.Type) {
		for k, name := range []string{"ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"} {
			t, _ := f.Tensor(partOf(i)(name))
			if t == nil {
				b.Fatalf("layer %d has no %s", i, name)
			}
			list[k], types[k] = t, t.Type
		}
		return list, types
	}
	for i := layers / 2; i < layers; i++ {
		list, types := experts(i)
		found := false
		for k := range layers / 2 { // types differ from layer to layer
			same, as := experts((i + k) % (layers / 2))
			if found = as == types; found {
				d.spans, d.from = append(d.spans, list[:]...), append(d.from, same[:]...)
				break
			}
		}
		if !found {
			b.Fatalf("layer %d has other experts than all of the first half", i)
		}
	}
	return d
}

func (d *folded) ReadAt(p []byte, off int64) (int, error) {
	for i, t := range d.spans {
		if t.Offset <= off && off < t.Offset+t.Bytes {
			off += d.from[i].Offset - t.Offset
			break
		}
	}
	return d.ReaderAt.ReadAt(p, off)
}

// BenchmarkExpertsFile decodes with the mixture of experts in the file ALPHAOS_EXPERTS, with ALPHAOS_EXPERTS_BUDGET MB (6000) for
// its weights: "drive" reads the experts that are missing from the file, past the system's cache; "2GB" reads them from a medium of
// 2 GB/s, for which the system's cache stands; "mmap" has all weights in a file that is mapped, and leaves it to
// the system which are in memory. What memory that has must be limited from outside:
//
//	systemd-run --scope -p MemoryMax=6G go test ./llm -run '^$' -bench ExpertsFile/mmap -benchtime 20x -timeout 0
//
// "hits" is the share of experts that were in memory, "share" the speed as a part of what the bytes that were read allow: the
// drive's rate is the best of reading pieces of an expert's size, one, two or four at a time, before and after.
func BenchmarkExpertsFile(b *testing.B) {
	name := os.Getenv("ALPHAOS_EXPERTS")
	if name == "" {
		b.Skip("ALPHAOS_EXPERTS names a mixture of experts larger than 6 GB")
	}
	file := openDirect(b, name)
	plain, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { plain.Close() })
	info, err := file.f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	size := info.Size()
	budget := int64(6000)
	if v, err := strconv.Atoi(os.Getenv("ALPHAOS_EXPERTS_BUDGET")); err == nil {
		budget = int64(v)
	}
	cached := Options{Budget: budget * 1e6, Requests: 4, Threads: 2, Alloc: func(n int) ([]byte, error) { return anonymous(b, n) }}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + cached.Requests)) // as "alphaos chat" has it
	const piece = 884736                                                             // bytes of an expert's matrix of 2048 x 768 in Q4_0
	rate := func(b *testing.B) (best float64) {
		for _, together := range []int{1, 2, 4} {
			best = max(best, file.rate(b, size, piece, together))
		}
		return best
	}
	for _, way := range []struct {
		name    string
		from    io.ReaderAt
		options Options
		rate    func(b *testing.B) float64
	}{
		{"drive", file, cached, rate},
		{"2GB", &slow{ReaderAt: newFolded(b, plain, size), rate: 2e9}, cached, func(*testing.B) float64 { return 2e9 }},
		{"mmap", file, Options{Threads: 2, Alloc: func(n int) ([]byte, error) { return mapped(b, filepath.Dir(name), n) }}, nil},
	} {
		b.Run(way.name, func(b *testing.B) {
			m, err := Load(way.from, size, way.options)
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
			for warm := time.Now(); tokens < 40 && time.Since(warm) < time.Minute; { // so that the experts that are used most are there
				decode()
			}
			var allowed float64
			if way.rate != nil {
				allowed = way.rate(b)
			}
			before, _ := m.Experts()
			tokens = 0
			begin := time.Now()
			for b.Loop() {
				decode()
			}
			took := time.Since(begin).Seconds()
			b.ReportMetric(float64(tokens)/took, "tokens/s")
			if way.rate == nil {
				return
			}
			after, _ := m.Experts()
			read := float64(after.Read - before.Read)
			allowed = max(allowed, way.rate(b))
			b.ReportMetric(float64(after.Hits-before.Hits)/float64(after.Asked-before.Asked), "hits")
			b.ReportMetric(read/float64(tokens)/1e6, "MB/token")
			b.ReportMetric(allowed/1e9, "GB/s")
			b.ReportMetric(read/allowed/took, "share")
			b.ReportMetric(float64(after.At), "requests")
		})
	}
}

// anonymous is n bytes of memory with pages of 2 MiB, where the system has them.
func anonymous(b *testing.B, n int) ([]byte, error) {
	w, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() {
		if err := unix.Munmap(w); err != nil {
			b.Error(err)
		}
	})
	_ = unix.Madvise(w, unix.MADV_HUGEPAGE)
	return w, nil
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
