package main

// The Go runtime's own needs: threads, futexes, signals for preemption, timers.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var runtimeChecks = []check{
	{"maps and channels", func() error {
		m := make(map[string]int)
		ch := make(chan string)
		go func() {
			defer close(ch)
			for i := range 20_000 {
				ch <- fmt.Sprint("key", i%5000)
			}
		}()
		for k := range ch {
			m[k]++
		}
		for k, n := range m {
			if n != 4 {
				return fmt.Errorf("%s was counted %d times, not 4", k, n)
			}
		}
		if len(m) != 5000 {
			return fmt.Errorf("%d keys, not 5000", len(m))
		}
		return nil
	}},
	{"ten thousand goroutines and a mutex", func() error {
		var mu sync.Mutex
		var wg sync.WaitGroup
		sum := 0
		for i := range 10_000 {
			wg.Go(func() {
				runtime.Gosched()
				mu.Lock()
				defer mu.Unlock()
				sum += i
			})
		}
		wg.Wait()
		if sum != 49_995_000 {
			return fmt.Errorf("the sum is %d", sum)
		}
		return nil
	}},
	{"recursion a million deep", func() error {
		if n := depth(1_000_000); n != 1_000_000 {
			return fmt.Errorf("depth %d", n)
		}
		return nil
	}},
	{"sleep is neither short nor for ever", func() error {
		for _, d := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
			began := time.Now()
			time.Sleep(d)
			if took := time.Since(began); took < d || took > d+2*time.Second {
				return fmt.Errorf("sleeping %v took %v", d, took)
			}
		}
		return nil
	}},
	{"timers, tickers and deadlines", func() error {
		// On a host that stalls for a while several are due at once: then their order
		// is open, but none may come early.
		fired := make(chan time.Duration, 3)
		began := time.Now()
		for _, d := range []time.Duration{60, 20, 40} {
			d *= time.Millisecond
			time.AfterFunc(d, func() { fired <- time.Since(began) - d })
		}
		for range 3 {
			if late := <-fired; late < 0 {
				return fmt.Errorf("a timer fired %v too early", -late)
			}
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 10 {
			<-tick.C
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
		return nil
	}},
	{"the clock runs forward and knows the year", func() error {
		last := time.Now()
		for range 100_000 {
			t := time.Now()
			if t.Sub(last) < 0 {
				return fmt.Errorf("the monotonic clock went back by %v", last.Sub(t))
			}
			last = t
		}
		if y := last.Year(); y < 2024 || y > 2200 {
			return fmt.Errorf("the year is %d", y)
		}
		return nil
	}},
	{"a busy loop is preempted: garbage collection ends", func() error {
		stop := new(atomic.Bool)
		done := make(chan uint64)
		go func() { done <- spin(stop) }()
		runtime.GC() // stops the world: waits until spin is preempted
		stop.Store(true)
		<-done
		return nil
	}},
	{"a loop without calls is preempted: others run", func() error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		limit := uint64(1) << 34 // minutes: must be interrupted, not waited for
		var stopped atomic.Bool
		go func() {
			count(limit)
			stopped.Store(true)
		}()
		for range 5 {
			time.Sleep(2 * time.Millisecond)
			var m runtime.MemStats
			runtime.ReadMemStats(&m) // stops the world
		}
		if stopped.Load() {
			return errors.New("the loop ended by itself: the check proves nothing")
		}
		cancelCount.Store(true) // it looks once in a long while
		return nil
	}},
	{"more threads than processors", func() error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
		var wg sync.WaitGroup
		var total atomic.Int64
		for range 16 {
			wg.Go(func() {
				runtime.LockOSThread() // and the thread ends with the goroutine
				for range 200 {
					total.Add(1)
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		if total.Load() != 3200 {
			return fmt.Errorf("total %d, not 3200", total.Load())
		}
		return nil
	}},
	{"vector registers survive preemption", vectorsSurvive},
}

//go:noinline
func depth(n int) int {
	if n == 0 {
		return 0
	}
	return depth(n-1) + 1
}

// spin loops with nothing but an inlined load until told to stop.
func spin(stop *atomic.Bool) (n uint64) {
	for !stop.Load() {
		n++
	}
	return n
}

var cancelCount atomic.Bool

// count loops without a call, and looks at cancelCount every 2^24 rounds.
//
//go:noinline
func count(limit uint64) (x uint64) {
	for i := range limit {
		x = x*6364136223846793005 + i
		if i&(1<<24-1) == 0 && cancelCount.Load() {
			break
		}
	}
	return x
}
