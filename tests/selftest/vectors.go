package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/cpu"
)

// holdYMM and holdXMM load all sixteen vector registers from in, hold them for
// rounds turns of an empty loop and store them to out. XMM use the first two
// words of each row. YMM need AVX.
//
//go:noescape
func holdYMM(in *[16][4]uint64, rounds uint64, out *[16][4]uint64)

//go:noescape
func holdXMM(in *[16][4]uint64, rounds uint64, out *[16][4]uint64)

// vectorsSurvive lets several threads hold different patterns at once, on
// however few processors, for longer than a time slice each.
func vectorsSurvive() error {
	hold, name, words := holdXMM, "XMM", 2
	if cpu.X86.HasAVX {
		hold, name, words = holdYMM, "YMM", 4
	}
	rounds := uint64(1 << 16)
	for { // find how many rounds take some 30 ms here
		began := time.Now()
		hold(new([16][4]uint64), rounds, new([16][4]uint64))
		if time.Since(began) > 30*time.Millisecond || rounds > 1<<32 {
			break
		}
		rounds *= 2
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for n := range 10 {
				var in, out [16][4]uint64
				for r := range in {
					for w := range words {
						in[r][w] = uint64(i+1)<<48 | uint64(n+1)<<32 | uint64(r+1)<<16 | uint64(w+1)
					}
				}
				hold(&in, rounds, &out)
				for r := range in {
					if in[r] != out[r] {
						errs[i] = fmt.Errorf("thread %d, turn %d: %s%d was %x and became %x", i, n, name, r, in[r], out[r])
						return
					}
				}
			}
		})
	}
	stop := make(chan bool)
	go func() { // faults and collections use vector registers as well
		for {
			select {
			case <-stop:
				return
			default:
				_ = fault("nil pointer", func() { sink = readInt(nil) })
				copy(make([]byte, 100_000), make([]byte, 100_000))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	wg.Wait()
	stop <- true
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
