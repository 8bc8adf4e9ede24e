// Command hello is the smallest program that shows a machine to be in order: it
// lets goroutines run on all its processors, tells how many there are and how
// much of the memory it got, and returns to the firmware.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"alphaos/amd64"
	"alphaos/efi"
)

// status is set at link time: after "success" the firmware shows its boot menu,
// after "failure" it starts the next boot option, which is its shell.
var status = "success"

func main() {
	n := runtime.NumCPU()
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
	free, err := firmwareMemory()
	if err != nil {
		fmt.Printf("hello: FAILED: %v\n", err)
		os.Exit(1)
	}
	total := amd64.Memory().Total
	fmt.Printf("hello: %d processors, %d of %d MiB, %.1f %%, after %v\n", n, total>>20, free>>20, 100*float64(total)/float64(free), amd64.SinceStart())
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

// firmwareMemory is how many bytes were free before amd64 took its share, which
// is loader data now.
func firmwareMemory() (bytes uint64, err error) {
	const loaderData, conventional = 2, 7
	if err := efi.Init(); err != nil {
		return 0, err
	}
	list, err := efi.MemoryMap()
	for _, d := range list {
		if d.Type == conventional || d.Type == loaderData {
			bytes += d.Pages << 12
		}
	}
	return bytes, err
}
