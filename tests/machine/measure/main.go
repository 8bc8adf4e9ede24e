// Command measure prints what a machine does: how much two processors do more
// than one, how late timers are, what a wake-up and a firmware call cost, how
// fast memory comes back. Then it idles until it is switched off.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"alphaos/amd64"
	"alphaos/efi"
)

func main() {
	fmt.Println("measure: begin")
	if err := efi.Init(); err != nil {
		fmt.Println("measure: FAILED:", err)
		os.Exit(1)
	}
	speedup()
	lateness("idle", 0)
	lateness("computing", runtime.NumCPU())
	wakeups()
	firmwareCalls()
	heapReturn()
	mappingReturn()
	fmt.Println("measure: done")
	debug.SetGCPercent(-1)
	for { // what a program does that waits for a key
		time.Sleep(time.Second)
	}
}

// compute takes some hundred milliseconds.
func compute() (x uint64) {
	for i := range uint64(100_000_000) {
		x = x*6364136223846793005 + i
	}
	return x
}

var sink atomic.Uint64

// speedup compares the time of one goroutine with that of two doing twice the
// work.
func speedup() {
	run := func(n int) time.Duration {
		var wg sync.WaitGroup
		began := time.Now()
		for range n {
			wg.Go(func() { sink.Add(compute()) })
		}
		wg.Wait()
		return time.Since(began)
	}
	var ratios []float64
	for range 7 {
		one, two := run(1), run(2)
		ratios = append(ratios, 2*float64(one)/float64(two))
	}
	slices.Sort(ratios)
	fmt.Printf("measure: speedup %.2f (of two goroutines over one on %d processors, median of 7, least %.2f, most %.2f)\n",
		ratios[3], runtime.NumCPU(), ratios[0], ratios[6])
}

// lateness measures 5 ms timers beside n goroutines that compute.
func lateness(name string, n int) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for !stop.Load() {
				sink.Add(1)
			}
		})
	}
	var late []time.Duration
	for range 200 {
		const d = 5 * time.Millisecond
		began := time.Now()
		time.Sleep(d)
		late = append(late, time.Since(began)-d)
	}
	stop.Store(true)
	wg.Wait()
	report("timer-late-"+name, late)
}

// wakeups measures two threads that wake each other.
func wakeups() {
	ping, pong := make(chan bool), make(chan bool)
	go func() {
		runtime.LockOSThread()
		for range ping {
			pong <- true
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took []time.Duration
	for range 500 {
		began := time.Now()
		ping <- true
		<-pong
		took = append(took, time.Since(began)/2)
	}
	close(ping)
	report("thread-wakeup", took)
}

func firmwareCalls() {
	var took []time.Duration
	for range 200 {
		began := time.Now()
		if _, err := efi.Time(); err != nil {
			fmt.Println("measure: FAILED:", err)
			return
		}
		took = append(took, time.Since(began))
	}
	report("firmware-GetTime", took)
}

const gib = 1 << 30

func touch(p []byte) {
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
}

// waitFree waits until as many bytes are free as before, but for a little.
func waitFree(before uint64) (time.Duration, bool) {
	began := time.Now()
	for time.Since(began) < time.Minute {
		if amd64.Memory().Free+16<<20 >= before {
			return time.Since(began), true
		}
		time.Sleep(time.Millisecond)
	}
	return 0, false
}

func heapReturn() {
	debug.FreeOSMemory()
	before := amd64.Memory().Free
	began := time.Now()
	func() {
		p := make([]byte, gib)
		touch(p)
	}()
	filled := time.Since(began)
	began = time.Now()
	debug.FreeOSMemory()
	_, ok := waitFree(before)
	fmt.Printf("measure: heap-1GiB-back-ms %.1f (free again: %v; made and touched in %v)\n", ms(time.Since(began)), ok, filled.Round(time.Millisecond))
}

func mappingReturn() {
	before := amd64.Memory().Free
	p, err := syscall.Mmap(-1, 0, gib, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Println("measure: FAILED:", err)
		return
	}
	touch(p)
	began := time.Now()
	if err := syscall.Munmap(p); err != nil {
		fmt.Println("measure: FAILED:", err)
	}
	_, ok := waitFree(before)
	fmt.Printf("measure: mapping-1GiB-back-ms %.1f (free again: %v)\n", ms(time.Since(began)), ok)
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func report(name string, d []time.Duration) {
	slices.Sort(d)
	n := len(d)
	fmt.Printf("measure: %s-p50-ms %.3f\nmeasure: %s-p99-ms %.3f (most %.3f)\n", name, ms(d[n/2]), name, ms(d[n*99/100]), ms(d[n-1]))
}
