package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs/fstest"
)

const testSize = 128 << 10

// clock advances by three seconds each time it is read, so that an answer
// saves each piece at once.
func clock() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { t = t.Add(3 * time.Second); return t }
}

// words returns the texts of all user and chunk records on a medium.
func words(t testing.TB, m Medium) ([]string, *scan) {
	t.Helper()
	_, sc, err := openJournal(m, time.Now())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return wordsOf(sc), sc
}

func wordsOf(sc *scan) (w []string) {
	for _, r := range sc.records {
		if r.kind == kindUser || r.kind == kindChunk {
			w = append(w, string(r.payload))
		}
	}
	return w
}

// talk writes a session of n steps and returns what was acknowledged, and what
// was being written when the first error came (nil when none did).
func talk(s *Store, r *rand.Rand, n int) (acked, inFlight []string, err error) {
	text := func(max int) string {
		return fmt.Sprintf("%d ", r.IntN(1e6)) + strings.Repeat("ä", r.IntN(max))
	}
	var a *Answer
	for i := 0; i < n; i++ {
		switch k := r.IntN(10); {
		case a == nil && k < 8:
			w := text(400)
			if r.IntN(8) == 0 {
				w = text(5000)
			}
			if err := s.AddUser(w); err != nil {
				return acked, []string{w}, err
			}
			acked = append(acked, w)
			a = s.BeginAnswer()
		case a == nil:
			if err := s.Set("seed", fmt.Sprint(i)); err != nil {
				return acked, nil, err
			}
			if err := s.NewConversation(); err != nil {
				return acked, nil, err
			}
		case k < 7:
			w := text(300)
			if err := a.Write(w); err != nil { // the clock makes every Write save
				return acked, []string{w}, err
			}
			acked = append(acked, w)
		default:
			w := text(3) + "end"
			a.pending = []byte(w)
			if err := a.End(Stats{Tokens: i}, k == 8); err != nil {
				return acked, []string{w}, err
			}
			acked = append(acked, w)
			a = nil
		}
	}
	return acked, nil, s.End()
}

// same checks that got is acked, perhaps with the first part of inFlight.
func same(got, acked, inFlight []string) error {
	if len(got) < len(acked) || !slices.Equal(got[:len(acked)], acked) {
		for i := range acked {
			if i >= len(got) || got[i] != acked[i] {
				return fmt.Errorf("acknowledged word %d of %d is lost (%d read)", i, len(acked), len(got))
			}
		}
	}
	rest := got[len(acked):]
	if len(rest) > len(inFlight) || !slices.Equal(rest, inFlight[:len(rest)]) {
		return fmt.Errorf("%d words that nobody wrote", len(rest))
	}
	return nil
}

func open(t testing.TB, m Medium) (*Store, Recovery) {
	t.Helper()
	s, rec, err := Open(m, clock())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, rec
}

// The plug is pulled in every single sector write of a long session, with each
// kind of tear, on small and large physical sectors, aligned and not; then
// once more while the next session repairs and goes on.
func TestCutAtEveryWrite(t *testing.T) {
	steps := 30
	for _, geo := range []struct{ sector, shift int }{{512, 0}, {4096, 0}, {4096, 1536}} {
		for seed := uint64(1); seed <= 2; seed++ {
			m := newMedium(testSize)
			m.sector, m.shift = geo.sector, geo.shift
			s, _ := open(t, m)
			if _, _, err := talk(s, rand.New(rand.NewPCG(seed, 0)), steps); err != nil {
				t.Fatal(err)
			}
			for cut := 1; cut <= m.writes; cut++ {
				tear := tear(cut) % tears
				for range tears {
					tear = (tear + 1) % tears
					name := fmt.Sprintf("sector %d+%d seed %d cut %d tear %d", geo.sector, geo.shift, seed, cut, tear)
					m := newMedium(testSize)
					m.sector, m.shift, m.cut, m.tear = geo.sector, geo.shift, cut, tear
					s, _ := open(t, m)
					acked, inFlight, err := talk(s, rand.New(rand.NewPCG(seed, 0)), steps)
					if err == nil && !m.off {
						t.Fatalf("%s: not cut", name)
					}
					m = m.healthy()
					got, sc := words(t, m)
					if err := same(got, acked, inFlight); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if len(sc.holes) > 0 {
						t.Fatalf("%s: reported holes %+v", name, sc.holes)
					}
					// Again, in the next session.
					m.cut, m.tear = 1+int(seed+uint64(cut)*13)%40, (tear+2)%tears
					s, rec := open(t, m)
					ending := len(sc.records) > 0 && sc.records[len(sc.records)-1].kind == kindSessionEnd
					if len(acked) > 0 && !rec.Unclean && !ending {
						t.Fatalf("%s: the session counts as clean", name)
					}
					acked = got
					more, inFlight, err := talk(s, rand.New(rand.NewPCG(seed, 1)), 8)
					acked = append(acked, more...)
					m = m.healthy()
					got, sc = words(t, m)
					if err := same(got, acked, inFlight); err != nil {
						t.Fatalf("%s, second session cut at %d: %v", name, m.cut, err)
					}
					if len(sc.holes) > 0 {
						t.Fatalf("%s, second session: reported holes %+v", name, sc.holes)
					}
					if err == nil {
						if _, rec := open(t, m); rec.Unclean {
							t.Fatalf("%s: a clean end counts as unclean", name)
						}
					}
				}
			}
		}
	}
}

// filled returns a medium with a finished session, and its words.
func filled(t testing.TB, steps int) (*faultyMedium, []string) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	acked, _, err := talk(s, rand.New(rand.NewPCG(7, 7)), steps)
	if err != nil {
		t.Fatal(err)
	}
	return m, acked
}

// Damage to either copy alone, anywhere, loses nothing and is repaired.
func TestDamageInOneCopy(t *testing.T) {
	m, acked := filled(t, 40)
	half := testSize / 2
	j, _, _ := openJournal(m, time.Now())
	for copyAt := 0; copyAt < testSize; copyAt += half {
		for at := 0; at < int(j.tail); at += 61 {
			for _, n := range []int{1, 700, 9000} {
				d := m.healthy()
				for i := at; i < at+n && i < half; i++ {
					d.data[copyAt+i] ^= 0x80
				}
				got, sc := words(t, d)
				if err := same(got, acked, nil); err != nil {
					t.Fatalf("copy at %d, byte %d+%d: %v", copyAt, at, n, err)
				}
				if len(sc.holes) > 0 {
					t.Fatalf("copy at %d, byte %d+%d: holes %v", copyAt, at, n, sc.holes)
				}
				if n == 1 && at%(61*4) != 0 {
					continue
				}
				s, _ := open(t, d)
				if err := s.AddUser("and on"); err != nil {
					t.Fatal(err)
				}
				got, sc = words(t, d)
				if err := same(got, append(acked[:len(acked):len(acked)], "and on"), nil); err != nil {
					t.Fatalf("copy at %d, byte %d+%d, repaired: %v", copyAt, at, n, err)
				}
				if !bytes.Equal(d.data[firstByte:half], d.data[half+firstByte:]) || sc.repaired > 0 {
					t.Fatalf("copy at %d, byte %d+%d: the copies differ after the repair", copyAt, at, n)
				}
			}
		}
	}
}

// Damage to the same record in both copies loses that one record, which is
// reported once, and nothing behind it.
func TestDamageInBothCopies(t *testing.T) {
	m, acked := filled(t, 40)
	half := testSize / 2
	var at []int64
	var lost [][]string // the words in each record
	j, _, _ := openJournal(m, time.Now())
	for pos := int64(firstByte); pos < j.tail; {
		at = append(at, pos)
		r, n, _, ok := parseRecord(m.data[pos:], j.gen)
		if !ok {
			t.Fatal("no record at", pos)
		}
		var sc scan
		sc.add(r, false)
		lost = append(lost, wordsOf(&sc))
		pos += n
	}
	for i := range at {
		d := m.healthy()
		d.data[at[i]+20] ^= 1
		d.data[half+int(at[i])+33] ^= 4
		want := slices.DeleteFunc(slices.Clone(acked), func(w string) bool { return slices.Contains(lost[i], w) })
		s, rec := open(t, d)
		got, _ := words(t, d)
		last := i == len(at)-1
		if err := same(got, want, nil); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if last { // can't be told from a torn append
			if len(rec.Holes) != 0 || rec.Torn == 0 || !rec.Unclean {
				t.Fatalf("last record: %+v", rec)
			}
		} else if len(rec.Holes) != 1 || rec.Lost() != 1 || rec.Holes[0].Offset != at[i] {
			t.Fatalf("record %d: %+v", i, rec)
		}
		if err := s.AddUser("on"); err != nil {
			t.Fatal(err)
		}
		got, _ = words(t, d)
		if err := same(got, append(want, "on"), nil); err != nil {
			t.Fatalf("record %d, went on: %v", i, err)
		}
		if _, rec := open(t, d); len(rec.Holes) != 0 {
			t.Fatalf("record %d: the hole is reported again: %+v", i, rec)
		}
	}
}

// Where each copy is damaged elsewhere in one block everything is read, and
// written again elsewhere before either block is rewritten.
func TestMixedDamage(t *testing.T) {
	m, acked := filled(t, 41)
	half := testSize / 2
	j, sc, _ := openJournal(m, time.Now())
	// The last two records are in the tail block.
	last := j.tail - recordSize(len(sc.records[len(sc.records)-1].payload))
	prev := last - recordSize(len(sc.records[len(sc.records)-2].payload))
	if prev/blockSize != last/blockSize {
		t.Fatal("choose another seed")
	}
	m.data[prev+10] ^= 1
	m.data[half+int(last)+10] ^= 1
	for i := range 3 {
		s, rec := open(t, m)
		if len(rec.Holes) != 0 || rec.Unclean {
			t.Fatalf("%d: %+v", i, rec)
		}
		if err := s.AddUser(fmt.Sprint("on ", i)); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, fmt.Sprint("on ", i))
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		got, _ := words(t, m)
		if err := same(got, acked, nil); err != nil {
			t.Fatal(err)
		}
	}
	// They were brought together: either copy alone now has everything.
	for _, at := range []int{0, half} {
		d := m.healthy()
		clear(d.data[at : at+half])
		got, _ := words(t, d)
		if err := same(got, acked, nil); err != nil {
			t.Fatalf("without the copy at %d: %v", at, err)
		}
	}
}

func TestUnreadableBlock(t *testing.T) {
	m, acked := filled(t, 40)
	m.readBad = blockSize
	got, sc := words(t, m)
	if err := same(got, acked, nil); err != nil {
		t.Fatal(err)
	}
	if sc.repaired == 0 {
		t.Fatal("nothing to repair")
	}
	m.badFrom, m.badTo = blockSize, blockSize+512
	s, _ := open(t, m)
	if err := s.AddUser("on"); err != nil {
		t.Fatal(err)
	}
	if !s.Degraded() {
		t.Error("not degraded")
	}
	if got, _ = words(t, m); same(got, append(acked, "on"), nil) != nil {
		t.Fatal("lost")
	}
}

// A range that can't be written, in either copy or both, at any place: words
// are saved elsewhere or honestly refused.
func TestBadSectors(t *testing.T) {
	half := int64(1 << 20)
	for _, where := range []string{"A", "B", "both"} {
		for at := int64(0); at < 40<<10; at += 1536 {
			m := newMedium(int(2 * half))
			s, _ := open(t, m)
			acked, _, err := talk(s, rand.New(rand.NewPCG(3, 3)), 10)
			if err != nil {
				t.Fatal(err)
			}
			m.badFrom, m.badTo = at, at+512
			if where == "B" {
				m.badFrom, m.badTo = half+at, half+at+512
			} else if where == "both" {
				m.badFrom, m.badTo = at, half+at+512 // and all between
			}
			s, _ = open(t, m)
			more, inFlight, err := talk(s, rand.New(rand.NewPCG(4, 3)), 40)
			acked = append(acked, more...)
			if err != nil && where != "both" {
				t.Fatalf("%s %d: %v", where, at, err)
			}
			got, sc := words(t, m)
			if err := same(got, acked, inFlight); err != nil {
				t.Fatalf("%s %d: %v", where, at, err)
			}
			if len(sc.holes) > 0 {
				t.Fatalf("%s %d: %+v", where, at, sc.holes)
			}
		}
	}
}

// The tail block of one copy goes bad, and then the plug is pulled while the
// journal is coping with that.
func TestBadSectorThenCut(t *testing.T) {
	const half = testSize / 2
	for _, copyAt := range []int64{0, half} {
		for cut := 1; cut < 80; cut++ {
			for tear := range tears {
				m := newMedium(testSize)
				m.tear = tear
				s, _ := open(t, m)
				acked := []string{"one", "two", "three"}
				for _, w := range acked {
					if err := s.AddUser(w); err != nil {
						t.Fatal(err)
					}
				}
				m.badFrom, m.badTo = copyAt+firstByte, copyAt+firstByte+512
				m.cut = m.writes + cut
				var inFlight []string
				for i := range 6 {
					w := fmt.Sprint("after ", i)
					if err := s.AddUser(w); err != nil {
						inFlight = []string{w}
						break
					}
					acked = append(acked, w)
				}
				got, sc := words(t, m.healthy())
				if err := same(got, acked, inFlight); err != nil || len(sc.holes) > 0 {
					t.Fatalf("copy at %d, cut %d, tear %d: %v, %v", copyAt, cut, tear, err, sc.holes)
				}
			}
		}
	}
}

// Drives that flip bits, write short and fail to sync: what is acknowledged is
// there, what isn't was an error.
func TestUnreliableWrites(t *testing.T) {
	for _, c := range []struct{ flip, short int }{{2, 0}, {3, 0}, {5, 0}, {0, 2}, {0, 3}, {7, 5}, {1, 0}, {0, 1}} {
		m := newMedium(1 << 20)
		m.flip, m.short = c.flip, c.short
		s, _ := open(t, m)
		var acked, possible []string
		for i := range 60 {
			w := fmt.Sprint("word ", i)
			possible = append(possible, w)
			if s.AddUser(w) == nil {
				acked = append(acked, w)
			}
		}
		if c.flip != 1 && c.short != 1 && len(acked) != 60 {
			t.Errorf("%+v: only %d of 60 saved", c, len(acked))
		}
		if (c.flip == 1 || c.short == 1) && len(acked) > 0 {
			t.Errorf("%+v: acknowledged without a good write", c)
		}
		if len(acked) == 0 {
			continue
		}
		got, sc := words(t, m)
		for _, w := range acked {
			if !slices.Contains(got, w) {
				t.Fatalf("%+v: %q is lost", c, w)
			}
		}
		if !slices.IsSorted(indexes(got, possible)) || len(sc.holes) > 0 {
			t.Fatalf("%+v: out of order or holes: %v %v", c, got, sc.holes)
		}
	}
	m := newMedium(testSize)
	s, _ := open(t, m)
	m.noSync = errors.New("no flush")
	if err := s.AddUser("x"); err == nil || !strings.Contains(err.Error(), "no flush") {
		t.Errorf("failed sync: %v", err)
	}
	m.noSync = nil
	if err := s.AddUser("y"); err != nil {
		t.Errorf("after the drive came back: %v", err)
	}
	if got, _ := words(t, m); !slices.Contains(got, "y") {
		t.Error("y is lost")
	}
}

func indexes(got, all []string) []int {
	var x []int
	for _, w := range got {
		x = append(x, slices.Index(all, w))
	}
	return x
}

// An append that failed everywhere leaves pieces behind; a later one at the
// same place wins over them, whichever copy it reached.
func TestStalePieces(t *testing.T) {
	const size = 1 << 20
	for _, bad := range []int64{0, size / 2} {
		m := newMedium(size)
		s, _ := open(t, m)
		if err := s.AddUser("first"); err != nil {
			t.Fatal(err)
		}
		// Everything is written but nothing may be trusted.
		m.noSync = errors.New("no flush")
		for i := range 5 {
			if s.AddUser(fmt.Sprint("refused ", i)) == nil {
				t.Fatal("acknowledged")
			}
		}
		m.noSync = nil
		m.badFrom, m.badTo = bad+firstByte, bad+size/2 // one copy is dead
		acked := []string{"first"}
		for i := range 5 {
			if err := s.AddUser(fmt.Sprint("said ", i)); err != nil {
				t.Fatal(err)
			}
			acked = append(acked, fmt.Sprint("said ", i))
		}
		m.badFrom, m.badTo = 0, 0
		got, sc := words(t, m)
		for _, w := range acked {
			if !slices.Contains(got, w) {
				t.Fatalf("%q is lost: %q", w, got)
			}
		}
		if len(sc.holes) > 0 {
			t.Fatalf("holes %+v", sc.holes)
		}
	}
}

// A long outage, in which nothing reaches the medium, leaves no gap that looks
// like the end.
func TestLongOutage(t *testing.T) {
	for _, size := range []int{10, 5000, 200 << 10} {
		for _, half := range []bool{false, true} {
			m := newMedium(4 << 20)
			s, _ := open(t, m)
			var acked []string
			for round := range 4 {
				m.outage = true
				if half { // only copy A is gone
					m.outageTo = 2 << 20
				}
				for i := range 20 {
					w := fmt.Sprint(round, i, strings.Repeat("x", size))
					if err := s.AddUser(w); err == nil {
						if !half {
							t.Fatal("acknowledged")
						}
						acked = append(acked, w)
					} else if errors.Is(err, ErrFull) {
						break
					}
				}
				m.outage = false
				w := fmt.Sprint("after ", round)
				if err := s.AddUser(w); err == nil {
					acked = append(acked, w)
				} else if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
			}
			got, sc := words(t, m)
			if err := same(got, acked, nil); err != nil || len(sc.holes) > 0 {
				t.Fatalf("size %d, half %v: %v, %v", size, half, err, sc.holes)
			}
		}
	}
}

// Junk behind the end that can't be wiped hides nothing that comes after it.
func TestJunkThatStays(t *testing.T) {
	for at := int64(0); at < 400<<10; at += 12 << 10 {
		m := newMedium(2 << 20)
		s, _ := open(t, m)
		if err := s.AddUser("first"); err != nil {
			t.Fatal(err)
		}
		tail := s.j.tail&^(blockSize-1) + blockSize
		for i := tail; i < tail+400<<10; i++ {
			m.data[i], m.data[1<<20+i] = 0xaa, 0xbb
		}
		m.badFrom, m.badTo = tail+at, tail+at+1024
		s, _ = open(t, m)
		acked := []string{"first"}
		for i := range 100 {
			w := fmt.Sprint(i, strings.Repeat("y", 300*(i%20)))
			if err := s.AddUser(w); err != nil {
				t.Fatal(err)
			}
			acked = append(acked, w)
		}
		m.badTo = 0
		got, sc := words(t, m)
		if err := same(got, acked, nil); err != nil || len(sc.holes) > 0 {
			t.Fatalf("bad at %d: %v, %v", at, err, sc.holes)
		}
	}
}

// A drive that lies about flushing may lose what it lied about, but not what
// it really wrote before.
func TestLyingFlush(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		m, acked := filled(t, 25)
		d := fstest.New(testSize, 512, 0, r)
		copy(d.Bytes(), m.data)
		d.LyingFlush = true
		s, _ := open(t, d)
		more, _, err := talk(s, r, 12)
		if err != nil {
			t.Fatal(err)
		}
		d.CutAfter(0)
		d.Sync()
		d.PowerOn()
		got, _ := words(t, d)
		if len(got) < len(acked) || !slices.Equal(got[:len(acked)], acked) {
			t.Fatalf("seed %d: words written before are lost", seed)
		}
		if x := indexes(got[len(acked):], more); !slices.IsSorted(x) || len(x) > 0 && x[0] < 0 {
			t.Fatalf("seed %d: words nobody wrote: %v", seed, x)
		}
		s, _ = open(t, d)
		if err := s.AddUser("on"); err != nil {
			t.Fatal(err)
		}
		again, _ := words(t, d)
		// The repair may even join the halves of a record that no copy had whole.
		if x := indexes(append(got, "on"), again); !slices.IsSorted(x) || x[0] < 0 {
			t.Fatalf("seed %d: the next session lost words", seed)
		}
	}
}

// Bytes of an older journal, and of a journal pasted into a message, are not
// records.
func TestStaleGenerations(t *testing.T) {
	old, _ := filled(t, 60)
	m := old.healthy()
	clear(m.data[:firstByte+probeSize/2])
	clear(m.data[testSize/2 : testSize/2+firstByte+probeSize/2])
	if got, _ := words(t, m); len(got) != 0 {
		t.Fatalf("an emptied journal has words: %q", got)
	}
	s, rec := open(t, m)
	if !rec.New {
		t.Fatal("not new")
	}
	paste := string(old.data[firstByte : firstByte+5000])
	for _, w := range []string{"new", paste, "newer"} {
		if err := s.AddUser(w); err != nil {
			t.Fatal(err)
		}
	}
	// Even when the record around the pasted one is torn.
	m.data[firstByte+2000] ^= 1
	m.data[testSize/2+firstByte+2000] ^= 1
	got, sc := words(t, m)
	if len(got) != 2 || got[1] != "newer" || len(sc.holes) != 1 {
		t.Fatalf("%d words, holes %v", len(got), sc.holes)
	}
}

func TestHeadersLost(t *testing.T) {
	m, acked := filled(t, 30)
	clear(m.data[:blockSize])
	clear(m.data[testSize/2 : testSize/2+blockSize])
	got, _ := words(t, m)
	if err := same(got, acked, nil); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, m)
	if err := s.AddUser("on"); err != nil {
		t.Fatal(err)
	}
	if _, ok := parseHeader(m.data); !ok {
		t.Fatal("the header was not written again")
	}
	got, _ = words(t, m)
	if err := same(got, append(acked, "on"), nil); err != nil {
		t.Fatal(err)
	}
}

// A journal of the version before appends were one record each, with a number
// that was given up, is read as it was meant.
func TestOlderJournal(t *testing.T) {
	m := newMedium(testSize)
	const half, gen = testSize / 2, 77
	b := header{gen: gen, half: half, made: time.UnixMilli(1)}.encode()
	for _, r := range []record{
		{seq: 1, kind: kindSession, payload: encodePairs("version", "1")},
		{seq: 2, kind: kindUser, payload: []byte("a question")},
		{seq: 3, kind: kindChunk, payload: []byte("an answer ")},
		{seq: 4, kind: kindUser, payload: []byte("not saved")},
		{seq: 5, skip: 1, kind: kindChunk, payload: []byte("with an end")},
		{seq: 6, kind: kindAnswerEnd, payload: encodePairs("model", "m", "tokens", "3", "ms", "2", "context", "9", "partial", "")},
	} {
		r.ms = 1000
		b = appendRecord(b, gen, r)
	}
	copy(m.data, b)
	copy(m.data[half:], b)
	for range 2 {
		s, rec := open(t, m)
		got := s.Conversation()
		if len(rec.Holes) > 0 || len(got) < 2 || got[0].Text != "a question" || got[1].Text != "an answer with an end" || got[1].Partial ||
			got[1].Stats != (Stats{Model: "m", Tokens: 3, Elapsed: 2 * time.Millisecond, Context: 9}) {
			t.Fatalf("%+v, %+v", got, rec)
		}
		if err := s.AddUser("on"); err != nil {
			t.Fatal(err)
		}
	}
}

// The end of the journal can't be read at one start, in either copy. What is
// said then goes behind it, and at the next start everything is there, in the
// order in which it was said.
func TestUnreadEnd(t *testing.T) {
	d := fstest.New(1<<20, 512, 0, rand.New(rand.NewPCG(5, 5)))
	s, _ := open(t, d)
	acked, _, err := talk(s, rand.New(rand.NewPCG(7, 7)), 40)
	if err != nil {
		t.Fatal(err)
	}
	block := s.j.tail/blockSize - 1
	d.Fail = func(op fstest.Op, off int64, n int) error {
		for _, at := range []int64{block * blockSize, block*blockSize + d.Size()/2} {
			if op == fstest.Read && off < at+2*blockSize && off+int64(n) > at {
				return fstest.ErrPassing
			}
		}
		return nil
	}
	s, rec := open(t, d)
	if got, _ := words(t, d); len(got) >= len(acked) || rec.Unread != 2*blockSize {
		t.Fatalf("%d of %d words are seen, %+v", len(got), len(acked), rec)
	}
	for _, w := range []string{"on", "and on"} {
		if err := s.AddUser(w); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, w)
	}
	d.Fail = nil
	for range 2 {
		got, sc := words(t, d)
		if err := same(got, acked, nil); err != nil || len(sc.holes) > 0 {
			t.Fatalf("%v, %+v", err, sc.holes)
		}
		s, _ := open(t, d)
		if err := s.AddUser("further"); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, "further")
	}
}

// An answer of which a piece is lost is not complete, whatever its end says.
func TestLostPiece(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	err := s.AddUser("question")
	a := s.BeginAnswer()
	err = errors.Join(err, a.Write("one "))
	at := s.j.tail
	err = errors.Join(err, a.Write("two "), a.Write("three "), a.End(Stats{}, false), s.AddUser("next"))
	if err != nil {
		t.Fatal(err)
	}
	m.data[at+20] ^= 1
	m.data[at+20+testSize/2] ^= 1
	s, rec := open(t, m)
	if got := s.Conversation(); rec.Lost() != 1 || len(got) != 3 || got[1].Text != "one three " || !got[1].Partial {
		t.Fatalf("%+v, %+v", got, rec)
	}
}

func TestFileGrewOrShrank(t *testing.T) {
	m, acked := filled(t, 30)
	grown := m.healthy()
	grown.data = append(grown.data, make([]byte, 100<<10)...)
	shrunk := m.healthy()
	shrunk.data = shrunk.data[:testSize/2+10]
	for _, d := range []*faultyMedium{grown, shrunk} {
		s, _ := open(t, d)
		if err := s.AddUser("on"); err != nil {
			t.Fatal(err)
		}
		got, _ := words(t, d)
		if err := same(got, append(acked[:len(acked):len(acked)], "on"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNotAJournal(t *testing.T) {
	m := newMedium(testSize)
	copy(m.data[9000:], "GIF89a and other things of value")
	before := slices.Clone(m.data)
	if _, _, err := Open(m, nil); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Fatalf("%v", err)
	}
	if !bytes.Equal(before, m.data) {
		t.Fatal("changed")
	}
	if _, _, err := Open(newMedium(4096), nil); err == nil || !strings.Contains(err.Error(), "larger journal") {
		t.Fatalf("%v", err)
	}
}

// Full: refused in time, with room to finish what was begun.
func TestFull(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	var acked []string
	var err error
	for i := 0; ; i++ {
		w := fmt.Sprint(i, strings.Repeat(" full", 100))
		if err = s.AddUser(w); err != nil {
			break
		}
		acked = append(acked, w)
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "--journal") {
		t.Fatal(err)
	}
	a := s.BeginAnswer()
	for err = nil; err == nil; {
		w := strings.Repeat("answer ", 80)
		if err = a.Write(w); err == nil {
			acked = append(acked, w)
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := a.End(Stats{}, true); err != nil {
		t.Fatalf("no room for the end of an answer: %v", err)
	}
	acked = append(acked, strings.Repeat("answer ", 80))
	if err := s.End(); err != nil {
		t.Fatalf("no room for the end of the session: %v", err)
	}
	got, _ := words(t, m)
	if err := same(got, acked, nil); err != nil {
		t.Fatal(err)
	}
	for range 20 { // and some more sessions
		s, rec := open(t, m)
		if rec.Unclean {
			t.Fatal("unclean")
		}
		if err := errors.Join(s.Begin(), s.End()); err != nil {
			t.Fatal(err)
		}
	}
	// Until not even that fits: an error, no loss.
	for err == nil || errors.Is(err, ErrFull) && s.ended {
		s, _ = open(t, m)
		err = errors.Join(s.Begin(), s.End())
		if err != nil {
			break
		}
	}
	got, _ = words(t, m)
	if err := same(got, acked, nil); err != nil {
		t.Fatal(err)
	}
}

// FuzzOpen overwrites parts of a journal: nothing panics, all words that lie
// elsewhere are kept, and the journal goes on without losing what it had.
func FuzzOpen(f *testing.F) {
	m, _ := filled(f, 30)
	f.Add(uint32(0), []byte("junk"), false)
	f.Add(uint32(firstByte), []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f}, true)
	f.Add(uint32(5000), bytes.Repeat([]byte{0}, 600), true)
	f.Add(uint32(9000), m.data[firstByte:firstByte+900], true)
	f.Fuzz(func(t *testing.T, at uint32, data []byte, both bool) {
		d := m.healthy()
		half := testSize / 2
		copy(d.data[int(at)%testSize:], data)
		if both {
			copy(d.data[(int(at)+half)%testSize:], data)
		}
		s, rec, err := Open(d, clock())
		if err != nil {
			return
		}
		_ = rec.Lost()
		if h := checked(t, s); h.Lost > 0 {
			t.Errorf("just opened, %+v", h)
		}
		got, _ := words(t, d)
		if err := s.AddUser("on"); err != nil {
			if errors.Is(err, ErrFull) {
				return
			}
			t.Fatal(err)
		}
		again, _ := words(t, d)
		if err := same(again, append(got, "on"), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(appendRecord(nil, 9, commitOf([]record{{kind: kindChunk, payload: []byte("and on")}, {kind: kindAnswerEnd, payload: encodePairs("tokens", "3")}})))
	f.Add(appendRecord(nil, 7, record{seq: 1, kind: kindUser, payload: []byte("hello")}))
	f.Add(header{gen: 1, half: minHalf}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		parseHeader(b)
		if r, n, g, ok := parseRecord(b, 0); ok {
			if enc := appendRecord(nil, g, r); int64(len(enc)) != n {
				t.Fatalf("%d bytes encode as %d", n, len(enc))
			}
			var sc scan
			sc.add(r, true)
			for p, i := r.payload, 0; r.kind == kindCommit; i++ {
				part, rest, ok := nextPart(p)
				if !ok {
					break
				}
				if got := sc.records[i]; got.kind != part.kind || !bytes.Equal(got.payload, part.payload) || got.gap != (i == 0) {
					t.Fatalf("part %d is %+v", i, got)
				}
				p = rest
			}
		}
		pairs(b)
	})
}

func fileMedium(b testing.TB, size int64) *fileM {
	f, err := os.Create(filepath.Join(b.TempDir(), "journal.log"))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &fileM{f, size}
}

type fileM struct {
	*os.File
	size int64
}

func (f *fileM) Size() int64 { return f.size }

func BenchmarkAppend(b *testing.B) {
	text := strings.Repeat("word ", 20)
	for _, c := range []struct {
		name string
		m    func() Medium
	}{
		{"memory", func() Medium { return newMedium(64 << 20) }},
		{"file", func() Medium { return fileMedium(b, 64<<20) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, _ := open(b, c.m())
			for b.Loop() {
				if err := s.AddUser(text); errors.Is(err, ErrFull) {
					b.StopTimer()
					s, _ = open(b, c.m())
					b.StartTimer()
				} else if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens a journal of 16 MiB: new, with one conversation of
// 10,000 messages, with the same in many conversations, full with 8 MB of long
// messages in one conversation, and with a torn end.
func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		name                      string
		messages, size, converses int
		torn                      bool
	}{
		{"empty", 0, 0, 1 << 20, false},
		{"10000", 10000, 700, 1 << 20, false},
		{"10000in500", 10000, 700, 20, false},
		{"8MB", 1 << 20, 4000, 1 << 20, false},
		{"torn", 100, 700, 100, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := newMedium(16 << 20)
			s, _ := open(b, m)
			for i := 0; i < c.messages/2; i++ {
				if i%c.converses == 0 {
					if err := s.NewConversation(); err != nil {
						b.Fatal(err)
					}
				}
				err := s.AddUser(strings.Repeat("q", c.size/7))
				if errors.Is(err, ErrFull) {
					break
				}
				a := s.BeginAnswer()
				for range 3 {
					err = errors.Join(err, a.Write(strings.Repeat("word ", c.size/10)))
				}
				if err = errors.Join(err, a.End(Stats{Model: "model", Tokens: 1}, false)); err != nil {
					b.Fatal(err)
				}
			}
			if c.torn {
				copy(m.data[s.j.tail:], "junk")
			}
			b.ReportAllocs()
			for b.Loop() {
				open(b, m)
			}
		})
	}
}
