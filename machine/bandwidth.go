package machine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// readMemory has n processors read b, each its share of it again and again, and returns how
// many bytes they read in about the time long.
func readMemory(ctx context.Context, b []byte, n int, long time.Duration) (bytes int64, took time.Duration) {
	const piece = 256 << 10 // between looks at the clock
	var all sync.WaitGroup
	var total, sum atomic.Int64
	began := time.Now()
	share := len(b) / n &^ (piece - 1)
	for i := range n {
		part := b[i*share:][:share]
		all.Go(func() {
			for off := 0; len(part) > 0 && ctx.Err() == nil; off = (off + piece) % len(part) {
				sum.Add(int64(addUp(part[off:][:piece])))
				total.Add(piece)
				if time.Since(began) >= long { // at least one piece was read
					break
				}
			}
		})
	}
	all.Wait()
	return total.Load(), time.Since(began)
}

// addUp reads b, whose length is a multiple of 64, as fast as Go code can: each word has to be
// loaded for the sum, and the sums do not wait for each other.
func addUp(b []byte) uint64 {
	w := unsafe.Slice((*[8]uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/64)
	var s0, s1, s2, s3, s4, s5, s6, s7 uint64
	for i := range w {
		p := &w[i]
		s0 += p[0]
		s1 += p[1]
		s2 += p[2]
		s3 += p[3]
		s4 += p[4]
		s5 += p[5]
		s6 += p[6]
		s7 += p[7]
	}
	return s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7
}
