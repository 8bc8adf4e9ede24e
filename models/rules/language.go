package rules

// The language of a message is told by its script and, where that is Latin, by the
// words that each language has in every other sentence. A message is taken for another
// language only on clear evidence: an English question with a foreign word in it
// stays English.

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	english = "en"
	// unseen is any language that the screen has no letters for.
	unseen = "unseen"
)

// identify returns the language that a message is written in, as its file is
// named, or "" if that is not clear.
func identify(message string) string {
	words := distinct(message)
	if in := byScript(message); in != "" {
		for _, l := range languages() { // Ukrainian without its own letters
			if in == "ru" && l.name == "uk" && slices.ContainsFunc(words, func(w string) bool { return l.words[w] }) {
				return l.name
			}
		}
		return in
	}
	whole := strings.Join(plain(message), " ")
	var en map[string]bool
	for _, l := range languages() {
		if l.whole[whole] {
			return l.name
		}
		if l.name == english {
			en = l.words
		}
	}
	// Words of one language that the other does not have tell for it.
	best, most := "", 0
	for _, l := range languages() {
		if l.name == english {
			continue
		}
		only, not := 0, 0
		for _, w := range words {
			switch {
			case l.words[w] && !en[w]:
				only += 2
			case en[w] && !l.words[w]:
				not += 2
			}
		}
		if only > not && only > 0 {
			only += letters(message, l.name)
		}
		if only-not > most && 3*only >= len(words) && (only > 2 || not == 0 && len(words) > 1 && len(words) < 5) {
			best, most = l.name, only-not
		}
	}
	return best
}

// distinct returns the words of a message, each once.
func distinct(message string) []string {
	var list []string
	seen := map[string]bool{}
	for _, w := range plain(message) {
		for m := elided.FindString(w); m != "" && len(m) < len(w); m = elided.FindString(w) {
			w = w[len(m):]
		}
		if !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	return list
}

// typical are the letters that a language has and most others have not.
var typical = map[string]string{
	"de": "äöüß", "es": "ñ¿¡áíóú", "fr": "çèêàùœîôû", "it": "èìòùà", "pt": "ãõçáêô", "pl": "ąćęłńśźż", "tr": "şğıçö",
	"sv": "åäö", "da": "æøå", "no": "æøå",
}

// letters tells how many of a language's typical letters are in a message, at most 3.
func letters(message, name string) int {
	n := 0
	for _, r := range norm.NFC.String(strings.ToLower(message)) {
		if strings.ContainsRune(typical[name], r) {
			n++
		}
	}
	return min(n, 3)
}

// byScript tells a language by its letters.
func byScript(message string) string {
	var latin, cyrillic, greek, other int
	ukrainian, russian := false, true
	for _, r := range message {
		switch {
		case !unicode.IsLetter(r):
		case unicode.Is(unicode.Latin, r):
			latin++
		case unicode.Is(unicode.Cyrillic, r):
			cyrillic++
			switch unicode.ToLower(r) {
			case 'і', 'ї', 'є', 'ґ':
				ukrainian = true
			case 'ў', 'ј', 'љ', 'њ', 'ђ', 'ћ', 'џ', 'ѓ', 'ќ', 'ѕ', 'ә', 'қ', 'ң', 'ө', 'ү', 'ұ', 'һ':
				russian = false
			}
		case unicode.Is(unicode.Greek, r):
			greek++
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			other += 3 // a character is as much as a syllable or a word
		default:
			other++
		}
	}
	switch most := max(latin, cyrillic, greek, other); {
	case most == 0 || most == latin:
		return ""
	case most == cyrillic && ukrainian && russian:
		return "uk"
	case most == cyrillic && russian:
		return "ru"
	case most == greek && greek > 2: // fewer are symbols
		return "el"
	case most == greek:
		return ""
	}
	return unseen
}

// sentence says in a language that the guide knows only English, in English where the
// screen could not show it.
func sentence(name string) string {
	said := ""
	for _, l := range languages() {
		if l.name == name || l.name == english && said == "" {
			said = l.sentence
		}
	}
	return said
}
