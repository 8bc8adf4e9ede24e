package main

// Faults of Go code must arrive as ordinary Go panics, from any depth and on
// any thread, and leave the program as it was.

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"
)

var faultChecks = []check{
	{"nil pointer read is recovered", func() error { return fault("nil pointer", func() { sink = readInt(nil) }) }},
	{"nil pointer write is recovered", func() error { return fault("nil pointer", func() { writeInt(nil) }) }},
	{"nil pointer with an offset is recovered", func() error {
		return fault("nil pointer", func() { var p *[4000]byte; sink = int(readByte(&p[3999])) })
	}},
	{"nil function call is recovered", func() error { return fault("nil pointer", func() { call(nil) }) }},
	{"nil map write is recovered", func() error { return fault("nil map", func() { fill(nil) }) }},
	{"division by zero is recovered", func() error { return fault("divide by zero", func() { sink = divide(1, 0) }) }},
	{"index out of range is recovered", func() error { return fault("out of range", func() { sink = index(nil, 3) }) }},
	{"an unmapped address is recovered", func() error { return wildFault(0x0000_7123_4567_8000) }},
	{"a non-canonical address is recovered", func() error { return wildFault(0x0123_4567_89ab_cdef) }},
	{"a floating-point exception of SSE is recovered", func() error {
		defer maskFloat()
		// A processor raises it or goes on; whatever the machine does wrong with it, it does
		// not come back here. QEMU without KVM goes on.
		raised := true
		err := fault("floating point", func() { divideSSE(); raised = false })
		if !raised {
			fmt.Println("selftest: this processor, an emulator's, raises no SSE exceptions")
			return nil
		}
		return err
	}},
	{"a floating-point exception of the x87 is recovered", func() error {
		defer maskFloat()
		return fault("floating point", divideX87)
	}},
	{"ten thousand faults in a row", func() error {
		for range 10_000 {
			if err := fault("nil pointer", func() { sink = readInt(nil) }); err != nil {
				return err
			}
		}
		return nil
	}},
	{"faults on many goroutines and threads", func() error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
		var wg sync.WaitGroup
		errs := make([]error, 64)
		for i := range errs {
			wg.Go(func() {
				if i%2 == 0 {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
				}
				for range 50 {
					errs[i] = errors.Join(errs[i], fault("nil pointer", func() { writeInt(nil) }))
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}},
	{"a fault's traceback names the function", func() (err error) {
		defer func() {
			recover()
			err = want(string(debug.Stack()), "readInt")
		}()
		sink = readInt(nil)
		return
	}},
}

// divideSSE and divideX87 divide by zero with that exception unmasked (Intel SDM volume 1,
// 10.2.3 and 8.1.5); maskFloat masks all of them again.
func divideSSE()
func divideX87()
func maskFloat()

var sink int

//go:noinline
func readInt(p *int) int { return *p }

//go:noinline
func writeInt(p *int) { *p = 1 }

//go:noinline
func readByte(p *byte) byte { return *p }

//go:noinline
func call(f func()) { f() }

//go:noinline
func fill(m map[int]int) { m[1] = 1 }

//go:noinline
func divide(a, b int) int { return a / b }

//go:noinline
func index(s []int, i int) int { return s[i] }

// fault runs f, which must panic with a runtime error that contains text.
func fault(text string, f func()) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			err = errors.New("no panic")
			return
		}
		re, ok := r.(runtime.Error)
		if !ok || !strings.Contains(re.Error(), text) {
			err = fmt.Errorf("panic %v, want a runtime error with %q", r, text)
		}
	}()
	f()
	return nil
}

// wildFault reads from an address that nothing maps.
func wildFault(addr uintptr) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return fault("", func() { sink = int(readByte((*byte)(unsafe.Add(unsafe.Pointer(nil), addr)))) })
}
