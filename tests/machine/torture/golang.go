package main

// What a Go program does all day: goroutines, channels, locks, stacks, timers,
// panics.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var latest atomic.Int64 // ns: the latest that a timer has been

var goWorkers = []*worker{
	{name: "goroutine storm", number: 1, do: func(r *rand.Rand) error {
		n := 200 + r.IntN(2000)
		var wg sync.WaitGroup
		var mu sync.Mutex
		sum := 0
		for i := range n {
			wg.Go(func() {
				if i%7 == 0 {
					runtime.Gosched()
				}
				mu.Lock()
				sum += i
				mu.Unlock()
			})
		}
		wg.Wait()
		if want := n * (n - 1) / 2; sum != want {
			return fmt.Errorf("%d goroutines counted %d, want %d", n, sum, want)
		}
		return nil
	}},
	{name: "channel ping-pong", number: 2, do: func(r *rand.Rand) error {
		ping, pong := make(chan int), make(chan int)
		n := 500
		go func() {
			for v := range ping {
				pong <- v + 1
			}
			close(pong)
		}()
		v := r.IntN(1000)
		first := v
		for range n {
			ping <- v
			v = <-pong
		}
		close(ping)
		if _, open := <-pong; open || v != first+n {
			return fmt.Errorf("%d came back, want %d", v, first+n)
		}
		return nil
	}},
	{name: "ping-pong of threads", number: 1, do: func(r *rand.Rand) error {
		// Locked to their threads, the two must wake each other by futex.
		ping, pong := make(chan int), make(chan int)
		go func() {
			runtime.LockOSThread() // and the thread ends with the goroutine
			for v := range ping {
				pong <- -v
			}
			close(pong)
		}()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i := range 100 {
			ping <- i
			if v := <-pong; v != -i {
				return fmt.Errorf("%d came back, want %d", v, -i)
			}
		}
		close(ping)
		<-pong
		return nil
	}},
	{name: "deep recursion", number: 1, do: func(r *rand.Rand) error {
		n := 1000 + r.IntN(50_000)
		if got := depth(n, [8]int{n}); got != n {
			return fmt.Errorf("came back from %d, want %d", got, n)
		}
		return nil
	}},
	{name: "timers", number: 2, do: func(r *rand.Rand) error {
		d := time.Duration(r.IntN(15_000)) * time.Microsecond
		began := time.Now()
		switch r.IntN(3) {
		case 0:
			time.Sleep(d)
		case 1:
			<-time.After(d)
		default:
			fired := make(chan bool, 1)
			cancelled := time.AfterFunc(time.Hour, func() { fired <- false })
			time.AfterFunc(d, func() { fired <- true })
			if !cancelled.Stop() || !<-fired {
				return errors.New("a timer that was stopped has fired")
			}
		}
		late := time.Since(began) - d
		if late < 0 {
			return fmt.Errorf("%v passed in %v", d, d+late)
		}
		for old := latest.Load(); int64(late) > old && !latest.CompareAndSwap(old, int64(late)); old = latest.Load() {
		}
		return nil
	}},
	{name: "faults", number: 2, do: func(r *rand.Rand) error {
		zero := r.IntN(1)
		for want, do := range map[string]func(){
			"nil pointer dereference": func() { (*(*[1 << 10]int)(nil))[zero+7]++ },
			"integer divide by zero":  func() { sink.Store(int64(100 / zero)) },
			"index out of range":      func() { sink.Store(int64([]int{1}[zero+1])) },
		} {
			if err := panics(do, want); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "loops without calls", number: 1, do: func(r *rand.Rand) error {
		// Only signals can interrupt it; others stop the world meanwhile.
		x, n := uint64(1), uint64(2_000_000+r.IntN(2_000_000))
		for i := uint64(0); i < n; i++ {
			x = x*3 + i
		}
		// x(n) = 3^n + sum of 3^(n-1-i)·i, in closed form (5·3^n - 2n - 1)/4.
		p, b := uint64(1), uint64(3)
		for e := n; e > 0; e >>= 1 {
			if e&1 != 0 {
				p *= b
			}
			b *= b
		}
		if 4*x != 5*p-2*n-1 {
			return fmt.Errorf("%d rounds made %d", n, x)
		}
		return nil
	}},
}

var sink atomic.Int64

//go:noinline
func depth(n int, pad [8]int) int {
	if n == 0 {
		return 0
	}
	pad[n%8]++
	return depth(n-1, pad) + 1
}

// panics returns an error unless do panics with want in the text.
func panics(do func(), want string) (err error) {
	defer func() {
		e, ok := recover().(runtime.Error)
		if !ok {
			err = fmt.Errorf("no panic with %q", want)
			return
		}
		for i := 0; i+len(want) <= len(e.Error()); i++ {
			if e.Error()[i:i+len(want)] == want {
				return
			}
		}
		err = fmt.Errorf("the panic %q, want %q", e, want)
	}()
	do()
	return nil
}
