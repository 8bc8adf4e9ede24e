package knowledge

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The passage for what is asked behind a question is the first for 19 of 20 with the words of that, and for 15 without. A question that is about
// something else is no follow-up, and finds what it finds by itself.
func TestFollowUps(t *testing.T) {
	l := home(t, nil)
	b, err := os.ReadFile("testdata/follow.txt")
	if err != nil {
		t.Fatal(err)
	}
	alone, with, all := 0, 0, 0
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\n"), " | ")
		if len(f) < 3 || line[0] == '#' {
			continue
		}
		following, err := l.SearchFollowing(t.Context(), f[0], f[1], 6)
		if err != nil {
			t.Fatal(err)
		}
		own := search(t, l, f[1], 6)
		if strings.HasPrefix(f[2], "-") {
			if !slices.EqualFunc(own, following, func(a, b Passage) bool { return a.Document == b.Document && a.Start == b.Start }) {
				t.Errorf("%q is taken for a follow-up", f[1])
			}
			continue
		}
		all++
		right := func(list []Passage) bool {
			return len(list) > 0 && list[0].Document == f[2] && strings.Contains(list[0].Text, f[3])
		}
		if right(own) {
			alone++
		}
		if right(following) {
			with++
		} else {
			t.Logf("behind %q, %q is not found first", f[0], f[1])
		}
	}
	t.Logf("of %d follow-ups the passage is the first for %d by their own words, for %d with the question before", all, alone, with)
	if all != 20 || with < 19 || with <= alone {
		t.Errorf("of %d follow-ups %d are found by their own words, %d with the question before", all, alone, with)
	}
}
