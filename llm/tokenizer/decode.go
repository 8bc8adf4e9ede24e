package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids: their pieces, joined. Control and unknown
// tokens and ids outside the vocabulary are silent. SentencePiece puts a space
// before the first word, and it is kept: the text of a whole encoded prompt
// begins with it. The result is UTF-8 only as far as the model kept to it.
func (t *Tokenizer) Decode(ids ...int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.pieceOf(id))
	}
	return b.String()
}

func (t *Tokenizer) pieceOf(id int32) string {
	if uint64(id) >= uint64(len(t.piece)) || t.attr[id]&(attrControl|attrUnknown|attrUnused) != 0 {
		return ""
	}
	return t.piece[id]
}

// Decoder turns a stream of tokens into a stream of text that is UTF-8 at any
// time: a token may end in the middle of a character, and what is not yet a
// character is held back.
type Decoder struct {
	t    *Tokenizer
	held []byte // an incomplete character, 0 to 3 bytes
}

// NewDecoder returns a Decoder for the tokens of one answer.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Write takes the next token and returns the text that is complete with it,
// often "". Bytes that cannot be UTF-8 become U+FFFD.
func (d *Decoder) Write(id int32) string {
	piece := d.t.pieceOf(id)
	if piece == "" {
		return ""
	}
	if len(d.held) == 0 && utf8.ValidString(piece) {
		return piece
	}
	all := append(d.held, piece...)
	n := complete(all)
	text := strings.ToValidUTF8(string(all[:n]), "\uFFFD")
	d.held = append(d.held[:0], all[n:]...)
	return text
}

// Flush returns what is held back as U+FFFD, at the end of an answer.
func (d *Decoder) Flush() string {
	if len(d.held) == 0 {
		return ""
	}
	d.held = d.held[:0]
	return "\uFFFD"
}

// complete is the length of b without an incomplete character at its end.
func complete(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
