package store

import (
	"bytes"
	"strings"
	"testing"
)

func factTexts(s *Store) string {
	var list []string
	for _, f := range s.Facts() {
		list = append(list, f.Text)
	}
	return strings.Join(list, "; ")
}

// What is remembered outlives a start; what is forgotten does not come back, and is not in the journal any more once that was compacted.
func TestFacts(t *testing.T) {
	m := newMedium(256 << 10)
	s, _ := open(t, m)
	must := func(f Fact, err error) Fact {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	one := must(s.Remember("my sister was born on 3 May"))
	two := must(s.Remember("the key is below the pot"))
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	three := must(s.Remember("tea, not coffee"))
	three = must(s.Revise(three.ID, "coffee, not tea"))
	check := func(s *Store, want string) {
		t.Helper()
		if got := factTexts(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check(s, "my sister was born on 3 May; the key is below the pot; coffee, not tea")
	if err := s.Unremember(two.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Unremember(two.ID); err != ErrNoFact {
		t.Error(err)
	}
	if _, err := s.Revise(two.ID, "x"); err != ErrNoFact {
		t.Error(err)
	}
	for _, text := range []string{"", "  ", strings.Repeat("x", MaxFact+1)} {
		if _, err := s.Remember(text); err == nil {
			t.Errorf("%d bytes are remembered", len(text))
		}
	}
	const left = "my sister was born on 3 May; coffee, not tea"
	check(s, left)
	s, _ = open(t, m)
	check(s, left)
	if got := s.Facts(); got[0] != one && !got[0].Time.Equal(one.Time) || got[1].ID != three.ID {
		t.Errorf("%+v", got)
	}
	if !s.Deleted() || !bytes.Contains(m.data, []byte("below the pot")) {
		t.Error("nothing is to be taken out")
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"below the pot", "tea, not coffee"} {
		if bytes.Contains(m.data, []byte(gone)) {
			t.Errorf("%q is still in the journal", gone)
		}
	}
	check(s, left)
	s, rec := open(t, m)
	check(s, left)
	if len(rec.Holes) > 0 || s.Deleted() || s.Conversation()[0].Text != "hello" {
		t.Errorf("%+v, %v", rec, s.Conversation())
	}
	// Another journal's facts come along, once.
	other, _ := open(t, newMedium(256<<10))
	must(other.Remember("coffee, not tea"))
	for i, want := range []int{1, 0} {
		got, err := other.Merge(t.Context(), s)
		if err != nil || got.Facts != want {
			t.Errorf("merge %d: %+v, %v", i, got, err)
		}
	}
	check(other, "coffee, not tea; my sister was born on 3 May")
	if got := other.Facts()[1].Time; got.UnixMilli() != one.Time.UnixMilli() {
		t.Errorf("it was said %v, not %v", one.Time, got)
	}
}
