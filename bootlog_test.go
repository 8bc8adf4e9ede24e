package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// memoryFile is a preallocated file.
type memoryFile struct {
	data   []byte
	writes int
	fail   error
	failed func(error) // told of fail
}

func (f *memoryFile) Size() int64 { return int64(len(f.data)) }
func (f *memoryFile) Sync() error { return nil }
func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fail != nil {
		if f.failed != nil {
			f.failed(f.fail)
		}
		return 0, f.fail
	}
	if off+int64(len(p)) > int64(len(f.data)) {
		return 0, errors.New("beyond the end")
	}
	f.writes++
	return copy(f.data[off:], p), nil
}

func TestBootLog(t *testing.T) {
	clock := 0
	var shown []string
	file := &memoryFile{data: []byte(strings.Repeat("an older start\n", 10))}
	l := &bootLog{now: func() time.Duration { clock++; return time.Duration(clock) * 50 * time.Millisecond }}
	if err := l.save(); err != nil {
		t.Error("without a file:", err)
	}
	l.printf("%s %d", "first", 1)
	l.show(func(s string) { shown = append(shown, s) })
	l.printf("second")
	const want = "   0.050  first 1\n   0.100  second\n"
	if got := strings.Join(shown, "\n") + "\n"; got != want {
		t.Errorf("shown: %q", got)
	}
	l.file = file
	check := func(text string, writes int) {
		t.Helper()
		if err := l.save(); err != nil {
			t.Error(err)
		}
		if want := text + strings.Repeat("\n", 150-len(text)); string(file.data) != want || file.writes != writes {
			t.Errorf("after %d writes the file holds %q, want %q", file.writes, file.data, want)
		}
	}
	check(want, 1)
	check(want, 1) // nothing new, nothing written
	l.printf("third")
	check(want+"   0.150  third\n", 2)

	// A log longer than its file loses its end.
	l.printf("%s", strings.Repeat("x", 200))
	all := want + "   0.150  third\n   0.200  " + strings.Repeat("x", 200)
	check(all[:150], 3)
	l.printf("more")
	check(all[:150], 3)

	file.fail = errors.New("the drive is gone")
	l.saved = 0
	if err := l.save(); !errors.Is(err, file.fail) {
		t.Error(err)
	}
}

// A drive that fails logs that, while the log is being saved, and may be back later.
func TestBootLogFails(t *testing.T) {
	s := &start{log: bootLog{now: func() time.Duration { return 0 }}}
	file := &memoryFile{data: make([]byte, 120), fail: errors.New("the drive was pulled out")}
	file.failed = func(err error) { s.log.printf("drive: %v", err) }
	s.log.file = file
	s.log.printf("first")
	s.saveLog()
	file.fail = nil
	s.saveLog()
	const want = "   0.000  first\n   0.000  drive: the drive was pulled out\n   0.000  boot log: the drive was pulled out\n"
	if got := strings.TrimRight(string(file.data), "\n") + "\n"; got != want {
		t.Errorf("after it returned the file holds %q", got)
	}
}

func Example_memoryLines() {
	for _, line := range memoryLines(memoryUse{
		ram: 8_000_000_000, taken: 7_800_000_000, free: 5_000_000_000, image: 4_200_000,
		weights: 2_000_000_000, cache: 300_000_000, heap: 350_000_000, held: 400_000_000,
	}) {
		fmt.Println(line)
	}
	// Output:
	// machine         8.00 GB
	// firmware        196 MB
	// program         4.20 MB
	// weights         2.00 GB
	// Go heap         400 MB, 350 MB of it in use
	// KV cache        300 MB of the Go heap
	// other           400 MB (page tables, stacks, buffers)
	// free            5.00 GB
}
