package main

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// weightMemory returns functions for llm.Options' Alloc and Free that take
// memory straight from the system, with 2 MiB pages if it has them to give, or
// with 4 KiB pages only.
func weightMemory(huge bool) (alloc func(int) ([]byte, error), free func([]byte)) {
	const large = 2 << 20
	var mu sync.Mutex
	whole := map[*byte][]byte{}
	alloc = func(n int) ([]byte, error) {
		b, err := unix.Mmap(-1, 0, n+large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return nil, fmt.Errorf("the system gives no memory: %w", err)
		}
		advice := unix.MADV_NOHUGEPAGE
		if huge {
			advice = unix.MADV_HUGEPAGE
		}
		// A system without huge pages refuses both, and has 4 KiB pages.
		_ = unix.Madvise(b, advice)
		p := b[-address(b)&(large-1):][:n]
		mu.Lock()
		defer mu.Unlock()
		whole[unsafe.SliceData(p)] = b
		return p, nil
	}
	free = func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		if b := whole[unsafe.SliceData(p)]; b != nil {
			_ = unix.Munmap(b)
			delete(whole, &p[0])
		}
	}
	return alloc, free
}

func address(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
