// Command torture does everything at once that a kernel can get wrong beneath a
// Go program, and checks every result: goroutine storms, channels across
// processors, allocation, mappings, deep stacks, timers, faults, signals,
// threads that come and go, firmware calls and vector registers.
//
// Each worker repeats one small job; a job ends with its results checked. Once
// in a while all workers stand still between jobs, the memory that is then
// free is given back, and the frames in use are counted: after the warm-up they
// may not grow. On a Linux host it runs too, but for what only firmware has.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"alphaos/amd64"
	"alphaos/efi"
)

// length is how long it runs, set at link time.
var length = "10s"

// worker is a job done again and again. do gets a random source of its own and
// returns what was wrong.
type worker struct {
	name   string
	number int // how many work at once
	do     func(r *rand.Rand) error
	done   atomic.Int64 // jobs
}

// standStill is held for reading during each job.
var standStill sync.RWMutex

const (
	allowedGrowth = 0.05
	// A run of seconds sees its heap at rest only a few times.
	allowedGrowthInSeconds = 0.10
	// Live all the time, as a program's own data is; large enough that a 2 MiB page or two
	// more is no growth.
	keptMemory = 256 << 20
)

func main() {
	duration, err := time.ParseDuration(length)
	if err != nil {
		fail("the length %q: %v", length, err)
	}
	if amd64.Booted() {
		if err := efi.Init(); err != nil {
			fail("firmware: %v", err)
		}
	}
	all := slices.Concat(goWorkers, memoryWorkers, machineWorkers)
	if amd64.Booted() {
		all = slices.Concat(all, firmwareWorkers)
	}
	kept := make([]byte, keptMemory)
	fill(kept, 99)
	fmt.Printf("torture: begin, %v on %d processors, %s\n", duration, amd64.StartProcessors(amd64.Present()), amd64.Mode())
	for _, w := range all {
		for n := range w.number {
			go work(w, rand.New(rand.NewPCG(uint64(n), 2026)))
		}
	}

	began := time.Now()
	round := min(10*time.Second, duration/5)
	nextCount := began.Add(round)
	var warm uint64          // the most frames in use at rest in the warm-up, in bytes
	var lowest uint64 = 1e18 // the fewest in the last two fifths
	for time.Since(began) < duration {
		time.Sleep(time.Second)
		ran := time.Since(began)
		used := amd64.Memory().Total - amd64.Memory().Free
		fmt.Printf("torture: %.0fs, %d jobs, %d MiB in use, %d goroutines, %d collections\n",
			ran.Seconds(), jobs(all), used>>20, runtime.NumGoroutine(), collections())
		if time.Now().Before(nextCount) {
			continue
		}
		used = count()
		nextCount = time.Now().Add(round)
		if warm == 0 || ran < duration*2/5 {
			warm = max(warm, used)
		} else if ran >= duration*3/5 {
			lowest = min(lowest, used)
		}
		fmt.Printf("torture: at rest %d KiB in use, after the warm-up %d KiB (%+.2f %%)\n", used>>10, warm>>10, growth(warm, used)*100)
	}
	lowest = min(lowest, count())
	standStill.Lock() // for good
	allowed := allowedGrowth
	if duration < time.Minute {
		allowed = allowedGrowthInSeconds
	}
	switch {
	case !amd64.Booted(): // Linux's frames are not ours to count
	case warm == 0:
		fail("nothing could be counted in %v", duration)
	case growth(warm, lowest) > allowed:
		fail("memory in use at rest grew from %d to %d KiB", warm>>10, lowest>>10)
	}
	if err := check(kept, 99); err != nil {
		fail("memory held all the time: %v", err)
	}
	for _, w := range all {
		n := w.done.Load()
		fmt.Printf("torture: %-28s %9d jobs\n", w.name, n)
		if n == 0 {
			fail("%s never ended a job", w.name)
		}
	}
	fmt.Printf("torture: %.1f GB allocated, timers at most %v late, the clocks part by %v\n",
		float64(churned.Load())/1e9, time.Duration(latest.Load()).Round(time.Millisecond), time.Duration(drift.Load()).Round(time.Millisecond))
	fmt.Printf("torture: passed, %d KiB in use at rest, after the warm-up %d KiB (%+.2f %%)\n", lowest>>10, warm>>10, growth(warm, lowest)*100)
	os.Exit(0)
}

// growth is how much more used is than warm, as a fraction.
func growth(warm, used uint64) float64 { return float64(used)/float64(max(warm, 1)) - 1 }

func work(w *worker, r *rand.Rand) {
	for {
		standStill.RLock()
		if err := w.do(r); err != nil {
			fail("%s: %v", w.name, err)
		}
		w.done.Add(1)
		standStill.RUnlock()
		runtime.Gosched()
	}
}

// fail ends the program, and stops all others from saying more.
func fail(format string, args ...any) {
	fmt.Printf("torture: FAILED: "+format+"\n", args...)
	os.Exit(1)
}

// count lets all workers stand still and returns the bytes in use.
func count() uint64 {
	standStill.Lock()
	defer standStill.Unlock()
	runtime.GC() // sync.Pools need two
	debug.FreeOSMemory()
	m := amd64.Memory()
	return m.Total - m.Free
}

func jobs(all []*worker) (n int64) {
	for _, w := range all {
		n += w.done.Load()
	}
	return n
}

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// fill writes a pattern that depends on seed and place; check finds any byte
// of it that changed. Both look at one byte in 512, and at the last.
func fill(p []byte, seed uint64) {
	for i := 0; i < len(p); i += 512 {
		p[i] = pattern(seed, i)
	}
	p[len(p)-1] = pattern(seed, len(p)-1)
}

func check(p []byte, seed uint64) error {
	if err := checkPart(p, seed); err != nil {
		return err
	}
	if want := pattern(seed, len(p)-1); p[len(p)-1] != want {
		return fmt.Errorf("the last of %d bytes at %p is %#x, want %#x", len(p), p, p[len(p)-1], want)
	}
	return nil
}

// checkPart is check for the beginning of what was filled.
func checkPart(p []byte, seed uint64) error {
	for i := 0; i < len(p); i += 512 {
		if want := pattern(seed, i); p[i] != want {
			return fmt.Errorf("byte %d of %d at %p is %#x, want %#x", i, len(p), p, p[i], want)
		}
	}
	return nil
}

func pattern(seed uint64, i int) byte {
	return byte((seed*0x9e3779b97f4a7c15+uint64(i)*0xbf58476d1ce4e5b9)>>37) | 1
}
