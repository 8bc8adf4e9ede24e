package main

// What lies between Go and the processor: vector registers, signals, threads,
// and the firmware.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"

	"alphaos/amd64"
	"alphaos/efi"
)

// holdYMM loads all sixteen YMM registers from in, holds them for rounds turns
// of an empty loop and stores them to out.
//
//go:noescape
func holdYMM(in *[16][4]uint64, rounds uint64, out *[16][4]uint64)

var machineWorkers = []*worker{
	{name: "vector registers", number: 3, do: func(r *rand.Rand) error {
		if !cpu.X86.HasAVX {
			return nil
		}
		var in, out [16][4]uint64
		for i := range in {
			in[i] = [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		}
		holdYMM(&in, uint64(r.IntN(20_000_000)), &out)
		for i := range in {
			if in[i] != out[i] {
				return fmt.Errorf("YMM%d held %x and became %x", i, in[i], out[i])
			}
		}
		return nil
	}},
	{name: "threads", number: 1, do: func(r *rand.Rand) error {
		n := 1 + r.IntN(12)
		var wg sync.WaitGroup
		var met atomic.Int64
		for range n {
			wg.Go(func() {
				runtime.LockOSThread() // the thread ends with the goroutine
				met.Add(1)
				for met.Load() < int64(n) {
					runtime.Gosched() // so they are all there at once
				}
			})
		}
		wg.Wait()
		return nil
	}},
	{name: "signals", number: 1, do: signals},
}

var usr1 = func() chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c, syscall.SIGUSR1)
	return c
}()

// signals sends this thread signals that the program has asked for. The last
// one must arrive; those that come while one waits may join it.
func signals(r *rand.Rand) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 1 + r.IntN(8) {
		if err := syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGUSR1); err != nil {
			return fmt.Errorf("tgkill: %w", err)
		}
	}
	select {
	case <-usr1:
	case <-time.After(20 * time.Second):
		return fmt.Errorf("a signal was lost")
	}
	for {
		select {
		case <-usr1:
		case <-time.After(time.Millisecond):
			return nil
		}
	}
}

// drift is how far the firmware's clock and Go's have parted since the start.
var drift atomic.Int64

var started struct {
	sync.Once
	firmware, system time.Time
}

var firmwareWorkers = []*worker{
	{name: "firmware calls", number: 4, do: func(r *rand.Rand) error {
		t, err := efi.Time()
		if err != nil {
			return err
		}
		now := time.Now()
		started.Do(func() { started.firmware, started.system = t, now })
		parted := t.Sub(started.firmware) - now.Sub(started.system)
		// The firmware counts whole seconds, and calls may have to wait.
		if parted < -time.Minute || parted > time.Minute {
			return fmt.Errorf("the firmware's clock says %v, Go's %v; they began with %v and %v", t, now, started.firmware, started.system)
		}
		drift.Store(int64(parted))
		return nil
	}},
	{name: "firmware variables", number: 1, do: func(r *rand.Rand) error {
		list, err := efi.Variables()
		if err != nil {
			return err
		}
		for range 4 {
			if _, _, err := efi.GetVariable(list[r.IntN(len(list))]); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "physical memory", number: 1, do: func(r *rand.Rand) error {
		n := 1 + r.IntN(1<<r.IntN(25))
		p, err := amd64.AllocPhysical(n)
		if err != nil {
			return err
		}
		defer amd64.FreePhysical(p)
		if !amd64.Physical(p) {
			return fmt.Errorf("%d bytes at %p are not physical memory", n, p)
		}
		fill(p, uint64(n))
		time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
		return check(p, uint64(n))
	}},
}
