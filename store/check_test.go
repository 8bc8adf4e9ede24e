package store

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// checked is Check, which must tell how far it is, to the end.
func checked(t testing.TB, s *Store) Health {
	t.Helper()
	last := int64(0)
	h, err := s.Check(t.Context(), func(done int64) {
		if done < last {
			t.Errorf("%d bytes are read, after %d", done, last)
		}
		last = done
	})
	if err != nil || last != s.Checkable() {
		t.Fatalf("%v; %d of %d bytes were read", err, last, s.Checkable())
	}
	return h
}

// Check finds any damage to what is in use, in the copy where it is; the next start mends it.
func TestCheck(t *testing.T) {
	m, _ := filled(t, 40)
	s, _ := open(t, m)
	if h := checked(t, s); !h.Sound() || h.Records == 0 {
		t.Fatalf("nothing is damaged, before the session begins: %+v", h)
	}
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	before := checked(t, s)
	if !before.Sound() || before.Records != len(wordsAndMarks(t, m)) {
		t.Fatalf("nothing is damaged: %+v", before)
	}
	for which := range 2 {
		header := which * testSize / 2
		for at := int64(0); at < s.j.tail; at += 61 {
			if at > 32 && at < firstByte { // nobody reads what is behind the header
				at = firstByte
			}
			d := m.healthy()
			d.data[header+int(at)] ^= 4
			s.j.m = d
			h := checked(t, s)
			if h.Sound() || h.Hurt[which] != 1 || h.Hurt[1-which] != 0 || h.Lost != 0 || h.Records != before.Records {
				t.Fatalf("byte %d of copy %d: %+v", at, which, h)
			}
			next, _ := open(t, d)
			if err := next.Begin(); err != nil {
				t.Fatal(err)
			}
			if h := checked(t, next); !h.Sound() {
				t.Fatalf("byte %d of copy %d, after the next start: %+v", at, which, h)
			}
		}
	}
}

func wordsAndMarks(t *testing.T, m Medium) []record {
	_, sc := words(t, m)
	return sc.records
}

// What is damaged in both copies is lost, also at the end. What was lost before this session is not told again.
func TestCheckLost(t *testing.T) {
	m, _ := filled(t, 40)
	m.data[firstByte+20] ^= 1
	m.data[testSize/2+firstByte+20] ^= 1
	s, rec := open(t, m)
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	if h := checked(t, s); rec.Lost() != 1 || !h.Sound() {
		t.Fatalf("lost at the start %d, then %+v", rec.Lost(), h)
	}
	end := int(s.j.tail)
	if err := s.AddUser("good evening"); err != nil {
		t.Fatal(err)
	}
	m.data[end+20] ^= 1
	m.data[testSize/2+end+20] ^= 1
	if h := checked(t, s); h.Lost != 1 || h.Hurt != [2]int{} {
		t.Errorf("the last record is damaged in both copies: %+v", h)
	}
	if err := s.AddUser("on"); err != nil {
		t.Fatal(err)
	}
	if h := checked(t, s); !h.Sound() { // the block was written anew, from memory
		t.Errorf("after one more: %+v", h)
	}
}

// A record that is in one copy only, and one that is in none because it was told as not saved.
func TestCheckFailedWrites(t *testing.T) {
	m, _ := filled(t, 5)
	s, _ := open(t, m)
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	m.outage = true
	if err := s.AddUser("not saved"); err == nil {
		t.Fatal("saved")
	}
	if h := checked(t, s); !h.Sound() {
		t.Errorf("after what was not saved: %+v", h)
	}
	m.outage, m.badFrom, m.badTo = false, testSize/2, testSize
	if err := s.AddUser("saved once"); err != nil {
		t.Fatal(err)
	}
	if h := checked(t, s); h.Hurt[0] != 0 || h.Hurt[1] == 0 || h.Lost != 0 {
		t.Errorf("with a copy that takes nothing: %+v", h)
	}
}

// New journals are sound; a drive that is gone, and a person who does not want to wait, end the check.
func TestCheckEnds(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	if h := checked(t, s); !h.Sound() || h.Records != 0 {
		t.Errorf("a new journal: %+v", h)
	}
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Check(ctx, func(int64) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	m.off = true
	if _, err := s.Check(t.Context(), func(int64) {}); err == nil || !strings.HasPrefix(err.Error(), "the journal cannot be read: ") {
		t.Error(err)
	}
}
