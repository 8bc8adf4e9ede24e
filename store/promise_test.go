package store_test

// Drives that fail, and what was promised about them, through the public API
// alone.

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

type mem struct {
	d       []byte
	stuck   int64 // this byte has bit 0 stuck the wrong way round; -1 none
	stuckTo byte
	onWrite func(p []byte, at int64) error
	onRead  func(p []byte, at int64) error
	onSync  func() error
}

func newMem(n int) *mem    { return &mem{d: make([]byte, n), stuck: -1} }
func (m *mem) Size() int64 { return int64(len(m.d)) }
func (m *mem) Sync() error {
	if m.onSync != nil {
		return m.onSync()
	}
	return nil
}
func (m *mem) ReadAt(p []byte, at int64) (int, error) {
	if m.onRead != nil {
		if err := m.onRead(p, at); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.d[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
func (m *mem) WriteAt(p []byte, at int64) (int, error) {
	if m.onWrite != nil {
		if err := m.onWrite(p, at); err != nil {
			return 0, err
		}
	}
	n := copy(m.d[at:], p)
	if m.stuck >= at && m.stuck < at+int64(len(p)) {
		m.d[m.stuck] = m.d[m.stuck]&^1 | m.stuckTo
	}
	return n, nil
}

func clock() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { t = t.Add(10 * time.Millisecond); return t }
}

func all(s *store.Store) (list []string) {
	for _, c := range s.Conversations() {
		for _, m := range s.Messages(c.ID) {
			list = append(list, fmt.Sprintf("%s|%v|%s", m.Role, m.Partial, m.Text))
		}
	}
	return
}

// talk holds a conversation of n turns; every method returned nil.
func talk(t *testing.T, m store.Medium, n int) []string {
	s, _, err := store.Open(m, clock())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := s.AddUser(fmt.Sprintf("question %d %s", i, strings.Repeat("q", i*37%200))); err != nil {
			t.Fatal(err)
		}
		a := s.BeginAnswer()
		if err := a.Write(fmt.Sprintf("answer %d %s", i, strings.Repeat("a", i*53%400))); err != nil {
			t.Fatal(err)
		}
		if err := a.End(store.Stats{Tokens: i}, false); err != nil {
			t.Fatal(err)
		}
	}
	want := all(s)
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	return want
}

// One stuck bit in one copy, no power cut, every call returned nil.
func TestStuckBit(t *testing.T) {
	lost, holes, runs := 0, 0, 0
	var first string
	for _, to := range []byte{0, 1} {
		for at := int64(4096); at < 4096+9000; at += 5 {
			m := newMem(128 << 10)
			m.stuck, m.stuckTo = at, to
			want := talk(t, m, 14)
			runs++
			s, rec, err := store.Open(m, clock())
			if err != nil {
				t.Fatal(err)
			}
			got := all(s)
			if len(rec.Holes) > 0 {
				holes++
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				lost++
				if first == "" {
					for i := range want {
						if i >= len(got) || got[i] != want[i] {
							first = fmt.Sprintf("stuck bit 0=%d of byte %d: want %q got %q holes %+v", to, at, want[i], got[min(i, len(got)-1)], rec.Holes)
							break
						}
					}
				}
			}
		}
	}
	t.Logf("%d runs with one stuck bit in copy A: %d lost acknowledged text, %d report a hole", runs, lost, holes)
	if lost > 0 || holes > 0 {
		t.Error(first)
	}
}

// An honest drive, the power goes while the end of an answer is written;
// of the blocks' sectors the later one made it, the earlier did not.
func TestFalseHole(t *testing.T) {
	m := newMem(128 << 10)
	s, _, _ := store.Open(m, clock())
	s.AddUser("What is the answer?")
	a := s.BeginAnswer()
	a.Write("The answer begins here, ")
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	before := append([]byte(nil), m.d...)
	cut := errors.New("power is gone")
	m.onWrite = func(p []byte, at int64) error {
		// sector-granular: everything but the sector in which the chunk begins is durable
		copy(m.d[at:], p)
		i := 512 * ((strings.Index(string(p), "and its last words") + int(at)) / 512)
		copy(m.d[i:i+512], before[i:i+512])
		m.onWrite = func([]byte, int64) error { return cut }
		m.onRead = func([]byte, int64) error { return cut }
		return cut
	}
	a.Write("and its last words are long: " + strings.Repeat("x", 470))
	err := a.End(store.Stats{Tokens: 9}, false)
	t.Logf("End: %v (the power went: nothing was acknowledged)", err)
	m.onWrite, m.onRead = nil, nil
	s, rec, err := store.Open(m, clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("recovery: %+v", rec)
	t.Logf("read: %.90q", all(s))
	if rec.Lost() > 0 {
		t.Errorf("%d records said lost, though none was acknowledged", rec.Lost())
	}
	for _, msg := range s.Conversation() {
		if msg.Role == store.Assistant && !msg.Partial {
			t.Errorf("the answer counts as complete: %.80q", msg.Text)
		}
	}
}

// Flushes fail for a while although the data lands. The person is told
// that the message was not saved, types it again; then a restart.
func TestToldNotSaved(t *testing.T) {
	m := newMem(128 << 10)
	s, _, _ := store.Open(m, clock())
	s.AddUser("first")
	s.BeginAnswer().End(store.Stats{}, false)
	m.onSync = func() error { return errors.New("flush failed") }
	err := s.AddUser("my message")
	t.Logf("AddUser: %v", err)
	m.onSync = nil
	if err := s.AddUser("my other message"); err != nil {
		t.Fatal(err)
	}
	a := s.BeginAnswer()
	m.onSync = func() error { return errors.New("flush failed") }
	a.Write(strings.Repeat("once ", 110))
	m.onSync = nil
	a.Write("twice ")
	a.End(store.Stats{}, false)
	want := all(s)
	s.End()
	s, rec, _ := store.Open(m, clock())
	got := all(s)
	t.Logf("recovery %+v", rec)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in the session: %.120q\nafter the restart: %.120q (lengths %d %d)", want, got, len(fmt.Sprint(want)), len(fmt.Sprint(got)))
		for i := range got {
			t.Logf("  %d bytes %.60q", len(got[i]), got[i])
		}
		for i := range want {
			t.Logf("  wanted %d bytes %.60q", len(want[i]), want[i])
		}
	}
}

// While the journal is opened, the drive fails to read a while; then it is well again.
func TestReadErrorsAtOpen(t *testing.T) {
	m := newMem(256 << 10)
	want := talk(t, m, 60)
	half := int64(128 << 10)
	bad := int64(12 << 10)
	n := 0
	m.onRead = func(p []byte, at int64) error {
		if at%half+int64(len(p)) > bad && at%half >= 0 {
			n++
			return errors.New("timeout")
		}
		return nil
	}
	s, rec, err := store.Open(m, clock())
	m.onRead = nil
	t.Logf("%d reads failed; recovery %+v, error %v", n, rec, err)
	if err == nil {
		if err = s.AddUser("I go on"); err == nil {
			want = append(want, "user|false|I go on")
			s.End()
		}
		t.Logf("going on: %v", err) // it may refuse, but not write over what it did not see
	}
	s, rec, err = store.Open(m, clock())
	if err != nil {
		t.Fatal(err)
	}
	if got := all(s); fmt.Sprint(got) != fmt.Sprint(want) || rec.Lost() > 0 {
		t.Errorf("%d of %d acknowledged messages are there, Lost() is %d; the last are %.200q", len(got), len(want), rec.Lost(), got[max(0, len(got)-2):])
	}
}

// Power is lost in the very first write; the torn sector can't be read.
func TestFirstWriteTorn(t *testing.T) {
	m := newMem(128 << 10)
	s, _, _ := store.Open(m, clock())
	cut := errors.New("power is gone")
	m.onWrite = func(p []byte, at int64) error { return cut }
	s.Begin()
	m.onWrite = nil
	torn := true
	m.onRead = func(p []byte, at int64) error {
		if torn && at < 512 {
			return errors.New("unrecoverable read error")
		}
		return nil
	}
	s, _, err := store.Open(m, clock())
	if err != nil {
		t.Fatalf("the empty journal can never be used again: %v", err)
	}
	m.onWrite = func(p []byte, at int64) error { // which mends the sector
		torn = torn && at >= 512
		return nil
	}
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	s, _, err = store.Open(m, clock())
	if err != nil || fmt.Sprint(all(s)) != "[user|false|hello]" {
		t.Errorf("%q, %v", all(s), err)
	}
}
