// Package chat writes a conversation the way a model was trained to read it.
//
// A GGUF file carries its chat template as a program in the language Jinja2,
// which is run (program.go, and the package jinja). Where that does not work,
// it may still be recognisable as one of the well-known formats, by markers
// that occur in it, and these are built in. A model without a template is a
// base model: it continues text, and a conversation is then just the text so
// far.
//
// Prompts are token ids, not text, for two reasons. The markers that a template
// writes become tokens of their own while what people and models wrote never
// does, so nobody can forge a turn (markers.go). And a prompt keeps its
// beginning: the ids of a conversation are the first ids of the same
// conversation with more turns, so that a session needs to evaluate only what
// is new. Only a model's own template can break this, by writing old turns in
// another way than new ones: then a session has to go back to the first id that
// differs.
//
// What a model answers is read by an Answer, which knows the end of it and what
// of it is for the person.
package chat

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/tokenizer"
)

// Turn is one message of a conversation.
type Turn struct {
	Role string // "system", "user" or "assistant"
	Text string
	// IDs are the exact tokens of an assistant's turn as the model made them,
	// without the one that ended it (Answer.IDs). They stand in for Text, whose
	// tokens might be others. Nil: Text is encoded.
	IDs []int32
}

// Template is a format for conversations. The zero Template is that of base
// models.
type Template struct {
	own *program // the model's own template; nil: not used
	given
	format  *format
	strip   bool   // texts lose the white space around them
	end     string // zephyr: the marker that ends a turn; "": EOS
	last    int    // how many of the last turns the model looks at; 0: all
	inst    inst   // llama2 and mistral
	marks   *marks // what it writes; nil: nothing
	warning string
}

// inst is how the family of Llama 2 writes a user's turn.
type inst struct {
	open, close             string // around the user's turn
	systemOpen, systemClose string // around the system's text, at the beginning of it
	answerOpen              string // what the model's own text begins with
	bos                     bool   // BOS begins every user's turn, not only the first
}

// A format is one of the well-known ways to write a conversation.
type format struct {
	name    string
	markers []string // that it writes, or a template that goes by its name
	stops   []string
	write   func(w *writer, turns []Turn)
}

var formats = []*format{
	{"llama3",
		[]string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
		[]string{"<|eot_id|>", "<|start_header_id|>"},
		func(w *writer, turns []Turn) {
			for _, t := range turns {
				w.mark("<|start_header_id|>" + role(t.Role) + "<|end_header_id|>\n\n")
				w.text(t)
				w.mark("<|eot_id|>")
			}
			w.mark("<|start_header_id|>assistant<|end_header_id|>\n\n")
		}},
	{"chatml",
		[]string{"<|im_start|>", "<|im_end|>"},
		[]string{"<|im_end|>", "<|im_start|>"},
		func(w *writer, turns []Turn) {
			for _, t := range turns {
				w.mark("<|im_start|>" + role(t.Role) + "\n")
				w.text(t)
				w.mark("<|im_end|>\n")
			}
			w.mark("<|im_start|>assistant\n")
		}},
	{"zephyr",
		[]string{"<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "</s>"},
		[]string{"<|user|>", "<|system|>", "<|assistant|>"},
		func(w *writer, turns []Turn) {
			for _, t := range turns {
				w.mark("<|" + role(t.Role) + "|>\n")
				w.text(t)
				w.end()
				w.mark("\n")
			}
			w.mark("<|assistant|>\n")
		}},
	{"llama2",
		[]string{"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"},
		[]string{"[INST]", "[/INST]"},
		writeInst},
	{"mistral",
		[]string{"[INST]", "[/INST]", "<s>", "</s>"},
		[]string{"[INST]", "[/INST]"},
		writeInst},
}

// writeInst writes the formats of Llama 2 and Mistral, where the system's text
// is part of the user's turn that follows it.
func writeInst(w *writer, turns []Turn) {
	first, open := true, false
	begin := func() {
		if open {
			return
		}
		if !first && w.inst.bos {
			w.special(w.tok.BOS())
		}
		w.mark(w.inst.open)
		first, open = false, true
	}
	for _, t := range turns {
		switch role(t.Role) {
		case "system":
			begin()
			w.mark(w.inst.systemOpen)
			w.text(t)
			w.mark(w.inst.systemClose)
		case "user":
			begin()
			w.text(t)
			w.mark(w.inst.close)
			open = false
		default:
			w.answer(t, w.inst.answerOpen)
			w.special(w.tok.EOS())
		}
	}
	if open { // a system's text alone
		w.mark(w.inst.close)
	}
}

func role(r string) string {
	if r == "system" || r == "assistant" {
		return r
	}
	return "user"
}

// Detect takes the chat template in f's metadata, if it can be run, or
// recognises which of the well-known formats it is. It never fails: no
// template, and one that is of no use, give plain continuation. What is not as
// the model asks for is told by Warning.
func Detect(f *gguf.File) Template {
	source, _ := f.String("tokenizer.chat_template")
	t := detect(f, source)
	if n, ok := f.Uint(TurnsKey); ok && n > 0 && !t.Plain() {
		t.last = int(min(n, math.MaxInt32))
	}
	return t
}

// TurnsKey names a fact in a model's metadata, a number: of how many of the
// last turns the model makes its answers. A small model may be trained to look
// at the last message alone, and is then as good after a long conversation as
// in a new one. A model without this fact sees all turns.
const TurnsKey = "alphaos.chat.turns"

// seen is what of turns the model looks at: with a limit the last ones, and an
// answer that was begun, but no system's text, which such a model knows nothing
// of, and no answer whose question is left out, for many templates insist on a
// question first.
func (t Template) seen(turns []Turn) []Turn {
	if t.last == 0 {
		return turns
	}
	from := len(turns)
	for left := t.last; from > 0 && left > 0 && role(turns[from-1].Role) != "system"; from-- {
		if from < len(turns) || role(turns[from-1].Role) != "assistant" {
			left--
		}
	}
	if from+1 < len(turns) && role(turns[from].Role) == "assistant" && role(turns[from+1].Role) == "user" {
		from++
	}
	return turns[from:]
}

func detect(f *gguf.File, source string) Template {
	if strings.TrimSpace(source) == "" {
		return Template{}
	}
	t, known := recognise(source)
	own, err := newProgram(source, f)
	if err == nil {
		t.own, t.marks = own, own.marks
		if lacking := own.marks.lacking(f.Strings("tokenizer.ggml.tokens")); lacking != nil {
			t.warning = fmt.Sprintf("the model's chat template writes markers that its vocabulary does not have (%s), so they are spelled out: some older models want that; otherwise the file was converted wrongly",
				quoted(strings.Join(lacking, " ")))
		}
		if known { // it takes over where the template refuses a conversation
			t.marks.turns = append(t.marks.turns, t.format.markers...)
		}
		return t
	}
	if !known {
		t.marks = &marks{}
	}
	t.marks.mentions = []string{source}
	switch {
	case known:
		t.warning = fmt.Sprintf("the model's own chat template cannot be used (%s), so the usual form of %s takes its place", reason(err), t.Name())
	default:
		t.warning = fmt.Sprintf("the model's own chat template cannot be used (%s) and is not of a known kind (llama3, llama2, mistral, chatml, zephyr), so text is simply continued", reason(err))
	}
	return t
}

// WithClock returns t with a clock for templates that tell the model the date.
// Without one they tell none, or one of their own. The prompt of a conversation
// changes with the date.
func (t Template) WithClock(now func() time.Time) Template {
	t.now = now
	return t
}

func recognise(jinja string) (Template, bool) {
	has := func(s string) bool { return strings.Contains(jinja, s) }
	switch {
	case has("<|im_start|>"):
		if has("<|im_sep|>") || has("<end_of_utterance>") {
			return Template{}, false // Phi 4, SmolVLM
		}
		return named("chatml"), true
	case strings.HasPrefix(jinja, "mistral") || has("[INST]"):
		switch {
		case has("[SYSTEM_PROMPT]"):
			return Template{}, false // Mistral v7
		case has("' [INST] ' + system_message"), has("[AVAILABLE_TOOLS]"):
			t := named("mistral")
			switch {
			case has(" [INST]"): // v1
				t.inst = inst{open: "[INST] ", close: " [/INST]", systemClose: "\n\n", answerOpen: " "}
			case has(`"[INST]"`): // v3 with the tekken vocabulary
				t.inst = inst{open: "[INST]", close: "[/INST]", systemClose: "\n\n"}
			default: // v3
				t.inst = inst{open: "[INST] ", close: "[/INST]", systemClose: "\n\n", answerOpen: " "}
			}
			return t, true
		}
		t := named("llama2")
		t.inst = inst{open: "[INST] ", close: " [/INST]", systemClose: "\n", answerOpen: " "}
		if has("<<SYS>>") {
			t.inst.systemOpen, t.inst.systemClose = "<<SYS>>\n", "\n<</SYS>>\n\n"
		}
		t.inst.bos = has("bos_token + '[INST]")
		t.strip = has("content.strip()") || has("content | trim") || has("content|trim")
		return t, true
	case has("<|start_header_id|>") && has("<|end_header_id|>"):
		return named("llama3"), true
	case has("<|assistant|>") && has("<|end|>"):
		t := named("zephyr")
		t.end = "<|end|>" // Phi 3
		return t, true
	case has("<|user|>") && has("<|endoftext|>"):
		t := named("zephyr")
		t.end = "<|endoftext|>"
		return t, true
	case has("<|user|>") && has("<|assistant|>") && (has("eos_token") || has("</s>")):
		return named("zephyr"), true
	}
	return Template{}, false
}

// named returns the format of that name.
func named(name string) Template {
	for _, f := range formats {
		if f.name == name {
			return Template{format: f, strip: name == "llama3", marks: &marks{turns: f.markers}}
		}
	}
	panic("chat: no format " + name)
}

// Name is the format's name: llama3, llama2, mistral, chatml, zephyr (Phi 3
// included), "jinja" for another that the model brings along, or "none" for a
// base model.
func (t Template) Name() string {
	switch {
	case t.format != nil:
		return t.format.name
	case t.own != nil:
		return "jinja"
	}
	return "none"
}

// Plain reports whether text is simply continued.
func (t Template) Plain() bool { return t.format == nil && t.own == nil }

// Warning is a sentence about a template that could not be used, or about
// markers that are no tokens, else "".
func (t Template) Warning() string { return t.warning }

// Stops are strings that end an answer when they turn up in its text: markers
// that the model's vocabulary may lack as tokens.
func (t Template) Stops() []string {
	if t.own != nil {
		return t.own.stops
	}
	if t.format == nil {
		return nil
	}
	return t.format.stops
}

// IsEnd reports whether token id ends an answer: one that ends any text of this
// model, or a marker with which the next turn would begin.
func (t Template) IsEnd(tok *tokenizer.Tokenizer, id int32) bool {
	r := t.reading(tok)
	return tok.IsEnd(id) && !(t.harmony() && r.tok.Text(id) == harmonyEnd) || r.stops[id]
}

// Check says why the model's own template refuses a conversation, nil if it
// does not or is not in use. Prompt then writes it in the format by whose name
// the template goes, or as plain text.
func (t Template) Check(turns []Turn) error {
	if t.own == nil {
		return nil
	}
	turns = t.seen(turns)
	if _, err := t.own.render(turns, t.given); err != nil {
		return fmt.Errorf("the model's own chat template refuses this conversation (%s)", reason(err))
	}
	return nil
}

// Prompt returns the token ids of a conversation up to the point where the
// assistant is to speak. With further turns appended, beginning with the
// assistant's, the ids stay and more follow them, unless the model's own
// template wants it otherwise.
//
// A base model reads what was said, each user's turn after the first on a new
// line; a system's text is nothing it could follow and is left out.
func (t Template) Prompt(tok *tokenizer.Tokenizer, turns []Turn) []int32 {
	turns = t.seen(turns)
	r := t.reading(tok)
	if t.own != nil {
		w := &writer{reading: r}
		if bos, err := t.own.prompt(w, turns, t.given); err == nil {
			return r.tok.EncodeParts(tokenizer.EncodeOptions{AddBOS: !bos}, w.parts...)
		}
	}
	w := &writer{Template: t, reading: r}
	if t.format == nil {
		for _, turn := range turns {
			switch role(turn.Role) {
			case "user":
				if len(w.parts) > 0 {
					w.parts = append(w.parts, tokenizer.Part{Text: "\n"})
				}
				w.said(turn.Text)
			case "assistant":
				w.answer(turn, "")
			}
		}
	} else {
		t.format.write(w, turns)
	}
	return r.tok.EncodeParts(tokenizer.EncodeOptions{AddBOS: true}, w.parts...)
}

// A writer gathers the parts of a prompt.
type writer struct {
	Template
	*reading
	parts []tokenizer.Part
}

// mark writes the format's own text, in which control tokens are found.
func (w *writer) mark(s string) {
	if s != "" {
		w.parts = append(w.parts, tokenizer.Part{Text: s, Special: true})
	}
}

func (w *writer) special(id int32) {
	if id >= 0 {
		w.parts = append(w.parts, tokenizer.Part{IDs: []int32{id}, Special: true})
	}
}

// end writes what ends a turn.
func (w *writer) end() {
	if w.Template.end != "" {
		w.mark(w.Template.end)
		return
	}
	w.special(w.tok.EOS())
}

// text writes what someone said.
func (w *writer) text(t Turn) {
	if role(t.Role) == "assistant" {
		w.answer(t, "")
		return
	}
	w.said(w.clean(t.Text))
}

// said writes the words of a person or a document.
func (w *writer) said(text string) { w.parts = append(w.parts, parts(text, w.people)...) }

// answer writes an assistant's turn. Its text is encoded apart from what is
// around it, as the model makes it, and begins with open. Tokens are taken as
// they are unless the model has made markers of turns among them.
func (w *writer) answer(t Turn, open string) {
	ids := t.IDs
	if ids == nil || slices.ContainsFunc(ids, func(id int32) bool { return w.turns[id] }) {
		text := w.clean(t.Text)
		if open != "" {
			text = open + strings.TrimSpace(text)
		}
		ids = w.tok.EncodeParts(tokenizer.EncodeOptions{}, append([]tokenizer.Part{{IDs: []int32{}}}, parts(text, w.model)...)...)
	}
	if len(ids) > 0 {
		w.parts = append(w.parts, tokenizer.Part{IDs: ids})
	}
}

// clean takes off the white space that a format does without.
func (w *writer) clean(s string) string {
	if w.strip {
		s = strings.TrimSpace(s)
	}
	return s
}
