package chat

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"alphaos/llm/tokenizer"
)

// Who may write a marker.
//
// A marker is what a template writes, whatever type the vocabulary gives it and
// whatever it looks like. So a template is tried out (program.go), and the
// tokens in its own text that are no words, white space or punctuation are the
// markers. In that text each is one id. What people say, and documents, never
// becomes one: no tokenizer that knows the markers makes them of such text.
//
// Two kinds differ in what the model says itself. Markers that stand between
// turns are kept from its old answers as well. Those that the template only
// mentions, or writes only where an answer begins, are the model's own words:
// <think>, <tool_call>. They say nothing of whose turn it is, and a model must
// find its thoughts marked off as it did that itself, so they stay what they
// are in an answer, and only there.
//
// A vocabulary may lack a marker, which is then spelled in ordinary tokens (as
// Llama 2's [INST]). The same text from a person is spelled otherwise: character
// by character, so that it reads the same and has other ids.

// marks is what a template writes beside what was said.
type marks struct {
	turns    []string // its own text in a conversation, piece by piece
	opening  []string // its own text right before an answer that is to be made
	mentions []string // whatever else it could write

	mu   sync.Mutex
	last *reading // that was asked for
}

// A reading is a vocabulary with a template's markers.
type reading struct {
	of     *tokenizer.Tokenizer
	tok    *tokenizer.Tokenizer // of, with the markers
	turns  map[int32]bool       // the markers that stand between turns
	stops  map[int32]bool       // those that end an answer
	people []swap               // in what people say
	model  []swap               // in what the model says
}

// A swap is a text that is not encoded as it would be.
type swap struct {
	text string
	part tokenizer.Part
}

// reading returns how tok is read with this template.
func (t Template) reading(tok *tokenizer.Tokenizer) *reading {
	if t.marks == nil {
		return &reading{of: tok, tok: tok}
	}
	t.marks.mu.Lock()
	defer t.marks.mu.Unlock()
	if r := t.marks.last; r != nil && r.of == tok {
		return r
	}
	r := t.marks.read(tok)
	for _, s := range t.Stops() {
		if id, ok := r.tok.Special(s); ok && !t.harmony() { // where they end messages: see Answer
			r.stops[id] = true
		}
	}
	t.marks.last = r
	return r
}

func (m *marks) read(tok *tokenizer.Tokenizer) *reading {
	const apart = "\x00" // no marker reaches over two pieces
	turns := tok.MarkersIn(strings.Join(append([]string{tok.Text(tok.BOS()), tok.Text(tok.EOS())}, m.turns...), apart))
	others := tok.MarkersIn(strings.Join(slices.Concat(m.opening, m.mentions), apart))
	r := &reading{of: tok, tok: tok.WithMarkers(slices.Concat(turns, others)), turns: map[int32]bool{}, stops: map[int32]bool{}}
	for _, id := range turns {
		r.turns[id] = true
	}
	for _, id := range others {
		if text := tok.Decode(id); text != "" && !r.turns[id] && !tok.IsControl(id) {
			r.model = append(r.model, swap{text, tokenizer.Part{IDs: []int32{id}, Special: true}})
		}
	}
	spelled := func(pieces []string) (swaps []swap) {
		for _, text := range markerTexts(pieces) {
			if _, ok := r.tok.Special(text); ok {
				continue
			}
			ids := r.tok.Spell(text)
			if ids == nil { // there is only one way to write it
				_, n := utf8.DecodeRuneInString(text)
				ids = r.tok.EncodeParts(tokenizer.EncodeOptions{}, tokenizer.Part{IDs: []int32{}}, tokenizer.Part{Text: text[:n] + " " + text[n:]})
			}
			swaps = append(swaps, swap{text, tokenizer.Part{IDs: ids}})
		}
		return swaps
	}
	r.model = append(r.model, spelled(m.turns)...)
	r.people = spelled(slices.Concat(m.turns, m.opening))
	return r
}

// Vocabulary returns tok with the template's markers: what a text becomes that
// is to be no part of a template, and what an id is called.
func (t Template) Vocabulary(tok *tokenizer.Tokenizer) *tokenizer.Tokenizer {
	return t.reading(tok).tok
}

// lacking returns the markers that the template writes around turns and that are
// not among tokens.
func (m *marks) lacking(tokens []string) (texts []string) {
	have := map[string]bool{}
	for _, piece := range slices.Concat(m.turns, m.opening) {
		for _, text := range markersIn(piece) {
			have[text] = false
		}
	}
	for _, text := range tokens {
		if len(text) > 2 && (text[0] == '<' || text[0] == '[') {
			if _, ok := have[text]; ok {
				have[text] = true
			}
		}
	}
	for text, ok := range have {
		if !ok {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	return texts
}

// parts makes parts of a text that is not to be trusted.
func parts(text string, swaps []swap) (out []tokenizer.Part) {
	next := make([]int, len(swaps)) // where each is found, len(text) if nowhere
	for i := range next {
		next[i] = -1
	}
	for at := 0; at < len(text); {
		best, found := len(text), -1
		for i, s := range swaps {
			if next[i] < at {
				if next[i] = len(text); s.text != "" {
					if n := strings.Index(text[at:], s.text); n >= 0 {
						next[i] = at + n
					}
				}
			}
			if next[i] < best || next[i] == best && found >= 0 && len(s.text) > len(swaps[found].text) {
				best, found = next[i], i
			}
		}
		if best > at {
			out = append(out, tokenizer.Part{Text: text[at:best]})
		}
		if at = best; found >= 0 {
			out = append(out, swaps[found].part)
			at += len(swaps[found].text)
		}
	}
	return out
}

// markerTexts finds the markers in pieces of a template's own text by what they
// look like. Where a piece has none, its lines stand in for them, as in
// "### Response:".
func markerTexts(pieces []string) (texts []string) {
	for _, piece := range pieces {
		found := markersIn(piece)
		if len(found) == 0 {
			found = lines(piece)
		}
		texts = append(texts, found...)
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// lines are those of a text that say something.
func lines(s string) (lines []string) {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); len(line) > 3 {
			lines = append(lines, line)
		}
	}
	return lines
}

// markersIn finds what looks like a marker: <|user|>, </s>, <<SYS>>, [/INST].
func markersIn(s string) (found []string) {
	const longest = 60 // bytes between the brackets
	for i := 0; i < len(s); i++ {
		var set func(r rune) bool
		var end byte
		switch s[i] {
		case '<':
			end, set = '>', func(r rune) bool { return r != '<' && r != '>' && !unicode.IsSpace(r) }
		case '[':
			end, set = ']', func(r rune) bool { return 'A' <= r && r <= 'Z' || r == '_' || r == '/' }
		default:
			continue
		}
		j := i + 1
		if j < len(s) && s[j] == '<' && s[i] == '<' {
			j++
		}
		first := j
		n := strings.IndexFunc(s[j:min(j+longest+1, len(s))], func(r rune) bool { return !set(r) })
		if n < 1 {
			continue
		}
		for j += n; j < len(s) && s[j] == end && j < first+n+(first-i); j++ {
		}
		if j > first+n {
			found = append(found, s[i:j])
			i = j - 1
		}
	}
	return found
}
