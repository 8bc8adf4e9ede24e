package ovmf

// Typing at a steady rate, in the machine's time.
//
// A real keyboard controller has room for 16 bytes, a real UART for 16 as well, and who types does not wait for them: a program
// that does not look for longer than that loses keys, and a test must see it. QEMU's keyboards forget keys in the same
// way. But a busy host makes them do so too, when it runs the emulator's other threads and not the processor that would
// have read: that tells nothing of the program. So a key is due when the machine's first processor, which is the one that
// firmware's drivers run on, could have run for the time between two keys. It could when it ran, and when it slept, whatever
// the program in it did, or failed to do, then; it could not when it was ready and the host ran something else. The
// program has no way to stop this clock.
//
// QEMU's UART has no such losses: it takes a byte only when there is room. Here a byte that finds no room is an error,
// because on a real line it would be gone.

import (
	"context"
	"fmt"
	"time"
)

// glance is how often the machine's clock is looked at, and glanceMost the most that it goes on from one look to the next: a
// host that was halted as a whole looks late.
const glance, glanceMost = 4 * time.Millisecond, 16 * time.Millisecond

// ranAhead is how much of a thread's running may be counted later than it was: the kernel counts it at its ticks.
const ranAhead = 12 * time.Millisecond

// machineClock is for how long the machine's first processor could have run.
type machineClock struct {
	thread thread
	looked time.Time
	ran    time.Duration // of the thread, at the last look
	unused time.Duration // what it ran that is not on the clock yet
	now    time.Duration
}

// clock starts a machine's clock.
func (vm *VM) clock(ctx context.Context) (*machineClock, error) {
	var processors []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	if err := vm.qmp.execute(ctx, "query-cpus-fast", nil, &processors); err != nil {
		return nil, err
	}
	for _, p := range processors {
		if p.Index == 0 {
			c := &machineClock{thread: thread{vm.cmd.Process.Pid, p.Thread}, looked: time.Now()}
			var err error
			_, c.ran, err = c.thread.state()
			return c, err
		}
	}
	return nil, fmt.Errorf("QEMU tells of no processor 0 among %d", len(processors))
}

// look takes note of what went by since the last look.
func (c *machineClock) look() error {
	ready, ran, err := c.thread.state()
	if err == nil {
		c.note(time.Now(), ready, ran)
	}
	return err
}

// note is look at a time when the thread is ready, or runs, or else sleeps, and has run for so long.
func (c *machineClock) note(now time.Time, ready bool, ran time.Duration) {
	passed := min(now.Sub(c.looked), glanceMost)
	c.unused = min(c.unused+ran-c.ran, passed+ranAhead)
	c.looked, c.ran = now, ran
	if ready {
		passed = min(passed, c.unused)
	}
	c.unused -= min(c.unused, passed)
	c.now += passed
}

// pace calls send for 0 to n-1, each after a span of the machine's time, and waits for one more.
func (vm *VM) pace(ctx context.Context, n int, every time.Duration, send func(i int) error) error {
	c, err := vm.clock(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for i := range n {
		if err := send(i); err != nil {
			return err
		}
		for due := time.Duration(i+1) * every; c.now < due; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := c.look(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sleep waits for a span of the machine's time.
func (vm *VM) Sleep(ctx context.Context, d time.Duration) error {
	return vm.pace(ctx, 1, d, func(int) error { return nil })
}

// SendTextAt is SendText at so many keys a second of the machine's time, each held for half of it.
func (vm *VM) SendTextAt(ctx context.Context, text string, perSecond int) error {
	keys, err := chords(text)
	if err != nil {
		return err
	}
	every := time.Second / time.Duration(perSecond)
	return vm.pace(ctx, len(keys), every, func(i int) error { return vm.press(ctx, keys[i], int(every.Milliseconds()/2)) })
}

// TypeAt is Type at so many bytes a second of the machine's time. A byte that finds no room in the UART is an error.
func (vm *VM) TypeAt(ctx context.Context, text string, perSecond int) error {
	return vm.pace(ctx, len(text), time.Second/time.Duration(perSecond), func(i int) error {
		if err := vm.Type(text[i : i+1]); err != nil {
			return err
		}
		// The thread that answers is the one that takes the byte, before it comes to the second question at the latest.
		for range 2 {
			if err := vm.qmp.execute(ctx, "query-status", nil, nil); err != nil {
				return err
			}
		}
		waiting, err := unread(vm.port)
		if err != nil {
			return err
		}
		if waiting {
			return fmt.Errorf("the UART was full when byte %d of %q came: nothing had read it for as long as 16 take", i, text)
		}
		return nil
	})
}
