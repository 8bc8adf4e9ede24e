package chat

import (
	"strings"

	"alphaos/llm/tokenizer"
)

// Models that think do so at the beginning of an answer, between two marks. A template may write the first
// of them itself, where the answer begins. Thoughts are no part of the answer: templates leave them out
// of old turns, and so they are not among what is given back to the model. What comes over the channel
// "analysis" of the harmony format is thought, too (see Answer).

// Thinking tells a template whether the model is to think, in the words that templates know.
type Thinking bool

func (t Thinking) tell(values map[string]any) {
	values["enable_thinking"], values["thinking"] = bool(t), bool(t) // Qwen, SmolLM, Gemma; Granite, DeepSeek
	if !t {
		values["reasoning_effort"] = "low" // gpt-oss, which cannot do without
	}
}

// WithThinking returns t for a model that is to think, or is not; nil: as the template has it by itself.
func (t Template) WithThinking(think *Thinking) Template {
	t.think = think
	return t
}

// Switches reports whether the template knows a switch for thoughts.
func (t Template) Switches() bool {
	on, off := Thinking(true), Thinking(false)
	return t.own != nil && t.WithThinking(&on).tried() != t.WithThinking(&off).tried()
}

// tried is what the template makes of a greeting.
func (t Template) tried() string {
	out, err := t.own.render([]Turn{{Role: "user", Text: "Hello"}}, t.given)
	if err != nil {
		return ""
	}
	return out.String()
}

// thoughtMarks are the marks between which models think.
var thoughtMarks = [][2]string{
	{"<think>", "</think>"},               // Qwen, DeepSeek, SmolLM, LFM, Granite
	{"<|channel>thought\n", "<channel|>"}, // Gemma 4
	{"[THINK]", "[/THINK]"},               // Ministral
}

// thoughts finds the thoughts in an answer.
type thoughts struct {
	state  thoughtState
	closes string
	held   string // text that may be, or be the beginning of, a mark
	said   string // thoughts that nobody has taken yet
}

type thoughtState int

const (
	mayThink thoughtState = iota // nothing but white space has come
	thinks
	hasThought // and nothing but white space has come since
	speaks
)

// begin has the answer begin as the prompt ends: perhaps with a thought that was begun.
func (h *thoughts) begin(prompt string) {
	prompt = strings.TrimRight(prompt, " \t\r\n")
	for _, m := range thoughtMarks {
		if strings.HasSuffix(prompt, strings.TrimSpace(m[0])) {
			h.state, h.closes = thinks, m[1]
		}
	}
}

// write takes text and returns what of it belongs to the answer.
func (h *thoughts) write(s string) string {
	switch h.state {
	case mayThink:
		s, h.held = h.held+s, ""
		text := strings.TrimLeft(s, " \t\r\n")
		for _, m := range thoughtMarks {
			if rest, ok := strings.CutPrefix(text, m[0]); ok {
				h.state, h.closes = thinks, m[1]
				return h.write(rest)
			}
			if strings.HasPrefix(m[0], text) { // an empty text, too
				h.held = s
				return ""
			}
		}
		h.state = speaks
		return s
	case thinks:
		s, h.held = h.held+s, ""
		thought, rest, over := strings.Cut(s, h.closes)
		if !over {
			n := partial(s, []string{h.closes})
			h.said, h.held = h.said+s[:len(s)-n], s[len(s)-n:]
			return ""
		}
		h.said += thought
		h.state = hasThought
		return h.write(rest)
	case hasThought:
		if s = strings.TrimLeft(s, " \t\r\n"); s != "" {
			h.state = speaks
		}
	}
	return s
}

// marks reports whether a marker is one of thoughts, or part of one.
func (h *thoughts) marks(marker string) bool {
	if h.state == thinks {
		return marker == h.closes
	}
	for _, m := range thoughtMarks {
		if h.state == mayThink && strings.HasPrefix(m[0], marker) {
			return true
		}
	}
	return false
}

// end returns what was held back.
func (h *thoughts) end() (text string) {
	switch h.state {
	case mayThink:
		text = h.held
	case thinks:
		h.said += h.held
	}
	h.held = ""
	return text
}

// Thought returns the thoughts that have come since it was last called.
func (a *Answer) Thought() string {
	s := a.thoughts.said
	a.thoughts.said = ""
	return s
}

// Thinking reports whether the model is in the midst of a thought.
func (a *Answer) Thinking() bool {
	return !a.over && (a.thoughts.state == thinks || a.harmony && a.at == inOther && a.analysis)
}

// Conclude returns the tokens that end a thought and begin what is for the person, nil if there is none to end. They
// are to be taken for the model's own: evaluated, and given to Write.
func (a *Answer) Conclude() []int32 {
	switch {
	case !a.Thinking():
		return nil
	case a.harmony:
		return a.marked(harmonyEnd + harmonyStart + "assistant" + harmonyChannel + "final" + harmonyMessage)
	}
	return a.marked("\n" + a.thoughts.closes + "\n\n")
}

func (a *Answer) marked(text string) []int32 {
	return a.tok.EncodeParts(tokenizer.EncodeOptions{}, tokenizer.Part{IDs: []int32{}}, tokenizer.Part{Text: text, Special: true})
}
