package ovmf

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// The machine's clock goes on while its processor runs, or sleeps, and stands while the host runs something else.
func TestMachineClock(t *testing.T) {
	type look struct {
		passed time.Duration // on the host
		ready  bool
		ran    time.Duration // of that
	}
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		looks []look
		want  time.Duration
	}{
		{"runs", []look{{4 * ms, true, 4 * ms}, {4 * ms, true, 4 * ms}}, 8 * ms},
		{"sleeps", []look{{4 * ms, false, 0}, {4 * ms, false, 0}}, 8 * ms},
		{"is not let", []look{{4 * ms, true, 0}, {4 * ms, true, 0}, {300 * ms, true, 0}}, 0},
		{"runs for half of the time", []look{{4 * ms, true, 2 * ms}, {4 * ms, true, 2 * ms}}, 4 * ms},
		{"is counted late", []look{{4 * ms, true, 0}, {4 * ms, true, 8 * ms}, {4 * ms, true, 0}}, 8 * ms},
		{"is not made up for", []look{{4 * ms, true, 0}, {4 * ms, true, 100 * ms}, {4 * ms, true, 0}, {100 * ms, true, 0}}, 4*ms + ranAhead},
		{"the host was halted", []look{{time.Hour, false, 0}}, glanceMost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now, ran := time.Unix(0, 0), time.Second
			c := machineClock{looked: now, ran: ran}
			for _, l := range tt.looks {
				now, ran = now.Add(l.passed), ran+l.ran
				c.note(now, l.ready, ran)
			}
			if c.now != tt.want {
				t.Errorf("%v went by, want %v", c.now, tt.want)
			}
		})
	}
}

// A thread that computes is seen to.
func TestThreadState(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	th := thread{os.Getpid(), os.Getpid()} // the first one, which may well sleep
	_, first, err := th.state()
	if err != nil || first <= 0 {
		t.Fatal(first, err)
	}
	if _, _, err := (thread{os.Getpid(), 1}).state(); err == nil {
		t.Error("another process's thread has a state")
	}
}
