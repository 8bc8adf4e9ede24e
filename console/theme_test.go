package console

import "testing"

// contrast is the contrast of two colours, from 1 to 21 (WCAG 2.2, 1.4.3).
func contrast(a, b uint32) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Text has the contrast that WCAG 2.2 asks of the best (1.4.6), and what is dim that of the usual (1.4.3).
func TestContrast(t *testing.T) {
	if got := contrast(0, 0xFFFFFF); got != 21 {
		t.Fatalf("black and white have a contrast of %.2f", got)
	}
	for _, th := range themes {
		for s := range numStyles {
			l, want := th.looks[s], 7.0
			switch s {
			case Dim:
				want = 4.5
			case rule:
				want = 1.5 // a line, whose loss loses nothing
			}
			if l.fg == l.bg {
				t.Errorf("%s: style %d has no colours", th.name, s)
			}
			if got := contrast(l.fg, l.bg); got < want {
				t.Errorf("%s: style %d, %06X on %06X, has a contrast of %.2f, want %.1f", th.name, s, l.fg, l.bg, got, want)
			}
		}
		if got := contrast(th.cursor().fg, th.cursor().bg); got < 4.5 {
			t.Errorf("%s: the cursor's character has a contrast of %.2f", th.name, got)
		}
		// Who has no colours sees the bars, code, keys and what is selected by their grounds, or by their words.
		for _, s := range []Style{barText, selected} {
			if th.looks[s].bg == th.ground {
				t.Errorf("%s: style %d has no ground of its own", th.name, s)
			}
		}
	}
}
