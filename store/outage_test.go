package store

// Outages that hit a region of the drive, or all of it, and end again.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// outage is a drive in memory whose requests fail as a test wants.
type outage struct {
	data    []byte
	onWrite func(p []byte, at int64) error // on an error nothing lands
	onRead  func(at, n int64) error
	onSync  func() error
	writes  int
}

func (m *outage) Size() int64 { return int64(len(m.data)) }

func (m *outage) Sync() error {
	if m.onSync != nil {
		return m.onSync()
	}
	return nil
}

func (m *outage) ReadAt(p []byte, at int64) (int, error) {
	if m.onRead != nil {
		if err := m.onRead(at, int64(len(p))); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *outage) WriteAt(p []byte, at int64) (int, error) {
	m.writes++
	if m.onWrite != nil {
		if err := m.onWrite(p, at); err != nil {
			return 0, err
		}
	}
	return copy(m.data[at:], p), nil
}

// well ends all outages.
func (m *outage) well() { m.onWrite, m.onRead, m.onSync = nil, nil, nil }

var errOutage = errors.New("no answer")

func failSync() error { return errOutage }

// unread lets reads that touch bytes from from to to of a copy fail; half is
// the size of a copy for both of them.
func (m *outage) unread(half, from, to int64) {
	m.onRead = func(at, n int64) error {
		if half > 0 {
			at %= half
		}
		if at < to && at+n > from {
			return errOutage
		}
		return nil
	}
}

// unwritten lets writes that touch bytes from from to to fail.
func (m *outage) unwritten(from, to int64) {
	m.onWrite = func(p []byte, at int64) error {
		if at < to && at+int64(len(p)) > from {
			return errOutage
		}
		return nil
	}
}

const outageHalf = 256 << 10

func newOutage(half int64) *outage { return &outage{data: make([]byte, 2*half)} }

func said(s *Store) (list []string) {
	for _, m := range s.Conversation() {
		list = append(list, m.Text)
	}
	return list
}

func say(t *testing.T, s *Store, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := s.AddUser(text); err != nil {
			t.Fatal(err)
		}
	}
}

// mustSay reads the journal and wants all of want, in that order; of extra any
// may be there as well.
func mustSay(t *testing.T, m Medium, want []string, extra string) {
	t.Helper()
	s, rec := open(t, m)
	got := slices.DeleteFunc(said(s), func(w string) bool { return extra != "" && strings.HasPrefix(w, extra) })
	if !slices.Equal(got, want) {
		t.Fatalf("want %.300q\ngot  %.300q\n%+v", want, got, rec)
	}
	if rec.Lost() > 0 {
		t.Fatalf("%d records are told as lost", rec.Lost())
	}
}

func numbered(word string, n, size int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(word, i, strings.Repeat("x", size)))
	}
	return list
}

// Appends that were told as not saved leave whole records that can't be read at
// the next start. What is said then stays valid when they can be read again.
func TestLeftoverUnread(t *testing.T) {
	for _, c := range []struct {
		name   string
		failed int
		both   bool
	}{{"in A", 4, false}, {"in both", 4, true}, {"many", 600, true}} {
		m := newOutage(outageHalf)
		s, _ := open(t, m)
		say(t, s, "first")
		m.onSync = failSync
		half := int64(outageHalf)
		if !c.both {
			m.unwritten(half, 2*half)
			half = 0
		}
		for i := range c.failed {
			if s.AddUser(fmt.Sprint("not saved ", i)) == nil {
				t.Fatal("acknowledged")
			}
		}
		m.well()
		m.unread(half, 2*blockSize, 8*blockSize)
		s, _ = open(t, m)
		m.well()
		acked := numbered("saved ", 5, 0)
		say(t, s, acked...)
		mustSay(t, m, append([]string{"first"}, acked...), "not saved")
	}
}

// What only one copy took is kept if that can't be read at the next start.
func TestSingleUnread(t *testing.T) {
	for _, copyAt := range []int64{0, outageHalf} {
		m := newOutage(outageHalf)
		s, _ := open(t, m)
		say(t, s, "first")
		m.unwritten(outageHalf-copyAt, 2*outageHalf-copyAt)
		say(t, s, "second")
		at := s.j.tail
		say(t, s, "third")
		m.well()
		for _, blocks := range []int64{2, 30} {
			m.unread(0, copyAt+at, copyAt+at+blocks*blockSize)
			s, _ = open(t, m)
			m.well()
			acked := numbered(fmt.Sprint("saved ", blocks), 8, 4000)
			say(t, s, acked...)
			s, rec := open(t, m)
			got := said(s)
			for _, want := range append(acked, "first", "second", "third") {
				if !slices.Contains(got, want) {
					t.Fatalf("copy at %d: %.20s is gone: %.200q, %+v", copyAt, want, got, rec)
				}
			}
		}
	}
}

// Whichever writes fail, what is said next lies so near that a start that can't
// read it takes it for the end of the journal that it can't read.
func TestPlaceLeavesLittle(t *testing.T) {
	for pattern := range 1 << 10 {
		m := newOutage(outageHalf)
		s, _ := open(t, m)
		say(t, s, "first")
		n := 0
		m.onWrite = func([]byte, int64) error {
			if n++; n <= 20 && pattern>>((n-1)/2)&1 == 1 { // each is tried twice
				return errOutage
			}
			return nil
		}
		want, end := []string{"first"}, s.j.tail
		for _, w := range []string{"second", "third", "fourth"} {
			before := s.j.tail
			if s.AddUser(w) != nil {
				continue
			}
			at := s.j.tail - recordSize(len(w))
			if before < end || at-end > probeSize/2 {
				t.Fatalf("pattern %b: %q lies %d bytes behind what came before", pattern, w, at-end)
			}
			want, end = append(want, w), s.j.tail
			if s.j.single { // the tail has moved on
				end = s.j.tail - 2*blockSize
			}
		}
		m.well()
		mustSay(t, m, want, "")
		at := end &^ (blockSize - 1)
		m.unread(outageHalf, at, at+2*blockSize)
		s, _ = open(t, m)
		m.well()
		more := numbered("saved ", 3, 4000)
		if err := s.Begin(); err != nil {
			continue // refused, and nothing is overwritten
		}
		say(t, s, more...)
		got := said(func() *Store { s, _ := open(t, m); return s }())
		for _, w := range append(more, want...) {
			if !slices.Contains(got, w) {
				t.Fatalf("pattern %b: %.20s is gone: %.200q", pattern, w, got)
			}
		}
	}
}

// The record with the highest number can't be read, and lies before others
// that were written once more.
func TestHighestUnread(t *testing.T) {
	for cut := 1; cut < 40; cut++ {
		m := newOutage(outageHalf)
		s, _ := open(t, m)
		say(t, s, "first")
		second := s.j.tail
		say(t, s, "second", "third")
		want := []string{"first", "second", "third"}
		m.data[second+45] ^= 1
		m.data[outageHalf+firstByte+45] ^= 1
		s, _ = open(t, m)
		n := 0
		m.onWrite = func(p []byte, at int64) error {
			if n++; n < cut {
				return nil
			}
			if n == cut {
				copy(m.data[at:], p[:min(len(p), 600)])
			}
			m.onRead = func(int64, int64) error { return errOutage }
			return errOutage
		}
		if s.AddUser("fourth") == nil {
			want = append(want, "fourth")
		}
		for blk := int64(1); blk < 8; blk++ {
			d := &outage{data: slices.Clone(m.data)}
			d.unread(outageHalf, blk*blockSize, (blk+1)*blockSize)
			s, _ = open(t, d)
			d.well()
			say(t, s, "on")
			mustSay(t, d, append(want[:len(want):len(want)], "on"), "fourth"[:6*(4-len(want))])
		}
	}
}

// longOutage says a lot, the later part from byte at of a copy on.
func longOutage(t *testing.T, before, after int) (m *outage, half int64, s *Store, at int64) {
	t.Helper()
	half = 4 << 20
	m = newOutage(half)
	s, _ = open(t, m)
	say(t, s, numbered("message ", before, 700)...)
	at = s.j.tail
	say(t, s, numbered("and ", after, 700)...)
	return m, half, s, at
}

// A drive that fails to read a stretch of one copy at each start does not fill
// the journal, also when something was lost long ago.
func TestHiccupsFillNothing(t *testing.T) {
	m, half, s, at := longOutage(t, 10, 3000)
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	used, _ := s.Usage()
	m.data[at+50] ^= 1
	m.data[half+at+50] ^= 1
	for range 3 {
		m.unread(0, half+1<<20, half+1<<20+65*blockSize)
		s, _ = open(t, m)
		m.well()
		m.writes = 0
		if err := s.Begin(); err != nil {
			t.Fatal(err)
		}
		if now, _ := s.Usage(); now > used+16*blockSize || m.writes > 40 {
			t.Fatalf("%d writes, %d bytes were used, now %d", m.writes, used, now)
		}
	}
}

// Behind a stretch of a copy that is dead for good the rest of it is read.
func TestDeadStretch(t *testing.T) {
	m, half, s, at := longOutage(t, 2500, 500)
	want := said(s)
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	m.data[half+at+50] ^= 1 // B alone
	for _, blocks := range []int64{66, 100, 450} {
		m.unread(0, 4*blockSize, (4+blocks)*blockSize)
		m.unwritten(4*blockSize, (4+blocks)*blockSize)
		for i := range 2 {
			s, rec := open(t, m)
			if got := said(s); !slices.Equal(got, want) || rec.Lost() > 0 {
				t.Fatalf("%d of %d, %+v", len(got), len(want), rec)
			}
			if int64(rec.Repaired) > blocks+2 {
				t.Fatalf("%d blocks are told as damaged, %d are", rec.Repaired, blocks)
			}
			m.writes = 0
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			if int64(m.writes) > 2*blocks+20 {
				t.Fatalf("start %d: %d writes", i, m.writes)
			}
		}
	}
}

// One copy is gone, and a long message is torn in the other: it goes on.
func TestDeadCopyTorn(t *testing.T) {
	const half = 4 << 20
	m := newOutage(half)
	s, _ := open(t, m)
	say(t, s, "first")
	dead := func() { m.unread(0, 0, half); m.unwritten(0, half) }
	dead()
	say(t, s, "second")
	m.onWrite = func(p []byte, at int64) error {
		if at >= half {
			copy(m.data[at:], p[:len(p)-5000])
		}
		return errOutage
	}
	if s.AddUser(strings.Repeat("long ", 8000)) == nil {
		t.Fatal("acknowledged")
	}
	want := []string{"first", "second"}
	for i := range 3 {
		dead()
		s, _ := open(t, m)
		w := fmt.Sprint("on ", i)
		say(t, s, w)
		want = append(want, w)
		if !s.Degraded() {
			t.Fatal("not degraded")
		}
	}
	mustSay(t, m, want, "")
	m.well()
	mustSay(t, m, want, "")
}

// A hole that comes to light before one that was told is told as well, and once.
func TestHoleBeforeHole(t *testing.T) {
	m := newOutage(outageHalf)
	s, _ := open(t, m)
	var at []int64
	for i := range 30 {
		at = append(at, s.j.tail)
		say(t, s, fmt.Sprint("message ", i))
	}
	for _, c := range []struct {
		hit  int // -1: none
		lost uint64
	}{{20, 1}, {5, 1}, {-1, 0}} {
		if c.hit >= 0 {
			m.data[at[c.hit]+headerLen] ^= 1
			m.data[outageHalf+at[c.hit]+headerLen] ^= 1
		}
		s, rec := open(t, m)
		if rec.Lost() != c.lost {
			t.Errorf("after damage to message %d %d are told as lost, not %d", c.hit, rec.Lost(), c.lost)
		}
		say(t, s, "on")
	}
}

// A record that another try brought into both copies is in both.
func TestRetriedIntoBoth(t *testing.T) {
	m := newOutage(outageHalf)
	s, _ := open(t, m)
	say(t, s, "first")
	s.j.moveOn(s.j.tail) // no earlier record lies in the block that fails
	failed := 0
	m.onWrite = func(_ []byte, at int64) error {
		if at < outageHalf {
			return nil
		}
		if failed++; failed == 2 { // both tries there
			defer m.well()
		}
		return errOutage
	}
	say(t, s, "second")
	if failed != 2 || s.Degraded() {
		t.Errorf("%d writes failed; some records are said to be in one copy only: %v", failed, s.Degraded())
	}
}

// outages is a folder of segments.
type outages []*outage

func (f *outages) Segments() (list []Medium, err error) {
	for _, m := range *f {
		list = append(list, m)
	}
	return list, nil
}

func (f *outages) Add(size int64) (Medium, error) {
	*f = append(*f, newOutage(outageHalf))
	return (*f)[len(*f)-1], nil
}

// A segment that was full to the last byte has no seal. When the one behind it can't be read, what is said must not
// go into the room that an earlier session could not use, before what can't be read and with its numbers.
func TestUnsealedThenUnread(t *testing.T) {
	f := &outages{newOutage(outageHalf)}
	read := func() (*Store, Recovery) {
		t.Helper()
		s, rec, err := OpenFolder(f, clock())
		if err != nil {
			t.Fatal(err)
		}
		return s, rec
	}
	s, _ := read()
	say(t, s, strings.Repeat("y", outageHalf/2), "first")
	s.j.moveOn(s.j.capacity) // as an outage does
	say(t, s, "second")
	if s.j != s.segments[1] || s.segments[0].hi+1 != s.j.lo {
		t.Fatalf("the second segment begins with %d, the first ends with %d", s.j.lo, s.segments[0].hi)
	}
	(*f)[1].unread(outageHalf, blockSize, 2*blockSize)
	s, _ = read()
	say(t, s, "third")
	(*f)[1].well()
	s, rec := read()
	if got, want := said(s)[1:], []string{"first", "second", "third"}; !slices.Equal(got, want) || len(rec.Holes) > 0 {
		t.Fatalf("want %q, got %.20q, %+v", want, got, rec)
	}
}

// What a cut has torn at the end of a sealed segment, and has no room to be written again there, does not keep what is
// deleted on the drive.
func TestCompactsTornSeal(t *testing.T) {
	for _, copies := range [][2]int64{{0, outageHalf}, {outageHalf, 0}} {
		f := &outages{newOutage(outageHalf)}
		s, _, err := OpenFolder(f, clock())
		if err != nil {
			t.Fatal(err)
		}
		say(t, s, "a secret")
		if err := s.NewConversation(); err != nil {
			t.Fatal(err)
		}
		large := strings.Repeat("y", 100<<10)
		say(t, s, large[:60<<10], large, large[:40<<10])
		if s.j != s.segments[1] || !s.segments[0].sealed {
			t.Fatal("it is all in one segment")
		}
		// One copy is torn from the middle of the last message on, the other has junk behind the seal: bringing that
		// together takes more room than there is.
		first, end := (*f)[0], s.segments[0].tail
		clear(first.data[copies[1]+end-50<<10 : copies[1]+end])
		copy(first.data[copies[0]+end:], "junk")
		if s, _, err = OpenFolder(f, clock()); err != nil {
			t.Fatal(err)
		}
		want := said(s)
		if err := s.Delete(1); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(t.Context()); err != nil || s.Deleted() {
			t.Fatalf("copy %d: %v", copies[0]/outageHalf, err)
		}
		for i, m := range *f {
			if bytes.Contains(m.data, []byte("a secret")) {
				t.Errorf("it is still in segment %d", i)
			}
		}
		s, rec, err := OpenFolder(f, clock())
		if err != nil || len(rec.Holes) > 0 || rec.Repaired+rec.Mixed > 0 || !slices.Equal(said(s), want) {
			t.Errorf("%v, %+v, %.20q", err, rec, said(s))
		}
	}
}

// nearlyFull is a folder on a drive with room for so many bytes.
type nearlyFull struct {
	outages
	room int64
}

func (f *nearlyFull) Segments() ([]Medium, error) { return f.outages.Segments() }

func (f *nearlyFull) Add(size int64) (Medium, error) {
	if f.room -= size; f.room < 0 {
		f.room += size
		return nil, ErrNoRoom
	}
	m := newOutage(size / 2)
	f.outages = append(f.outages, m)
	return m, nil
}

// Where there is no room for a segment of the usual size smaller ones are added, until there is none for these.
func TestGrowsToTheEnd(t *testing.T) {
	f := &nearlyFull{outages: outages{newOutage(outageHalf)}, room: 2<<20 + 2000}
	s, _, err := OpenFolder(f, clock())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var full error
	for i := 0; full == nil; i++ {
		text := fmt.Sprint(i, strings.Repeat(" word", 2000))
		if full = s.AddUser(text); full == nil {
			want = append(want, text)
		}
	}
	if !errors.Is(full, ErrFull) || len(f.outages) != 3 {
		t.Errorf("%v, with %d segments", full, len(f.outages))
	}
	f.room += 8 << 20 // somebody has taken files away
	big := strings.Repeat("y", 900<<10)
	if err := s.AddUser(big); err != nil {
		t.Fatal(err)
	}
	s, rec, err := OpenFolder(f, clock())
	if err != nil {
		t.Fatal(err)
	}
	if got := said(s); !slices.Equal(got, append(want, big)) || len(rec.Holes) > 0 {
		t.Errorf("%d of %d messages, %+v", len(got), len(want)+1, rec)
	}
}
