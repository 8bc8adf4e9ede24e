package main

// Memory: demand-zero pages, reuse after collection, big and small objects.

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

var memoryChecks = []check{
	{"fresh memory is zero, 256 MiB", func() error {
		for range 4 {
			p := make([]byte, 64<<20)
			for i := 0; i < len(p); i += 64 {
				if p[i] != 0 {
					return fmt.Errorf("byte %d is %#x", i, p[i])
				}
				p[i] = 0xa5 // what is reused must be zeroed again
			}
		}
		return nil
	}},
	{"two gigabytes pass through the collector", func() error {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		live := make([][]uint64, 64)
		for i := range 2048 {
			p := make([]uint64, 1<<17)
			for j := 0; j < len(p); j += 512 {
				p[j] = uint64(i)<<32 | uint64(j)
			}
			live[i%len(live)] = p
		}
		for k, p := range live {
			for j := 0; j < len(p); j += 512 {
				if want := uint64(2048-len(live)+k)<<32 | uint64(j); p[j] != want {
					return fmt.Errorf("object %d, word %d: %#x, want %#x", k, j, p[j], want)
				}
			}
		}
		runtime.ReadMemStats(&after)
		if after.NumGC == before.NumGC {
			return fmt.Errorf("no collection ran")
		}
		return nil
	}},
	{"a large live heap: 400 MiB", func() error {
		var keep [][]byte
		for i := range 400 {
			p := make([]byte, 1<<20)
			for j := 0; j < len(p); j += 4096 {
				p[j] = byte(i)
			}
			keep = append(keep, p)
		}
		runtime.GC()
		for i, p := range keep {
			for j := 0; j < len(p); j += 4096 {
				if p[j] != byte(i) {
					return fmt.Errorf("MiB %d changed", i)
				}
			}
		}
		keep = nil
		debug.FreeOSMemory() // and back to the machine
		return nil
	}},
	{"memory given back is zero when it returns", func() error {
		for round := range 8 {
			p := make([]byte, 128<<20)
			for j := 0; j < len(p); j += 4096 {
				if p[j] != 0 {
					return fmt.Errorf("round %d, byte %d is %#x", round, j, p[j])
				}
				p[j] = 0xff
			}
			p = nil
			debug.FreeOSMemory()
		}
		return nil
	}},
	{"a million small objects", func() error {
		type node struct {
			next *node
			n    int
		}
		var head *node
		for i := range 1_000_000 {
			head = &node{head, i}
		}
		runtime.GC()
		for i := 999_999; i >= 0; i-- {
			if head.n != i {
				return fmt.Errorf("node %d holds %d", i, head.n)
			}
			head = head.next
		}
		return nil
	}},
	{"cleanups run", func() error {
		done := make(chan bool, 1)
		func() {
			p := new([1024]byte)
			runtime.AddCleanup(p, func(int) { done <- true }, 0)
		}()
		runtime.GC()
		<-done
		return nil
	}},
}
