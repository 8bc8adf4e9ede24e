package knowledge

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"golang.org/x/text/unicode/norm"
)

// What of a text is searched for. Words are what Unicode calls letters, marks and digits in a row, in
// lower case and at their stem, without the accents of Latin, Greek and Cyrillic letters. Scripts without
// spaces between words give each character, and each pair of neighbours. Whatever has signs, digits or capitals
// inside ("XC23", "e-mail", "fooBar", "192.168.1.1") is a term as a whole, and so is each of its parts.

// A term is what the index has.
type term struct {
	text  string
	whole bool // of something that has parts, which are terms as well
	part  bool // of something
	at    int  // where it begins in the text
	end   int
}

const maxTerm = 64 // bytes; longer ones are cut

// An analyzer takes texts of a language apart. It remembers words, and is not for two at a time.
type analyzer struct {
	lang  language
	stems map[string]string
	buf   []byte
}

func letter(r rune) bool {
	if r < utf8.RuneSelf {
		return r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return unicode.IsLetter(r) || unicode.Is(unicode.M, r)
}

func digit(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '0' && r <= '9'
	}
	return unicode.IsDigit(r)
}

// dense tells whether a character is of a script that puts no spaces between words (or, as Korean, between
// a word and what is said of it).
func dense(r rune) bool {
	if r < 0x0E00 {
		return false
	}
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0xAC00 && r <= 0xD7A3 || r >= 0x3040 && r <= 0x30FF || r >= 0x0E00 && r <= 0x0EFF ||
		r >= 0x1000 && r <= 0x109F || r >= 0x1780 && r <= 0x17FF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x3FFFF || r == 0x3005
}

func connects(r rune) bool {
	switch r {
	case '-', '_', '.', '/', ':', '@', '\'', '’', ',', '&', '+', '#', '‐', '‑':
		return true
	}
	return false
}

// terms calls f with the terms of a text in order.
func (a *analyzer) terms(text string, f func(term)) {
	for i := 0; i < len(text); {
		r, n := decodeRune(text[i:])
		switch {
		case dense(r) && (letter(r) || digit(r)):
			i = a.pairs(text, i, f)
		case letter(r) || digit(r):
			i = a.word(text, i, f)
		default:
			i += n
		}
	}
}

func decodeRune(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}

func (a *analyzer) pairs(text string, i int, f func(term)) int {
	last := -1
	for i < len(text) {
		r, n := decodeRune(text[i:])
		if !dense(r) || !letter(r) && !digit(r) {
			break
		}
		if last >= 0 {
			f(term{text: text[last : i+n], at: last, end: i + n, whole: true})
		}
		f(term{text: text[i : i+n], at: i, end: i + n, part: last >= 0 || denseAt(text[i+n:])})
		last = i
		i += n
	}
	return i
}

func denseAt(s string) bool {
	if s == "" {
		return false
	}
	r, _ := decodeRune(s)
	return dense(r) && letter(r)
}

// word takes what begins at i up to a space, or a sign that stands for one.
func (a *analyzer) word(text string, i int, f func(term)) int {
	from := i
	plain := true // letters only, or digits only, in a row
	first, _ := decodeRune(text[i:])
	numeric := digit(first)
	lower := false
	for i < len(text) {
		r, n := decodeRune(text[i:])
		if dense(r) && letter(r) {
			break
		}
		if connects(r) {
			if i+n >= len(text) {
				break
			}
			next, _ := decodeRune(text[i+n:])
			if !letter(next) && !digit(next) || dense(next) {
				break
			}
			if r == ',' && !(digit(next) && i > from && digit(rune(text[i-1]))) {
				break
			}
			plain = false
		} else if digit(r) {
			plain = plain && numeric
		} else if letter(r) {
			if numeric || lower && unicode.IsUpper(r) {
				plain = false
			}
			lower = unicode.IsLower(r)
		} else {
			break
		}
		i += n
	}
	word := text[from:i]
	if plain {
		// C++ and C# are names.
		if rest := text[i:]; len(word) <= 2 && !numeric && (strings.HasPrefix(rest, "++") || strings.HasPrefix(rest, "#")) {
			n := 1
			if rest[0] == '+' {
				n = 2
			}
			f(term{text: strings.ToLower(word) + rest[:n], at: from, end: i + n, whole: true})
			f(term{text: strings.ToLower(word), at: from, end: i, part: true})
			return i + n
		}
		f(term{text: a.stem(word), at: from, end: i})
		return i
	}
	a.compound(text, from, i, f)
	return i
}

// compound takes apart what has signs, digits or capitals inside.
func (a *analyzer) compound(text string, from, to int, f func(term)) {
	word := text[from:to]
	// What is owned, and what is shortened before a vowel, is the word: "AlphaOS's", "l'eau".
	if i := strings.IndexAny(word, "'’"); i >= 0 && strings.Count(word, "'")+strings.Count(word, "’") == 1 {
		_, n := decodeRune(word[i:])
		head, tail := word[:i], word[i+n:]
		switch {
		case strings.EqualFold(tail, "s") || strings.EqualFold(tail, "t") || strings.EqualFold(tail, "re") || strings.EqualFold(tail, "ll") || strings.EqualFold(tail, "ve"):
			a.word(text[:from+i], from, f)
			return
		case utf8.RuneCountInString(head) <= 2 || strings.EqualFold(head, "qu"):
			a.word(text, from+i+n, f)
			return
		}
	}
	parts, signs, digits, hyphens := 0, 0, 0, 0
	for _, r := range word {
		switch {
		case digit(r):
			digits++
		case r == '-' || r == '‐' || r == '‑':
			hyphens++
			signs++
		case connects(r):
			signs++
		}
	}
	if len(word) <= maxTerm {
		whole := a.lower(word)
		if digits > 0 && digits+signs == utf8.RuneCountInString(word) && hyphens == 0 && signs == 1 { // a number: 3.5, 1,000
			f(term{text: strings.ReplaceAll(whole, ",", ""), at: from, end: to})
			if strings.Contains(whole, ",") { // as written where a comma is the point
				f(term{text: whole, at: from, end: to, whole: true})
			}
			return
		}
		if signs != hyphens || digits > 0 || hyphens == 0 {
			f(term{text: whole, at: from, end: to, whole: true})
		}
		if signs > 0 && signs == hyphens+strings.Count(word, "_") { // XC-23 is XC23, e-mail is email
			joined := strings.Map(func(r rune) rune {
				if connects(r) {
					return -1
				}
				return r
			}, whole)
			if digits == 0 {
				joined = a.stem(joined)
			}
			f(term{text: joined, at: from, end: to, whole: true})
		}
	}
	// The parts: between signs, letters and digits, and before capitals.
	start, kind, lower := from, 0, false
	cut := func(at int) {
		if start < at && parts < 64 {
			parts++
			f(term{text: a.stem(text[start:at]), at: start, end: at, part: true})
		}
	}
	for i := from; i < to; {
		r, n := decodeRune(text[i:])
		k := 1
		switch {
		case digit(r):
			k = 2
		case !letter(r):
			k = 0
		}
		if k != kind || k == 1 && lower && unicode.IsUpper(r) {
			if kind != 0 {
				cut(i)
			}
			start = i
		}
		kind, lower = k, k == 1 && unicode.IsLower(r)
		i += n
	}
	if kind != 0 {
		cut(to)
	}
}

// lower returns a word in lower case, without accents, in one of the ways in which it can be written.
func (a *analyzer) lower(word string) string {
	ascii, changed := true, false
	for i := 0; i < len(word); i++ {
		ascii = ascii && word[i] < utf8.RuneSelf
		changed = changed || word[i] >= 'A' && word[i] <= 'Z'
	}
	if ascii {
		if changed {
			return strings.ToLower(word)
		}
		return word
	}
	return fold(strings.ToLower(norm.NFKC.String(word)))
}

// fold takes off what the letters of Latin, Greek and Cyrillic have above and below.
func fold(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range norm.NFD.String(s) {
		switch {
		case r >= 0x300 && r <= 0x36F:
		case r == 'ß':
			out = append(out, "ss"...)
		case r == 'ø':
			out = append(out, 'o')
		case r == 'ł':
			out = append(out, 'l')
		case r == 'æ':
			out = append(out, "ae"...)
		case r == 'œ':
			out = append(out, "oe"...)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return norm.NFC.String(string(out))
}

const maxStems = 1 << 15

// stem returns the stem of a word.
func (a *analyzer) stem(word string) string {
	if s, ok := a.stems[word]; ok {
		return s
	}
	s := word
	if len(s) > maxTerm {
		s = strings.ToValidUTF8(s[:maxTerm], "")
	}
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	s = strings.ToLower(s)
	if !ascii {
		s = norm.NFKC.String(s)
	}
	if stem := languages[a.lang].stem; stem != nil && len(s) > 2 && !digit(rune(s[0])) {
		env := snowballstem.NewEnv(s)
		stem(env)
		s = env.Current()
	}
	if !ascii {
		s = fold(s)
	}
	if len(a.stems) >= maxStems || a.stems == nil {
		a.stems = map[string]string{}
	}
	s = strings.Clone(s)
	a.stems[strings.Clone(word)] = s
	return s
}

// stop tells whether the word at a term says nothing in a language.
func stop(l language, word string) bool { return stopWords[l][strings.ToLower(word)] }
