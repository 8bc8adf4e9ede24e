// Command hello is the smallest program that shows a machine to be in order: it
// lets goroutines run on all its processors, checks that these agree on the
// time, tells how many there are and how much of the memory it got, and returns
// to the firmware.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"alphaos/amd64"
	"alphaos/efi"
	"alphaos/uefi"
)

// status is set at link time: after "success" the firmware shows its boot menu,
// after "failure" it starts the next boot option, which is its shell.
var status = "success"

// provoke tells more, in a build with the tag of that name.
var provoke = func() {}

func main() {
	n := amd64.StartProcessors(amd64.Present())
	provoke()
	sums := make([]int, 4*n)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() { sums[i] = sum(i) })
	}
	wg.Wait()
	for i, got := range sums {
		if want := sum(i); got != want {
			fmt.Printf("hello: FAILED: goroutine %d found %d, want %d\n", i, got, want)
			os.Exit(1)
		}
	}
	if err := clocks(n); err != nil {
		fmt.Printf("hello: FAILED: %v\n", err)
		os.Exit(1)
	}
	free, err := firmwareMemory()
	if err != nil {
		fmt.Printf("hello: FAILED: %v\n", err)
		os.Exit(1)
	}
	total := amd64.Memory().Total
	fmt.Printf("hello: %d processors, %d of %d MiB, %.1f %%, after %v, %s, counters were %v apart, within %v\n",
		n, total>>20, free>>20, 100*float64(total)/float64(free), amd64.SinceStart(), amd64.Mode(), amd64.Clock().Apart, amd64.Clock().Within)
	if status == "failure" {
		os.Exit(1)
	}
}

func sum(i int) (n int) {
	for j := range 1_000_000 {
		n += j & i
	}
	return n
}

// clocks reads the time on n threads at once: who has seen another's reading must not
// read less, by more than what both processors' corrections may be wrong.
func clocks(n int) error {
	var wg sync.WaitGroup
	var latest, back atomic.Int64
	begin := time.Now()
	for range n {
		wg.Go(func() {
			runtime.LockOSThread()
			for range 20_000 {
				seen := latest.Load()
				now := int64(time.Since(begin))
				for b := back.Load(); seen-now > b && !back.CompareAndSwap(b, seen-now); b = back.Load() {
				}
				latest.CompareAndSwap(seen, max(seen, now))
			}
		})
	}
	wg.Wait()
	const most = 5 * time.Millisecond
	within := amd64.Clock().Within
	if within > most {
		return fmt.Errorf("the counters were compared to within %v only", within)
	}
	if time.Duration(back.Load()) > 2*within {
		return fmt.Errorf("from one processor to another, time went back by %v", time.Duration(back.Load()))
	}
	return nil
}

// firmwareMemory is how many bytes were free before amd64 took its share, which
// is loader data now.
func firmwareMemory() (bytes uint64, err error) {
	if err := efi.Init(); err != nil {
		return 0, err
	}
	list, err := efi.MemoryMap()
	for _, d := range list {
		if d.Type == uefi.ConventionalMemory || d.Type == uefi.LoaderData {
			bytes += d.NumberOfPages << 12
		}
	}
	return bytes, err
}
