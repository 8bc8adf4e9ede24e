package console

// Text that runs from right to left. A page keeps all text in the order in which it is read, so that wrapping, the
// editor and the serial line need to know nothing of this; the order in which it is seen is made of a row when that is
// shown. This is the algorithm of Unicode TR9 without explicit embeddings, which never come here (printable refuses
// them), and without rule N0: brackets are like other signs. The direction of a paragraph is that of its first
// letter, which each of its cells knows; paragraphs that run to the left stand at the right edge. Arabic letters are
// joined, as far as Unicode has characters for their joined forms.

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

type direction uint8

const (
	undecided direction = iota
	toTheRight
	toTheLeft
)

// directionOf is the direction of a letter; digits and signs have none.
func directionOf(cluster string) direction {
	if c := cluster[0]; c < utf8.RuneSelf {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			return toTheRight
		}
		return undecided
	}
	p, _ := bidi.LookupString(cluster)
	switch p.Class() {
	case bidi.L:
		return toTheRight
	case bidi.R, bidi.AL:
		return toTheLeft
	}
	return undecided
}

// leftward tells whether a cluster is a letter that is written to the left of the one before it.
func leftward(cluster string) bool {
	return cluster[0] >= 0xD6 && directionOf(cluster) == toTheLeft // 0xD6: the first byte of Hebrew in UTF-8
}

// levels are the embedding levels of characters of these classes in a paragraph of the level base, 0 or 1.
func levels(classes []bidi.Class, base uint8) []uint8 {
	c := slices.Clone(classes)
	outside := [2]bidi.Class{bidi.L, bidi.R}[base]
	last := outside
	for i, k := range c { // W1 to W3
		if k == bidi.NSM {
			if k = outside; i > 0 {
				k = c[i-1]
			}
		}
		if k == bidi.L || k == bidi.R || k == bidi.AL {
			last = k
		}
		if k == bidi.EN && last == bidi.AL {
			k = bidi.AN
		}
		c[i] = k
	}
	for i, k := range c {
		if k == bidi.AL {
			c[i] = bidi.R
		}
	}
	for i := 1; i+1 < len(c); i++ { // W4
		if before := c[i-1]; before == c[i+1] && (c[i] == bidi.CS && (before == bidi.EN || before == bidi.AN) || c[i] == bidi.ES && before == bidi.EN) {
			c[i] = before
		}
	}
	for i := 0; i < len(c); i++ { // W5 and W6
		to := i
		for to < len(c) && c[to] == bidi.ET {
			to++
		}
		if to > i && (i > 0 && c[i-1] == bidi.EN || to < len(c) && c[to] == bidi.EN) {
			for ; i < to; i++ {
				c[i] = bidi.EN
			}
		}
		if i < len(c) && (c[i] == bidi.ES || c[i] == bidi.ET || c[i] == bidi.CS) {
			c[i] = bidi.ON
		}
	}
	last = outside
	for i, k := range c { // W7
		switch {
		case k == bidi.L || k == bidi.R:
			last = k
		case k == bidi.EN && last == bidi.L:
			c[i] = bidi.L
		}
	}
	strong := func(k bidi.Class) bool { return k == bidi.L || k == bidi.R || k == bidi.EN || k == bidi.AN }
	side := func(i int) bidi.Class {
		switch {
		case i < 0 || i >= len(c):
			return outside
		case c[i] == bidi.L:
			return bidi.L
		}
		return bidi.R
	}
	for i := 0; i < len(c); i++ { // N1 and N2
		to := i
		for to < len(c) && !strong(c[to]) {
			to++
		}
		between := outside
		if before := side(i - 1); to > i && before == side(to) {
			between = before
		}
		for ; i < to; i++ {
			c[i] = between
		}
	}
	list := make([]uint8, len(c))
	for i, k := range c { // I1 and I2
		switch {
		case k == bidi.R:
			list[i] = 1
		case k == bidi.L:
			list[i] = 2 * base
		default:
			list[i] = 2
		}
	}
	for i := len(c) - 1; i >= 0 && (classes[i] == bidi.WS || classes[i] == bidi.S || classes[i] == bidi.B); i-- { // L1
		list[i] = base
	}
	return list
}

// reorder puts cells into the order in which they are seen: those of a line, or part of one, in a paragraph of the
// level base. It joins Arabic letters and mirrors brackets.
func (t *clusters) reorder(row []cell, base uint8) {
	type unit struct {
		cells []cell
		level uint8
	}
	var units []unit
	var classes []bidi.Class
	cells := slices.Clone(row)
	t.join(cells)
	for i := 0; i < len(cells); {
		n := i + 1
		for n < len(cells) && cells[n].mark&markTrail != 0 {
			n++
		}
		p, _ := bidi.LookupString(t.string(cells[i].id))
		if cells[i].id >= glyphBar {
			p, _ = bidi.LookupRune('-')
		}
		units, classes = append(units, unit{cells: cells[i:n]}), append(classes, p.Class())
		i = n
	}
	highest := uint8(0)
	for i, level := range levels(classes, base) {
		units[i].level = level
		highest = max(highest, level)
		if level%2 == 1 && len(units[i].cells) == 1 {
			if id := units[i].cells[0].id; id < firstCluster {
				r, _ := utf8.DecodeRuneInString(bidi.ReverseString(string(rune(id)))) // L4
				units[i].cells[0].id = glyphID(r)
			}
		}
	}
	for level := highest; level > 0; level-- { // L2
		for i := 0; i < len(units); i++ {
			to := i
			for to < len(units) && units[to].level >= level {
				to++
			}
			slices.Reverse(units[i:to])
			i = max(i, to)
		}
	}
	at := 0
	for _, u := range units {
		at += copy(row[at:], u.cells)
	}
}

// visual puts a row that has text which runs to the left into the order in which it is seen. Names in front of a
// message stay where they are, and each field of a table is by itself. Prose ends at the column limit.
func (t *clusters) visual(row []cell, limit int) {
	start, end := 0, len(row)
	for i, x := range row {
		if x.style == Name || x.style == Prompt {
			start = i + 1
		}
	}
	for end > start && row[end-1].id == ' ' && row[end-1].mark == 0 {
		end--
	}
	whole := true
	for from := start; from < end; {
		for from < end && (row[from].style == rule || row[from].id == ' ' && row[from].mark == 0) {
			whole = whole && row[from].style != rule
			from++
		}
		to := from
		block := from > 0 && row[from-1] == cell{' ', code, 0} // of code, which may have its number behind it
		for to < end && row[to].style != rule && (!block || row[to].style == code) {
			to++
		}
		next := to
		for to > from && row[to-1].id == ' ' && row[to-1].mark == 0 {
			to--
		}
		field := row[from:to]
		base, any := uint8(0), false
		for _, x := range field {
			any = any || x.mark&markLeft != 0
			if x.mark&markParagraph != 0 && !block {
				base = 1
			}
		}
		if any || base == 1 {
			t.reorder(field, base)
		}
		if base == 1 && whole && next >= end && to < limit {
			copy(row[limit-len(field):limit], slices.Clone(field))
			for i := from; i < limit-len(field); i++ {
				row[i] = cell{id: ' '}
			}
		}
		from = next
	}
}

// forms are those that an Arabic letter has by itself, at the end of a word, at its beginning and within it; letters
// that never join the next one have but the first two.
var forms = func() map[rune][]rune {
	m := map[rune][]rune{}
	for _, block := range [][2]rune{{0xFB50, 0xFBB1}, {0xFBD3, 0xFBFF}, {0xFE80, 0xFEF4}} {
		for r := block[0]; r <= block[1]; r++ {
			if letter := []rune(norm.NFKC.String(string(r))); len(letter) == 1 && letter[0] != r {
				m[letter[0]] = append(m[letter[0]], r)
			}
		}
	}
	return m
}()

// join gives Arabic letters, in the order in which they are read, the forms that join them.
func (t *clusters) join(row []cell) {
	letter := func(i int) (text string, list []rune, on bool) {
		if i < 0 || i >= len(row) || row[i].mark&markLeft == 0 {
			return "", nil, false
		}
		text = t.string(row[i].id)
		r, _ := utf8.DecodeRuneInString(text)
		list = forms[r]
		return text, list, len(list) == 4 || r == 'ـ'
	}
	var before bool // the letter before this one joins it
	out := make([]glyphID, len(row))
	for i := range row {
		text, list, on := letter(i)
		next, following, _ := letter(i + 1)
		on = on && (len(following) > 1 || next == "ـ")
		form := 0
		if before && len(list) > 1 {
			form = 1
		}
		if on && len(list) == 4 {
			form += 2
		}
		out[i] = row[i].id
		if len(list) > form {
			_, n := utf8.DecodeRuneInString(text)
			out[i] = t.id(string(list[form]) + text[n:])
		}
		before = on
	}
	for i := range row {
		row[i].id = out[i]
	}
}
