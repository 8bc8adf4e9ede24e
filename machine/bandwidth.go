package machine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"alphaos/llm/kernel"
)

// readMemory has n processors read b, each its share of it again and again, and returns how
// many bytes they read in about the time long.
func readMemory(ctx context.Context, b []byte, n int, way kernel.Reading, long time.Duration) (bytes int64, took time.Duration) {
	const piece = 256 << 10 // between looks at the clock
	var all sync.WaitGroup
	var total atomic.Int64
	began := time.Now()
	share := len(b) / n &^ (piece - 1)
	for i := range n {
		part := b[i*share:][:share]
		all.Go(func() {
			for off := 0; len(part) > 0 && ctx.Err() == nil; off = (off + piece) % len(part) {
				way.Read(part[off:][:piece])
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
