package chat

import (
	"slices"
	"strings"

	"alphaos/llm/tokenizer"
)

// Answer turns the tokens that a model makes into the text that a person reads,
// and tells when the answer is over.
//
// Models of the harmony format (gpt-oss) send an answer in messages of several
// channels:
//
//	<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>
//
// Only what comes over the channel "final" is the answer. Thoughts (analysis)
// are told by Thought, what is meant for tools (commentary) is passed over, and
// their <|end|> ends a message, not the answer.
type Answer struct {
	*reading
	dec *tokenizer.Decoder
	ids []int32 // of the text

	thoughts thoughts

	harmony  bool
	at       part
	analysis bool     // the message is a thought
	begun    bool     // a marker has come
	header   string   // of a message, as far as it has come
	spelled  []string // markers that the vocabulary lacks: they come as text
	held     string   // text that may be the beginning of one
	mixed    bool     // a marker came as text
	over     bool
}

// part is where in an answer of the harmony format one is.
type part int

const (
	inHeader part = iota // before <|message|>
	inAnswer             // in a message that is for the person
	inOther              // in one that is not
)

// Markers of the harmony format.
const (
	harmonyStart     = "<|start|>"
	harmonyChannel   = "<|channel|>"
	harmonyMessage   = "<|message|>"
	harmonyConstrain = "<|constrain|>"
	harmonyEnd       = "<|end|>"
	harmonyReturn    = "<|return|>"
	harmonyCall      = "<|call|>"
)

var harmonyMarkers = []string{harmonyStart, harmonyChannel, harmonyMessage, harmonyConstrain, harmonyEnd, harmonyReturn, harmonyCall}

// longHeader is more bytes than a header has. A model that does not keep to the
// format has none, and what it says must not vanish.
const longHeader = 120

// Answer returns an Answer for the tokens that follow a Prompt.
func (t Template) Answer(tok *tokenizer.Tokenizer) *Answer {
	r := t.reading(tok)
	a := &Answer{reading: r, dec: r.tok.NewDecoder(), harmony: t.harmony()}
	switch {
	case t.Plain():
		a.thoughts.state = speaks
	case t.own != nil:
		a.thoughts.begin(t.tried())
	}
	if a.harmony {
		for _, m := range harmonyMarkers {
			if _, ok := r.tok.Special(m); !ok {
				a.spelled = append(a.spelled, m)
			}
		}
	}
	return a
}

// Write takes the next token and returns the text that is complete with it, and
// whether the answer goes on. A token that ends the answer adds no text.
func (a *Answer) Write(id int32) (text string, more bool) {
	if a.over {
		return "", false
	}
	if !a.harmony {
		if a.over = a.tok.IsEnd(id) || a.stops[id]; a.over {
			return "", false
		}
		return a.thoughtOr(id), true
	}
	if m := a.tok.Text(id); a.tok.IsMarker(id) && slices.Contains(harmonyMarkers, m) {
		text = a.text(a.dec.Flush()) + a.release()
		a.marker(m)
		return text, !a.over
	}
	if a.tok.IsEnd(id) {
		a.over = true
		return "", false
	}
	text = a.text(a.dec.Write(id))
	if a.at == inAnswer || !a.begun {
		a.ids = append(a.ids, id)
	}
	return text, !a.over
}

// thoughtOr takes a token of the answer, or of thoughts before it.
func (a *Answer) thoughtOr(id int32) string {
	text, before := a.dec.Write(id), a.thoughts.state
	if text == "" && a.tok.IsMarker(id) { // a mark that is not meant to be seen
		if mark := a.tok.Text(id); a.thoughts.marks(mark) {
			text = mark
		}
	}
	said := a.thoughts.write(text)
	switch now := a.thoughts.state; {
	case now == thinks, now == hasThought:
		a.ids = nil
	case before == thinks || before == hasThought && strings.TrimSpace(text) != strings.TrimRight(text, " \t\r\n") && strings.ContainsAny(text, "\r\n"):
		a.mixed = true // the token is more than the text
	default:
		a.ids = append(a.ids, id)
	}
	return said
}

// End returns what was held back, at the end of an answer.
func (a *Answer) End() string {
	if !a.harmony {
		return a.thoughts.write(a.dec.Flush()) + a.thoughts.end()
	}
	text := a.text(a.dec.Flush()) + a.release()
	if !a.begun && a.at == inHeader { // no message, but what else is it?
		text += a.header
	}
	a.header = ""
	return text
}

// IDs are the tokens of the text that was returned, nil if they are not known.
func (a *Answer) IDs() []int32 {
	if a.mixed {
		return nil
	}
	return a.ids
}

// text takes text that may hold spelled markers and returns what of it is for
// the person.
func (a *Answer) text(s string) (out string) {
	if a.spelled == nil {
		return a.say(s)
	}
	s, a.held = a.held+s, ""
	for !a.over {
		first, found := len(s), ""
		for _, m := range a.spelled {
			if i := strings.Index(s, m); i >= 0 && i < first {
				first, found = i, m
			}
		}
		if found == "" {
			n := partial(s, a.spelled)
			s, a.held = s[:len(s)-n], s[len(s)-n:]
			return out + a.say(s)
		}
		out += a.say(s[:first])
		a.marker(found)
		a.mixed = true
		s = s[first+len(found):]
	}
	return out
}

// release returns the text that was no beginning of a marker after all.
func (a *Answer) release() string {
	s := a.held
	a.held = ""
	return a.say(s)
}

// partial is how many bytes at the end of s may be the beginning of a marker.
func partial(s string, markers []string) (n int) {
	for _, m := range markers {
		for k := min(len(m)-1, len(s)); k > n; k-- {
			if strings.HasSuffix(s, m[:k]) {
				n = k
			}
		}
	}
	return n
}

// say takes text of a message or its header and returns what of it is for the
// person.
func (a *Answer) say(s string) string {
	switch a.at {
	case inAnswer:
		return s
	case inOther:
		if a.analysis {
			a.thoughts.said += s
		}
		return ""
	}
	a.header += s
	if a.begun || len(a.header) <= longHeader {
		return ""
	}
	s, a.header, a.at = a.header, "", inAnswer
	return s
}

// marker takes one of the format's markers.
func (a *Answer) marker(m string) {
	switch m {
	case harmonyReturn, harmonyCall:
		a.over = true
		return
	case harmonyEnd:
		if !a.begun && a.header != "" {
			a.over = true
			return
		}
	}
	if !a.begun && a.at == inHeader {
		a.ids = nil // they were the header's
	}
	a.begun = true
	switch m {
	case harmonyMessage:
		if a.at == inHeader {
			a.at = inOther
			channel, named := a.channel()
			if a.analysis = channel == "analysis"; !named || channel == "final" {
				a.at = inAnswer
			}
		}
	case harmonyStart, harmonyEnd:
		a.over = a.at == inAnswer // nothing comes after the answer
		a.at, a.header = inHeader, ""
	case harmonyChannel:
		a.over = a.at == inAnswer
		a.at = inHeader
		a.header += harmonyChannel
	case harmonyConstrain: // what the message is written in
		a.header += " "
	}
}

// harmony reports whether answers come in channels.
func (t Template) harmony() bool { return t.own != nil && t.own.harmony }

// channel is what a message's header names as its channel, if it does.
func (a *Answer) channel() (name string, ok bool) {
	_, name, ok = strings.Cut(a.header, harmonyChannel)
	a.header = ""
	if words := strings.Fields(name); len(words) > 0 {
		return words[0], true
	}
	return "", ok
}
