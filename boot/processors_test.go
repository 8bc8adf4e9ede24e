package boot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/console"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
)

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) { return copy(p, f.data[off:]), f.fail }

func TestMarks(t *testing.T) {
	blank := func() *memoryFile { return &memoryFile{data: bytes.Repeat([]byte("\n"), 600)} }
	f := blank()
	for _, want := range [][]string{nil, {"EDK II 0x10000, QEMU"}, {"a", "b"}, nil} {
		if err := writeMarks(f, slices.Clone(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := readMarks(f); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	if f.writes != 4 {
		t.Errorf("%d writes for 4 lists of marks", f.writes)
	}
	long := make([]string, mostMarks)
	for i := range long {
		long[i] = markName(fmt.Sprint(i, strings.Repeat("x", 200)))
	}
	if err := writeMarks(f, long); err != nil {
		t.Fatal(err)
	}
	if got, err := readMarks(f); err != nil || !slices.Equal(got, long[:len(got)]) || len(got) < 3 {
		t.Errorf("a list that does not fit: %q %v", got, err)
	}
	for name, want := range map[string]string{"a\nb\x00c\u202e": "abc", "  Apple 0x1 ": "Apple 0x1"} {
		if got := markName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	f = blank()
	f.fail = errors.New("gone")
	if _, err := readMarks(f); err != f.fail {
		t.Error(err)
	}
}

func FuzzMarks(f *testing.F) {
	f.Add([]byte("EDK II 0x10000, QEMU\n\n"))
	f.Add([]byte("no end"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := readMarks(&memoryFile{data: data})
		if err != nil || len(names) > mostMarks {
			t.Fatalf("%q %v", names, err)
		}
		for _, n := range names {
			if n == "" || n != markName(n) {
				t.Errorf("%q is no name", n)
			}
		}
	})
}

// mill is a machine with four processors, whose firmware may stop in the call that starts them.
type mill struct {
	Machine
	stops   bool
	started int
}

func (*mill) SinceStart() time.Duration { return 0 }
func (*mill) Name() string              { return "Mill 0x1, steam" }
func (*mill) PresentProcessors() int    { return 4 }
func (m *mill) StartProcessors(most int) int {
	if m.stops {
		panic("stopped")
	}
	m.started = most
	return most
}

// TestStartProcessors goes through the starts of one computer.
func TestStartProcessors(t *testing.T) {
	d, _ := vmtest.Drive(t, vmtest.NewDrive(t, create.Options{Size: 64 << 20, Journal: 1 << 20}))
	for _, c := range []struct {
		name    string
		options Options
		stops   bool
		started int
		said    string
	}{
		{"all", Options{}, false, 4, ""},
		{"some", Options{CPUs: 2}, false, 2, ""},
		{"more than there are", Options{CPUs: 9}, false, 4, ""},
		{"one", Options{CPUs: 1}, true, 0, ""},
		{"it stops", Options{}, true, 0, ""},
		{"after that", Options{}, true, 0, "This computer stopped when its other processors were being started, so AlphaOS uses one. The start option cpus=4 "},
		{"and again", Options{}, true, 0, "cpus=4"},
		{"asked for one", Options{CPUs: 1}, true, 0, ""},
		{"tried again", Options{CPUs: 3}, false, 3, ""},
		{"and for good", Options{}, false, 4, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown bytes.Buffer
			con, err := console.New(console.Options{Serial: &shown})
			if err != nil {
				t.Fatal(err)
			}
			m := &mill{stops: c.stops}
			s := &Start{Options: c.options, machine: m, Log: Log{now: m.SinceStart}}
			func() {
				defer func() { recover() }()
				s.StartProcessors(con, d)
			}()
			text := strings.ReplaceAll(shown.String(), "Starting the other processors ...\r\n", "")
			if m.started != c.started || c.said == "" && strings.TrimSpace(text) != "" || !strings.Contains(text, c.said) {
				t.Errorf("%d started, want %d; said %q, want %q", m.started, c.started, text, c.said)
			}
		})
	}
}
