package boot

import (
	"errors"
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
	l := &Log{now: func() time.Duration { clock++; return time.Duration(clock) * 50 * time.Millisecond }}
	if err := l.Save(); err != nil {
		t.Error("without a file:", err)
	}
	l.Printf("%s %d", "first", 1)
	l.Show(func(s string) { shown = append(shown, s) })
	l.Printf("second")
	const want = "   0.050  first 1\n   0.100  second\n"
	if got := strings.Join(shown, "\n") + "\n"; got != want {
		t.Errorf("shown: %q", got)
	}
	l.file = file
	check := func(text string, writes int) {
		t.Helper()
		if err := l.Save(); err != nil {
			t.Error(err)
		}
		if want := text + strings.Repeat("\n", 150-len(text)); string(file.data) != want || file.writes != writes {
			t.Errorf("after %d writes the file holds %q, want %q", file.writes, file.data, want)
		}
	}
	check(want, 1)
	check(want, 1) // nothing new, nothing written
	l.Printf("third")
	check(want+"   0.150  third\n", 2)

	// A log longer than its file loses its end.
	l.Printf("%s", strings.Repeat("x", 200))
	all := want + "   0.150  third\n   0.200  " + strings.Repeat("x", 200)
	check(all[:150], 3)
	l.Printf("more")
	check(all[:150], 3)

	file.fail = errors.New("the drive is gone")
	l.saved = 0
	if err := l.Save(); !errors.Is(err, file.fail) {
		t.Error(err)
	}
}

// A drive that fails logs that, while the log is being saved, and may be back later.
func TestBootLogFails(t *testing.T) {
	s := &Start{Log: Log{now: func() time.Duration { return 0 }}}
	file := &memoryFile{data: make([]byte, 120), fail: errors.New("the drive was pulled out")}
	file.failed = func(err error) { s.Log.Printf("drive: %v", err) }
	s.Log.file = file
	s.Log.Printf("first")
	s.SaveLog()
	file.fail = nil
	s.SaveLog()
	const want = "   0.000  first\n   0.000  drive: the drive was pulled out\n   0.000  boot log: the drive was pulled out\n"
	if got := strings.TrimRight(string(file.data), "\n") + "\n"; got != want {
		t.Errorf("after it returned the file holds %q", got)
	}
}
