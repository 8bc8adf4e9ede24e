package main

// Memory: the Go heap's, and mappings of our own beside it.

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var churned atomic.Int64 // bytes

var memoryWorkers = []*worker{
	{name: "allocation", number: 2, do: func(r *rand.Rand) error {
		var live [32][]byte
		var seeds [len(live)]uint64
		for range 200 {
			i := r.IntN(len(live))
			if live[i] != nil {
				if err := check(live[i], seeds[i]); err != nil {
					return err
				}
			}
			// Sizes of all orders of magnitude.
			n := 1 + r.IntN(1<<(4+r.IntN(18)))
			p := make([]byte, n)
			for j := 0; j < n; j += 512 {
				if p[j] != 0 {
					return fmt.Errorf("byte %d of %d fresh ones is %#x", j, n, p[j])
				}
			}
			churned.Add(int64(n))
			seeds[i] = r.Uint64()
			fill(p, seeds[i])
			live[i] = p
		}
		for i, p := range live {
			if p == nil {
				continue
			}
			if err := check(p, seeds[i]); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "large allocation", number: 1, do: func(r *rand.Rand) error {
		n := 4<<20 + r.IntN(60<<20)
		p := make([]byte, n)
		for j := 0; j < n; j += 4096 {
			if p[j] != 0 {
				return fmt.Errorf("byte %d of %d fresh ones is %#x", j, n, p[j])
			}
		}
		churned.Add(int64(n))
		fill(p, uint64(n))
		time.Sleep(time.Millisecond)
		return check(p, uint64(n))
	}},
	{name: "linked objects", number: 1, do: func(r *rand.Rand) error {
		type node struct {
			left, right *node
			n           int
		}
		var grow func(levels, n int) *node
		grow = func(levels, n int) *node {
			if levels == 0 {
				return nil
			}
			return &node{grow(levels-1, 2*n), grow(levels-1, 2*n+1), n}
		}
		var sum func(*node) int
		sum = func(t *node) int {
			if t == nil {
				return 0
			}
			return t.n + sum(t.left) + sum(t.right)
		}
		levels := 8 + r.IntN(6)
		nodes := 1<<levels - 1
		churned.Add(int64(nodes) * int64(unsafe.Sizeof(node{})))
		if got, want := sum(grow(levels, 1)), nodes*(nodes+1)/2; got != want {
			return fmt.Errorf("a tree of %d levels adds up to %d, want %d", levels, got, want)
		}
		return nil
	}},
	{name: "mappings", number: 2, do: mappings},
	{name: "memory given back", number: 1, do: func(r *rand.Rand) error {
		debug.FreeOSMemory()
		time.Sleep(200 * time.Millisecond)
		return nil
	}},
}

// mappings maps, protects, forgets and unmaps memory of random sizes, also in
// parts.
func mappings(r *rand.Rand) error {
	const page = 4096
	n := page * (1 + r.IntN(1<<r.IntN(13))) // up to 32 MiB, so also 2 MiB pages
	p, err := mmap(n)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes: %w", n, err)
	}
	for i := 0; i < n; i += page {
		if p[i] != 0 {
			return fmt.Errorf("byte %d of %d freshly mapped ones is %#x", i, n, p[i])
		}
	}
	seed := r.Uint64()
	fill(p, seed)
	if n >= 4*page {
		pages := n / page
		from := 1 + r.IntN(pages-2)
		to := from + 1 + r.IntN(pages-from-1)
		part := p[from*page : to*page]
		switch r.IntN(4) {
		case 0: // forgotten pages read zero, the others stay
			if err := syscall.Madvise(part, syscall.MADV_DONTNEED); err != nil {
				return fmt.Errorf("madvise: %w", err)
			}
			for i := 0; i < len(part); i += page {
				if part[i] != 0 {
					return fmt.Errorf("byte %d of %d forgotten ones is %#x", i, len(part), part[i])
				}
			}
		case 1: // a write where only reading is allowed is a fault
			if err := syscall.Mprotect(part, syscall.PROT_READ); err != nil {
				return fmt.Errorf("mprotect: %w", err)
			}
			if !faults(&part[r.IntN(len(part))]) {
				return fmt.Errorf("a write to a page that may only be read went through")
			}
			if err := syscall.Mprotect(part, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
				return fmt.Errorf("mprotect: %w", err)
			}
			if err := check(p, seed); err != nil {
				return fmt.Errorf("after mprotect: %w", err)
			}
		case 2: // a hole in the middle
			if err := munmap(part); err != nil {
				return fmt.Errorf("munmap of a part: %w", err)
			}
			// Another may map the hole at once: it is not looked at.
			if err := checkPart(p[:from*page], seed); err != nil {
				return fmt.Errorf("beside a hole: %w", err)
			}
			for _, rest := range [][]byte{p[:from*page], p[to*page:]} {
				if len(rest) == 0 {
					continue
				}
				if err := munmap(rest); err != nil {
					return fmt.Errorf("munmap beside a hole: %w", err)
				}
			}
			return nil
		default:
			if err := check(p, seed); err != nil {
				return fmt.Errorf("mapped memory: %w", err)
			}
		}
	}
	if err := munmap(p); err != nil {
		return fmt.Errorf("munmap of %d bytes: %w", n, err)
	}
	return nil
}

// The kernel's calls by themselves: package syscall's Munmap takes only whole
// mappings.
func mmap(n int) ([]byte, error) {
	addr, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, uintptr(n), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE, ^uintptr(0), 0)
	if errno != 0 {
		return nil, errno
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), n), nil
}

func munmap(p []byte) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0); errno != 0 {
		return errno
	}
	return nil
}

// faults reports whether a write to p is a fault.
func faults(p *byte) (yes bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { yes = recover() != nil }()
	*p = 0
	return false
}
