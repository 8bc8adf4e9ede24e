package machine

import "fmt"

func Example_memoryLines() {
	for _, line := range memoryLines(memoryUse{
		ram: 8_000_000_000, taken: 7_800_000_000, free: 5_000_000_000, image: 4_200_000,
		weights: 2_000_000_000, cache: 300_000_000, heap: 350_000_000, held: 400_000_000,
	}) {
		fmt.Println(line)
	}
	// Output:
	// machine         8.00 GB
	// firmware        196 MB
	// program         4.20 MB
	// weights         2.00 GB
	// Go heap         400 MB, 350 MB of it in use
	// KV cache        300 MB of the Go heap
	// other           400 MB (page tables, stacks, buffers)
	// free            5.00 GB
}
