package console

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/bidi"
)

// The levels are odd where golang.org/x/text, which has the whole algorithm but tells only directions, says that
// text runs to the left.
func TestLevels(t *testing.T) {
	const letters = "abאבعب12٣٤ .,+-$%!/:\u0301"
	all := []rune(letters)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var s []rune
		for range 1 + rng.IntN(12) {
			s = append(s, all[rng.IntN(len(all))])
		}
		if s[0] == '\u0301' {
			continue // the library takes its direction for that of the paragraph
		}
		base := uint8(rng.IntN(2))
		var classes []bidi.Class
		for _, r := range s {
			p, _ := bidi.LookupRune(r)
			classes = append(classes, p.Class())
		}
		var want strings.Builder
		var p bidi.Paragraph
		first := undecided
		for _, r := range s {
			if first = directionOf(string(r)); first != undecided {
				break
			}
		}
		if first != undecided { // the library decides by the first letter itself
			base = uint8(first - toTheRight)
		}
		if _, err := p.SetString(string(s), bidi.DefaultDirection(bidi.Direction(base))); err != nil {
			t.Fatal(err)
		}
		order, err := p.Order()
		if err != nil {
			t.Fatal(err)
		}
		for i := range order.NumRuns() {
			run := order.Run(i)
			for range run.String() {
				want.WriteByte("LR"[run.Direction()])
			}
		}
		var got strings.Builder
		for _, level := range levels(classes, base) {
			got.WriteByte("LR"[level%2])
		}
		if got.String() != want.String() {
			t.Fatalf("%q in a paragraph of level %d: %s, want %s", string(s), base, got.String(), want.String())
		}
	}
}

// Text is seen in this order from left to right.
func TestVisualOrder(t *testing.T) {
	for _, tt := range []struct{ text, seen string }{
		{"plain", "plain"},
		{"abc אבג def", "abc גבא def"},
		{"אבג abc דהו", "והד abc גבא"},
		{"אבג 123 דהו", "והד 123 גבא"},
		{"abc אבג 12, 34 דהו xyz", "abc והד 34 ,12 גבא xyz"},
		{"אבג (דהו)!", "!(והד) גבא"},
		{"- אבג", "גבא -"},
		{"- אבג: 50%, x", "x ,50% :גבא -"},
		{"אב中ג", "ג中בא"},
		{"سلام", "ﻡﺎﻠﺳ"},
		{"ببب ادب", "ﺏﺩﺍ ﺐﺒﺑ"},
		{"بَب", "ﺐﺑَ"},
	} {
		var c clusters
		p := newPage(40, 10, &c)
		p.write(tt.text)
		row := p.lines[0]
		c.visual(row, len(row))
		var seen strings.Builder
		for _, x := range row {
			if x.mark&markTrail == 0 {
				seen.WriteString(c.string(x.id))
			}
		}
		if seen.String() != tt.seen {
			t.Errorf("%q is seen as %q, not as %q", tt.text, seen.String(), tt.seen)
		}
	}
}
