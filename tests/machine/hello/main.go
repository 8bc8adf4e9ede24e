// Command hello is the smallest program that shows a machine to be in order: it
// counts its processors, lets goroutines run on them, and returns to the
// firmware.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"alphaos/amd64"
)

// status is set at link time: after "success" the firmware shows its boot menu,
// after "failure" it starts the next boot option, which is its shell.
var status = "success"

func main() {
	n := runtime.NumCPU()
	sums := make([]int, 4*n)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() {
			for j := range 1_000_000 {
				sums[i] += j & i
			}
		})
	}
	wg.Wait()
	for i := range sums {
		want := 0
		for j := range 1_000_000 {
			want += j & i
		}
		if sums[i] != want {
			fmt.Printf("hello: FAILED: goroutine %d found %d, want %d\n", i, sums[i], want)
			os.Exit(1)
		}
	}
	memory := amd64.Memory()
	fmt.Printf("hello: %d processors, %d MiB\n", n, memory.Total>>20)
	if status == "failure" {
		os.Exit(1)
	}
}
