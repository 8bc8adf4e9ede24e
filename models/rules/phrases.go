package rules

// Phrases are written in the language files as people write them, one a line:
//
//	i want to (die|be dead)    one of these
//	i can not go on living?    a word or (…) that may be missing
//	he .. hits me              up to three words between
//	suicid*                    any ending
//	took # pills               a number
//	< suicide >                at the beginning, at the end of the message
//	my $relative               one of the set of that name
//	swallowed & (pills|bleach) both, in any order, up to ten words apart; the rarer goes first
//
// Before a phrase is looked for, a message is made plain: small letters without
// accents, no punctuation, shortened and misspelled words written out, words that
// only emphasise left out (see [spelling] in the files). The same is done to the
// phrases, so that they can be written naturally.

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// plain is a text as words in small letters without accents. An apostrophe
// stays where it is within a word.
func plain(text string) []string {
	var b strings.Builder
	run, last := 0, rune(0)
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case strings.ContainsRune("'’‘`´ʼ′", r):
			r = '\''
		case r == 'ß':
			b.WriteByte('s')
			r = 's'
		case r == 'œ':
			b.WriteByte('o')
			r = 'e'
		case r == 'ı':
			r = 'i'
		case r == 'ł':
			r = 'l'
		case r == 'ø':
			r = 'o'
		case r == '\u00ad' || r == '\u200b': // soft hyphen, space of no width
			continue
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		}
		// pleeeease
		if run++; r != last || unicode.IsDigit(r) {
			run = 1
		}
		if last = r; run == 3 && r != ' ' {
			s := b.String()
			b.Reset()
			b.WriteString(s[:len(s)-len(string(r))])
		}
		if run < 3 {
			b.WriteRune(r)
		}
	}
	words := strings.Fields(b.String())
	kept := words[:0]
	for _, w := range words {
		if w = strings.Trim(w, "'"); w != "" {
			kept = append(kept, unmask(w))
		}
	}
	return unspaced(kept)
}

// masks are the digits that are written for letters.
var masks = map[byte]byte{'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't'}

// unmask puts letters for the single digits within a word: k1ll, d1e.
func unmask(w string) string {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' }
	b := []byte(w)
	for i := 1; i+1 < len(b); i++ {
		if m := masks[w[i]]; m != 0 && letter(w[i-1]) && letter(w[i+1]) {
			b[i] = m
		}
	}
	return string(b)
}

// unspaced puts four or more single letters in a row together: d i e n o w.
func unspaced(words []string) []string {
	out := words[:0]
	for i := 0; i < len(words); {
		end := i
		for end < len(words) && utf8.RuneCountInString(words[end]) == 1 && !unicode.IsDigit(rune(words[end][0])) {
			end++
		}
		if end < i+4 {
			end = i + 1
		}
		out = append(out, strings.Join(words[i:end], ""))
		i = end
	}
	return out
}

// normal is a text as the words in which phrases are looked for. What is harmless
// is replaced by a dash.
func (l *language) normal(text string) []string {
	words := l.write(plain(text), true)
	for from := 0; ; {
		i, end := l.harmless.find(words, from)
		if end <= i {
			return words
		}
		words = append(append(words[:i:i], "-"), words[end:]...)
		from = i + 1
	}
}

// elided is what French writes before an apostrophe.
var elided = regexp.MustCompile(`^(?:[cdjlmnst]|qu)'`)

// write writes words as phrases have them. Words that are nearly a key become
// that one if guess is set.
func (l *language) write(words []string, guess bool) (out []string) {
	var list []string
	for _, w := range words {
		for m := elided.FindString(w); m != ""; m = elided.FindString(w) {
			list = append(list, m[:len(m)-1])
			w = w[len(m):]
		}
		if w != "" {
			list = append(list, w)
		}
	}
	put := func(w string) { out = append(out, strings.ReplaceAll(w, "'", "")) }
next:
	for i := 0; i < len(list); {
		for n := min(5, len(list)-i); n > 0; n-- {
			key := strings.Join(list[i:i+n], " ")
			written, ok := l.spelling[l.fold(key)]
			if !ok {
				written, ok = l.spelling[l.fold(strings.ReplaceAll(key, "'", ""))]
			}
			if ok {
				for _, w := range written {
					put(w)
				}
				i += n
				continue next
			}
		}
		w := l.fold(list[i])
		if guess {
			w = l.guess(w)
		}
		put(w)
		i++
	}
	return out
}

// guess returns the key that a word differs from by one letter that is wrong, missing, too
// much or exchanged with the next, or else the word.
func (l *language) guess(w string) string {
	if len(w) < 5 || l.own[w] || slices.Contains(l.keys, w) {
		return w
	}
	for _, k := range l.keys {
		if near(w, k) {
			return k
		}
	}
	return w
}

func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) || a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// A pattern is a piece of a phrase. match tells whether words[i:] begin with it in such a
// way that then holds for what follows.
type pattern interface {
	match(words []string, i int, then func(int) bool) bool
	// first adds the words that the pattern may begin with. any tells that
	// it may begin with any, empty that it may be of no words.
	first(set map[string]bool) (any, empty bool)
}

type (
	word     string    // this one
	prefix   string    // one that begins so
	number   struct{}  // digits
	gap      struct{}  // up to three words
	edge     bool      // the beginning of the message, or (true) its end
	sequence []pattern // one after the other
	optional struct{ pattern }
	together []pattern // the first one, and the others near it, before or after
	choice   struct {  // one of these
		words map[string]bool
		other []pattern
	}
)

const (
	gapWords  = 3
	nearWords = 10
)

func (p word) match(words []string, i int, then func(int) bool) bool {
	return i < len(words) && words[i] == string(p) && then(i+1)
}

func (p prefix) match(words []string, i int, then func(int) bool) bool {
	return i < len(words) && strings.HasPrefix(words[i], string(p)) && then(i+1)
}

func (number) match(words []string, i int, then func(int) bool) bool {
	return i < len(words) && strings.Trim(words[i], "0123456789") == "" && then(i+1)
}

func (gap) match(words []string, i int, then func(int) bool) bool {
	for n := 0; n <= gapWords && i+n <= len(words); n++ {
		if then(i + n) {
			return true
		}
	}
	return false
}

func (p edge) match(words []string, i int, then func(int) bool) bool {
	return (i == 0 && !bool(p) || i == len(words) && bool(p)) && then(i)
}

func (p sequence) match(words []string, i int, then func(int) bool) bool {
	if len(p) == 0 {
		return then(i)
	}
	return p[0].match(words, i, func(i int) bool { return p[1:].match(words, i, then) })
}

func (p optional) match(words []string, i int, then func(int) bool) bool {
	return p.pattern.match(words, i, then) || then(i)
}

func (p together) match(words []string, i int, then func(int) bool) bool {
	return p[0].match(words, i, func(end int) bool {
		for _, q := range p[1:] {
			found := false
			for at := max(0, i-nearWords); at <= min(end+nearWords, len(words)) && !found; at++ {
				found = q.match(words, at, func(int) bool { return true })
			}
			if !found {
				return false
			}
		}
		return then(end)
	})
}

func (p *choice) match(words []string, i int, then func(int) bool) bool {
	if i < len(words) && p.words[words[i]] && then(i+1) {
		return true
	}
	for _, o := range p.other {
		if o.match(words, i, then) {
			return true
		}
	}
	return false
}

func (p word) first(set map[string]bool) (bool, bool) { set[string(p)] = true; return false, false }
func (p prefix) first(set map[string]bool) (bool, bool) {
	if len(p) < beginning {
		return true, false
	}
	set[string(p[:beginning])+"*"] = true
	return false, false
}
func (number) first(map[string]bool) (bool, bool) { return true, false }
func (gap) first(map[string]bool) (bool, bool)    { return true, true }
func (edge) first(map[string]bool) (bool, bool)   { return false, true }

func (p sequence) first(set map[string]bool) (any, empty bool) {
	for _, q := range p {
		a, e := q.first(set)
		if any = any || a; !e {
			return any, false
		}
	}
	return any, true
}

func (p optional) first(set map[string]bool) (any, empty bool) {
	any, _ = p.pattern.first(set)
	return any, true
}

func (p together) first(set map[string]bool) (any, empty bool) { return p[0].first(set) }

func (p *choice) first(set map[string]bool) (any, empty bool) {
	for w := range p.words {
		set[w] = true
	}
	for _, o := range p.other {
		a, e := o.first(set)
		any, empty = any || a, empty || e
	}
	return any, empty
}

// beginning is how many bytes of a prefix phrases are sorted by.
const beginning = 3

// phrases are many patterns, by the words that they may begin with, or by the
// beginnings of those words and a star.
type phrases struct {
	begin map[string][]pattern
	any   []pattern // begin with any word
}

// find returns where in words[from:] one of the phrases is, as words[i:end]; -1, -1 if
// there is none.
func (p phrases) find(words []string, from int) (i, end int) {
	for i := from; i < len(words); i++ {
		w := words[i]
		for _, list := range [][]pattern{p.begin[w], p.begin[w[:min(beginning, len(w))]+"*"], p.any} {
			for _, q := range list {
				if q.match(words, i, func(at int) bool { end = at; return true }) {
					return i, end
				}
			}
		}
	}
	return -1, -1
}

// compiler reads phrases.
type compiler struct {
	*language
	sets map[string]string  // as they are written
	made map[string]pattern // those that were used
	rest string             // of the phrase
}

func (c *compiler) phrases(lines []string) (phrases, error) {
	p := phrases{begin: map[string][]pattern{}}
	for _, line := range lines {
		var q together
		var err error
		for part := range strings.SplitSeq(line, "&") {
			c.rest = part
			p, e := c.alternatives(0)
			if e == nil && c.rest != "" {
				e = fmt.Errorf("%q is left over", c.rest)
			}
			q, err = append(q, p), errors.Join(err, e)
		}
		set := map[string]bool{}
		var any, empty bool
		if err == nil {
			if any, empty = q.first(set); empty {
				err = fmt.Errorf("this would be found in any text")
			}
		}
		if err != nil {
			return p, fmt.Errorf("phrase %q: %w", line, err)
		}
		if any {
			p.any = append(p.any, q)
			continue
		}
		for w := range set {
			p.begin[w] = append(p.begin[w], q)
		}
	}
	return p, nil
}

// alternatives reads what stands between bars, up to a closing bracket.
func (c *compiler) alternatives(depth int) (pattern, error) {
	if depth > 8 {
		return nil, fmt.Errorf("brackets or sets are nested too deep")
	}
	all := &choice{words: map[string]bool{}}
	var list sequence
	end := func() {
		switch len(list) {
		case 0: // all of it is left out
			return
		case 1:
			if w, ok := list[0].(word); ok {
				all.words[string(w)] = true
				list = nil
				return
			}
		}
		all.other = append(all.other, list)
		list = nil
	}
	for {
		c.rest = strings.TrimLeft(c.rest, " ")
		var p pattern
		switch {
		case c.rest == "" || c.rest[0] == ')':
			end()
			if len(all.words)+len(all.other) == 0 {
				return sequence{}, nil
			}
			return all, nil
		case c.rest[0] == '|':
			c.rest = c.rest[1:]
			end()
			continue
		case c.rest[0] == '(':
			c.rest = c.rest[1:]
			var err error
			if p, err = c.alternatives(depth + 1); err != nil {
				return nil, err
			}
			if c.rest == "" {
				return nil, fmt.Errorf("a bracket is not closed")
			}
			c.rest = c.rest[1:]
		default:
			var err error
			if p, err = c.words(depth); err != nil {
				return nil, err
			}
		}
		if strings.HasPrefix(c.rest, "?") {
			c.rest = c.rest[1:]
			p = optional{p}
		}
		if s, ok := p.(sequence); ok {
			list = append(list, s...)
		} else {
			list = append(list, p)
		}
	}
}

// words reads one word of a special form, or as many as may be written in
// another way together.
func (c *compiler) words(depth int) (pattern, error) {
	var run []string
	plainly := func() (pattern, error) {
		var s sequence
		for _, w := range c.write(run, false) {
			s = append(s, word(w))
		}
		return s, nil
	}
	for {
		end := strings.IndexAny(c.rest+" ", " |()?")
		w := c.rest[:end]
		special := w == "" || w == ".." || w == "<" || w == ">" || w == "#" || w[0] == '$' || strings.HasSuffix(w, "*")
		last := strings.HasPrefix(c.rest[end:], "?")
		if run != nil && (special || last) {
			return plainly()
		}
		c.rest = c.rest[end:]
		if special {
			return c.special(w, depth)
		}
		if run = append(run, plain(w)...); last {
			return plainly()
		}
		c.rest = strings.TrimLeft(c.rest, " ")
	}
}

func (c *compiler) special(w string, depth int) (pattern, error) {
	switch {
	case w == "":
		return nil, fmt.Errorf("%q is out of place", c.rest)
	case w == "..":
		return gap{}, nil
	case w == "<", w == ">":
		return edge(w == ">"), nil
	case w == "#":
		return number{}, nil
	case w[0] != '$':
		return prefix(c.fold(strings.Join(plain(w), ""))), nil
	}
	if p := c.made[w]; p != nil {
		return p, nil
	}
	set, ok := c.sets[w[1:]]
	if !ok {
		return nil, fmt.Errorf("there is no set %q", w)
	}
	sub := *c
	sub.rest = set
	p, err := sub.alternatives(depth + 1)
	if err == nil && sub.rest != "" {
		err = fmt.Errorf("%q is left over in set %s", sub.rest, w)
	}
	c.made[w] = p
	return p, err
}
