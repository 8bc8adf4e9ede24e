package jinja

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Letters change their case as in Python, which follows Unicode's full mappings:
// one letter may become several, and a sigma looks different at a word's end.

// Letters that become several, each with what it becomes (SpecialCasing.txt).
const (
	upperSpecial = "\u00dfSS \u0149\u02bcN \u01f0J\u030c \u0390\u0399\u0308\u0301 \u03b0\u03a5\u0308\u0301 \u0587\u0535\u0552 \u1e96H\u0331 \u1e97T\u0308 \u1e98W\u030a " +
		"\u1e99Y\u030a \u1e9aA\u02be \u1f50\u03a5\u0313 \u1f52\u03a5\u0313\u0300 \u1f54\u03a5\u0313\u0301 \u1f56\u03a5\u0313\u0342 \u1f80\u1f08\u0399 " +
		"\u1f81\u1f09\u0399 \u1f82\u1f0a\u0399 \u1f83\u1f0b\u0399 \u1f84\u1f0c\u0399 \u1f85\u1f0d\u0399 \u1f86\u1f0e\u0399 \u1f87\u1f0f\u0399 \u1f88\u1f08\u0399 " +
		"\u1f89\u1f09\u0399 \u1f8a\u1f0a\u0399 \u1f8b\u1f0b\u0399 \u1f8c\u1f0c\u0399 \u1f8d\u1f0d\u0399 \u1f8e\u1f0e\u0399 \u1f8f\u1f0f\u0399 \u1f90\u1f28\u0399 " +
		"\u1f91\u1f29\u0399 \u1f92\u1f2a\u0399 \u1f93\u1f2b\u0399 \u1f94\u1f2c\u0399 \u1f95\u1f2d\u0399 \u1f96\u1f2e\u0399 \u1f97\u1f2f\u0399 \u1f98\u1f28\u0399 " +
		"\u1f99\u1f29\u0399 \u1f9a\u1f2a\u0399 \u1f9b\u1f2b\u0399 \u1f9c\u1f2c\u0399 \u1f9d\u1f2d\u0399 \u1f9e\u1f2e\u0399 \u1f9f\u1f2f\u0399 \u1fa0\u1f68\u0399 " +
		"\u1fa1\u1f69\u0399 \u1fa2\u1f6a\u0399 \u1fa3\u1f6b\u0399 \u1fa4\u1f6c\u0399 \u1fa5\u1f6d\u0399 \u1fa6\u1f6e\u0399 \u1fa7\u1f6f\u0399 \u1fa8\u1f68\u0399 " +
		"\u1fa9\u1f69\u0399 \u1faa\u1f6a\u0399 \u1fab\u1f6b\u0399 \u1fac\u1f6c\u0399 \u1fad\u1f6d\u0399 \u1fae\u1f6e\u0399 \u1faf\u1f6f\u0399 \u1fb2\u1fba\u0399 " +
		"\u1fb3\u0391\u0399 \u1fb4\u0386\u0399 \u1fb6\u0391\u0342 \u1fb7\u0391\u0342\u0399 \u1fbc\u0391\u0399 \u1fc2\u1fca\u0399 \u1fc3\u0397\u0399 " +
		"\u1fc4\u0389\u0399 \u1fc6\u0397\u0342 \u1fc7\u0397\u0342\u0399 \u1fcc\u0397\u0399 \u1fd2\u0399\u0308\u0300 \u1fd3\u0399\u0308\u0301 \u1fd6\u0399\u0342 " +
		"\u1fd7\u0399\u0308\u0342 \u1fe2\u03a5\u0308\u0300 \u1fe3\u03a5\u0308\u0301 \u1fe4\u03a1\u0313 \u1fe6\u03a5\u0342 \u1fe7\u03a5\u0308\u0342 " +
		"\u1ff2\u1ffa\u0399 \u1ff3\u03a9\u0399 \u1ff4\u038f\u0399 \u1ff6\u03a9\u0342 \u1ff7\u03a9\u0342\u0399 \u1ffc\u03a9\u0399 \ufb00FF \ufb01FI \ufb02FL " +
		"\ufb03FFI \ufb04FFL \ufb05ST \ufb06ST \ufb13\u0544\u0546 \ufb14\u0544\u0535 \ufb15\u0544\u053b \ufb16\u054e\u0546 \ufb17\u0544\u053d"
	titleSpecial = "\u00dfSs \u0149\u02bcN \u01f0J\u030c \u0390\u0399\u0308\u0301 \u03b0\u03a5\u0308\u0301 \u0587\u0535\u0582 \u1e96H\u0331 \u1e97T\u0308 \u1e98W\u030a " +
		"\u1e99Y\u030a \u1e9aA\u02be \u1f50\u03a5\u0313 \u1f52\u03a5\u0313\u0300 \u1f54\u03a5\u0313\u0301 \u1f56\u03a5\u0313\u0342 \u1fb2\u1fba\u0345 " +
		"\u1fb4\u0386\u0345 \u1fb6\u0391\u0342 \u1fb7\u0391\u0342\u0345 \u1fc2\u1fca\u0345 \u1fc4\u0389\u0345 \u1fc6\u0397\u0342 \u1fc7\u0397\u0342\u0345 " +
		"\u1fd2\u0399\u0308\u0300 \u1fd3\u0399\u0308\u0301 \u1fd6\u0399\u0342 \u1fd7\u0399\u0308\u0342 \u1fe2\u03a5\u0308\u0300 \u1fe3\u03a5\u0308\u0301 " +
		"\u1fe4\u03a1\u0313 \u1fe6\u03a5\u0342 \u1fe7\u03a5\u0308\u0342 \u1ff2\u1ffa\u0345 \u1ff4\u038f\u0345 \u1ff6\u03a9\u0342 \u1ff7\u03a9\u0342\u0345 " +
		"\ufb00Ff \ufb01Fi \ufb02Fl \ufb03Ffi \ufb04Ffl \ufb05St \ufb06St \ufb13\u0544\u0576 \ufb14\u0544\u0565 \ufb15\u0544\u056b \ufb16\u054e\u0576 " +
		"\ufb17\u0544\u056d"
)

var upperTable, titleTable = sync.OnceValue(func() map[rune]string { return special(upperSpecial) }),
	sync.OnceValue(func() map[rune]string { return special(titleSpecial) })

func special(words string) map[rune]string {
	m := map[rune]string{}
	for word := range strings.FieldsSeq(words) {
		r, size := utf8.DecodeRuneInString(word)
		m[r] = word[size:]
	}
	return m
}

func appendUpper(to []byte, r rune) []byte {
	if r >= 0x80 {
		if s, ok := upperTable()[r]; ok {
			return append(to, s...)
		}
	}
	return utf8.AppendRune(to, unicode.ToUpper(r))
}

func appendTitle(to []byte, r rune) []byte {
	if r >= 0x80 {
		if s, ok := titleTable()[r]; ok {
			return append(to, s...)
		}
	}
	return utf8.AppendRune(to, unicode.ToTitle(r))
}

// appendLower appends the small letter of r, which is at byte i of s.
func appendLower(to []byte, s string, i int, r rune) []byte {
	switch {
	case r == 'İ':
		return append(to, "i̇"...)
	case r == 'Σ' && finalSigma(s, i):
		return utf8.AppendRune(to, 'ς')
	}
	return utf8.AppendRune(to, unicode.ToLower(r))
}

// finalSigma tells whether the sigma at byte i ends a word: a letter with case
// comes before it and none after it, whatever marks stand between.
func finalSigma(s string, i int) bool {
	before := strings.LastIndexFunc(s[:i], func(r rune) bool { return !caseIgnorable(r) })
	if r, _ := utf8.DecodeRuneInString(s[max(before, 0):]); before < 0 || !cased(r) {
		return false
	}
	rest := strings.TrimLeftFunc(s[i+len("Σ"):], caseIgnorable)
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !cased(r)
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(r rune) bool {
	return strings.ContainsRune("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

func upper(t Text) Text {
	return t.mapRunes(func(to []byte, _ int, r rune) []byte { return appendUpper(to, r) })
}

func lower(t Text) Text {
	return t.mapRunes(func(to []byte, i int, r rune) []byte { return appendLower(to, t.s, i, r) })
}

// folded is t as sorting and comparing without regard to case see it.
func folded(v value) value {
	if t, ok := v.(Text); ok {
		return lower(t)
	}
	return v
}

func capitalize(t Text) Text {
	return t.mapRunes(func(to []byte, i int, r rune) []byte {
		if i == 0 {
			return appendTitle(to, r)
		}
		return appendLower(to, t.s, i, r)
	})
}

func swapCase(t Text) Text {
	return t.mapRunes(func(to []byte, i int, r rune) []byte {
		switch {
		case isUpper(r):
			return appendLower(to, t.s, i, r)
		case isLower(r):
			return appendUpper(to, r)
		}
		return utf8.AppendRune(to, r)
	})
}

// pythonTitle is str.title, which takes "they're" for two words.
func pythonTitle(t Text) Text {
	within := false
	return t.mapRunes(func(to []byte, i int, r rune) []byte {
		was := within
		if within = cased(r); was {
			return appendLower(to, t.s, i, r)
		}
		return appendTitle(to, r)
	})
}

// jinjaTitle is the filter title: words begin after white space, hyphens and
// opening brackets.
func jinjaTitle(t Text) Text {
	start, end := 0, 0 // of the piece that i is in: a word, or what stands between words
	var between, begun bool
	out := t.mapRunes(func(to []byte, i int, r rune) []byte {
		if b := wordBreak(r); !begun || b != between {
			begun, between, start = true, b, i
			if end = len(t.s); !b {
				if n := strings.IndexFunc(t.s[i:], wordBreak); n >= 0 {
					end = i + n
				}
			}
			return appendUpper(to, r)
		}
		if r != 'Σ' {
			return appendLower(to, t.s, i, r)
		}
		_, size := utf8.DecodeRuneInString(t.s[start:]) // the word's rest is made small by itself
		return appendLower(to, t.s[start+size:end], i-start-size, r)
	})
	out.html = false
	return out
}

func wordBreak(r rune) bool { return isSpace(r) || strings.ContainsRune("-({[<", r) }

func isUpper(r rune) bool { return unicode.In(r, unicode.Lu, unicode.Other_Uppercase) }
func isLower(r rune) bool { return unicode.In(r, unicode.Ll, unicode.Other_Lowercase) }

// foldCase is str.casefold.
func foldCase(t Text) Text {
	return t.mapRunes(func(to []byte, i int, r rune) []byte {
		if s, ok := upperTable()[r]; ok { // folds as its capitals do
			for _, u := range s {
				to = utf8.AppendRune(to, simpleFold(u))
			}
			return to
		}
		switch r {
		case 'İ':
			return append(to, "i̇"...)
		case 'ẞ':
			return append(to, "ss"...)
		}
		return utf8.AppendRune(to, simpleFold(r))
	})
}

func simpleFold(r rune) rune {
	if r == 'ı' {
		return r
	}
	if r = unicode.ToUpper(r); 0x13a0 <= r && r <= 0x13f5 { // Cherokee folds to capitals
		return r
	}
	return unicode.ToLower(r)
}
