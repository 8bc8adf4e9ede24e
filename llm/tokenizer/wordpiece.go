package tokenizer

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// WordPiece, BERT's method, knows words without capitals and accents. Text is
// cut at white space and around punctuation and Chinese characters, and each
// word becomes the longest token that begins it, then the longest that goes on
// from there. A word for which this fails, at whatever place, is one unknown
// token.
//
// The file spells the beginning of a word as U+2581, which is a space in the
// tokens' pieces, as in SentencePiece. Every place in a word is looked up once
// for each length of token at most, so that time is linear in the text.

// words appends the ids of text.
func (e *encoder) words(text string) {
	word := append(e.word0[:0], ' ')
	end := func() {
		if len(word) > 1 {
			e.wordPieces(word)
			word = word[:1]
		}
	}
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
			r = base(r)
		}
		i += size
		switch {
		case unicode.IsSpace(r):
			end()
		case r == 0 || r == utf8.RuneError || unicode.Is(unicode.C, r):
		case isWordOfItsOwn(r):
			end()
			word = utf8.AppendRune(word, unicode.ToLower(r))
			end()
		case 'A' <= r && r <= 'Z':
			word = append(word, byte(r)|0x20)
		case r < utf8.RuneSelf:
			word = append(word, byte(r))
		case r == '\u2581':
			word = append(word, ' ')
		default:
			word = utf8.AppendRune(word, unicode.ToLower(r))
		}
	}
	end()
	e.word0 = word
}

// wordPieces appends the ids of a word, which begins with a space.
func (e *encoder) wordPieces(word []byte) {
	t, before := e.t, len(e.ids)
	for i := 0; i < len(word); {
		n := min(t.longest, len(word)-i)
		id := int32(-1)
		for ; n > 0; n-- {
			if i+n < len(word) && !utf8.RuneStart(word[i+n]) {
				continue
			}
			if id = t.index.find(string(word[i : i+n])); id >= 0 {
				break
			}
		}
		if id < 0 {
			e.ids = e.ids[:before]
			if t.unk >= 0 {
				e.ids = append(e.ids, t.unk)
			}
			return
		}
		e.ids = append(e.ids, id)
		i += n
	}
}

// base is the character without accents: the first of its canonical
// decomposition.
func base(r rune) rune {
	if 0xac00 <= r && r <= 0xd7a3 { // Hangul: the first consonant
		return 0x1100 + (r-0xac00)/588
	}
	var b [utf8.UTFMax]byte
	d := norm.NFD.Properties(b[:utf8.EncodeRune(b[:], r)]).Decomposition()
	if d == nil {
		return r
	}
	first, _ := utf8.DecodeRune(d)
	return first
}

// isWordOfItsOwn reports whether r is punctuation or a Chinese character.
func isWordOfItsOwn(r rune) bool {
	if r < utf8.RuneSelf {
		return ascii[r]&(punct|sym) != 0
	}
	return unicode.IsPunct(r) ||
		0x4e00 <= r && r <= 0x9fff || 0x3400 <= r && r <= 0x4dbf || 0x20000 <= r && r <= 0x2a6df ||
		0x2a700 <= r && r <= 0x2b73f || 0x2b740 <= r && r <= 0x2b81f ||
		0x2b920 <= r && r <= 0x2ceaf || // 0x2b820 is meant, but this is what models were trained with
		0xf900 <= r && r <= 0xfaff || 0x2f800 <= r && r <= 0x2fa1f
}
