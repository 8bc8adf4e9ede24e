package chat

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"alphaos/llm/chat/jinja"
	"alphaos/llm/gguf"
)

// given is what a template may ask for beside the conversation.
type given struct {
	now   func() time.Time
	think *Thinking // nil: the template decides
}

// A program is a model's own chat template, tried out on a conversation before
// it is relied on.
//
// Invariant: what it renders becomes tokens run by run. Control tokens are
// found in runs that the template wrote and nowhere else; runs of origin n come
// from turn n-1, whatever the template did to them. An answer that comes
// through whole is given back as the tokens it was made of, placed right behind
// the text with which the prompt for it ended, so that a prompt stays the
// beginning of the next one. A template that changes old answers (as Qwen 3
// does, which drops their thoughts) gets them encoded anew: such a prompt
// shares with the one before what comes before the change.
type program struct {
	jinja    *jinja.Template
	bos, eos string
	typed    bool // only contents in typed parts are read, as if there were pictures among them
	merge    bool // turns of one role in a row are refused, so they are joined
	noSystem bool // system texts are refused, so the next user's turn begins with them
	harmony  bool // answers come in channels: see Answer
	marks    *marks
	stops    []string
}

// glue is what stands between turns that are joined.
const glue = "\n\n"

// Limits that no real template comes near: each marker is looked for in each
// text that is said.
const (
	maxOwn     = 64 << 10 // bytes that a template writes itself when it is tried out
	maxMarkers = 1000     // markers, or lines, in them
)

// newProgram reads a template and tries it out. An error says why it can't be
// used.
func newProgram(source string, f *gguf.File) (*program, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, err
	}
	p := &program{jinja: t, marks: &marks{mentions: t.Literals()}}
	tokens := f.Strings("tokenizer.ggml.tokens")
	text := func(key string, id uint64) string {
		if v, ok := f.Uint("tokenizer.ggml." + key + "_token_id"); ok {
			id = v
		}
		if id < uint64(len(tokens)) {
			return tokens[id]
		}
		return ""
	}
	none := uint64(len(tokens))
	if kind, _ := f.String("tokenizer.ggml.model"); kind == "llama" {
		p.bos, p.eos = text("bos", 1), text("eos", 2)
	} else {
		p.bos, p.eos = text("bos", none), text("eos", none)
	}
	if err = p.try(); err != nil {
		p.typed, p.noSystem, p.merge = true, false, false
		if p.try() == nil {
			return p, nil
		}
	}
	return p, err
}

// try finds out how the template takes a conversation and what its markers are.
func (p *program) try() error {
	g := given{now: func() time.Time { return time.Unix(0, 0).UTC() }} // the date does not matter here
	turns := []Turn{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "Hello"}, {Role: "assistant", Text: "Yes?"}, {Role: "user", Text: "Bye"}}
	attempt := func(turns []Turn) ([]jinja.Run, error) {
		out, err := p.render(turns, g)
		if err != nil {
			return nil, err
		}
		runs, own, markers := out.Runs(), 0, 0
		for _, r := range runs {
			if r.Origin == 0 {
				own += len(r.Text)
			}
		}
		if own > maxOwn {
			return nil, fmt.Errorf("it writes %d bytes of its own, at most %d are supported", own, maxOwn)
		}
		for _, r := range runs {
			if r.Origin == 0 {
				markers += len(markerTexts([]string{r.Text}))
			}
		}
		if markers > maxMarkers {
			return nil, fmt.Errorf("it writes %d markers, at most %d are supported", markers, maxMarkers)
		}
		for i, t := range turns {
			if !slices.ContainsFunc(runs, func(r jinja.Run) bool {
				return r.Origin == i+1 && strings.Contains(strings.ToLower(r.Text), strings.ToLower(t.Text))
			}) {
				return nil, fmt.Errorf("it leaves out what the %s said", t.Role)
			}
		}
		return runs, nil
	}
	runs, err := attempt(turns)
	if err != nil {
		p.noSystem = true
		var again error
		if runs, again = attempt(turns); again != nil {
			if _, again = attempt(turns[1:]); again != nil { // its own fault, not the system's text
				err = again
			}
			return err
		}
	}
	twice := []Turn{{Role: "user", Text: "Hello"}, {Role: "user", Text: "Bye"}}
	more, err := attempt(twice)
	if err != nil {
		p.merge = true
		if more, err = attempt(twice); err != nil {
			return err
		}
	}

	for _, runs := range [][]jinja.Run{runs, more} {
		for i, r := range runs {
			switch {
			case r.Origin != 0:
			case i == len(runs)-1:
				p.marks.opening = append(p.marks.opening, r.Text)
			default:
				p.marks.turns = append(p.marks.turns, r.Text)
			}
		}
	}
	answered := false
	for _, r := range runs {
		if r.Origin != 0 {
			answered = r.Origin == 3
			continue
		}
		p.harmony = p.harmony || strings.Contains(r.Text, harmonyChannel) && strings.Contains(r.Text, harmonyMessage)
		if !answered { // not what stands between an answer and the next turn
			continue
		}
		found := markersIn(r.Text)
		if len(found) == 0 {
			found = lines(r.Text)[:min(1, len(lines(r.Text)))]
		}
		p.stops = append(p.stops, found...)
	}
	p.stops = slices.DeleteFunc(p.stops, func(s string) bool { return s == p.bos || s == p.eos })
	return nil
}

// render runs the template on turns.
func (p *program) render(turns []Turn, g given) (jinja.Text, error) {
	type message struct {
		role    string
		content jinja.Text
	}
	var messages []message
	var system jinja.Text // waits for the next user's turn
	between := jinja.Data(glue, len(turns)+1)
	for i, t := range turns {
		m := message{role(t.Role), jinja.Data(t.Text, i+1)}
		if p.noSystem && m.role == "system" {
			if system.String() != "" {
				system = jinja.Join(system, between)
			}
			system = jinja.Join(system, m.content)
			continue
		}
		if m.role == "user" && system.String() != "" {
			m.content = jinja.Join(system, between, m.content)
			system = jinja.Text{}
		}
		if n := len(messages); p.merge && n > 0 && messages[n-1].role == m.role {
			messages[n-1].content = jinja.Join(messages[n-1].content, between, m.content)
			continue
		}
		messages = append(messages, m)
	}
	if system.String() != "" {
		messages = append(messages, message{"user", system})
	}
	list := make([]any, len(messages))
	for i, m := range messages {
		var content any = m.content
		if p.typed {
			content = []any{map[string]any{"type": "text", "text": m.content}}
		}
		list[i] = map[string]any{"role": m.role, "content": content}
	}
	values := map[string]any{
		"messages": list, "add_generation_prompt": true, "bos_token": p.bos, "eos_token": p.eos,
		"tools": nil, "documents": nil,
	}
	if g.think != nil {
		g.think.tell(values)
	}
	return p.jinja.Render(values, jinja.Options{Now: g.now})
}

// prompt adds to w what Template.Prompt says, and reports whether the template
// has written BOS.
func (p *program) prompt(w *writer, turns []Turn, g given) (bos bool, err error) {
	out, err := p.render(turns, g)
	if err != nil {
		return false, err
	}
	opening, err := p.opening(turns, out, g)
	if err != nil {
		return false, err
	}

	runs, count := out.Runs(), map[int]int{}
	for _, r := range runs {
		count[r.Origin]++
	}
	for i := 0; i < len(runs); i++ {
		own := ""
		if runs[i].Origin == 0 {
			own = runs[i].Text
			if i++; i == len(runs) {
				w.mark(own)
				break
			}
		}
		r := runs[i]
		if r.Origin > len(turns) || role(turns[r.Origin-1].Role) != "assistant" {
			w.mark(own)
			w.said(r.Text)
			continue
		}
		// The template may write more between the opening and an old answer
		// than before a new one, mostly a space. It belongs to the answer.
		gap := ""
		if rest, ok := strings.CutPrefix(own, opening); ok && strings.TrimSpace(rest) == "" {
			own, gap = opening, rest
		}
		w.mark(own)
		answer := turns[r.Origin-1]
		if whole := strings.TrimSpace(r.Text) == strings.TrimSpace(answer.Text); !whole || count[r.Origin] > 1 || answer.IDs == nil {
			answer = Turn{Text: gap + r.Text}
		}
		w.answer(answer, "")
	}
	return p.bos != "" && len(runs) > 0 && runs[0].Origin == 0 && strings.HasPrefix(runs[0].Text, p.bos), nil
}

// opening is the template's text between what a user said and the answer to be
// made. out is what it made of turns.
func (p *program) opening(turns []Turn, out jinja.Text, g given) (string, error) {
	last := len(turns) - 1
	for last >= 0 && role(turns[last].Role) != "user" {
		last--
	}
	if last < 0 {
		return "", nil
	}
	if last < len(turns)-1 {
		var err error
		if out, err = p.render(turns[:last+1], g); err != nil {
			return "", err
		}
	}
	runs := out.Runs()
	if n := len(runs); n > 0 && runs[n-1].Origin == 0 {
		return runs[n-1].Text, nil
	}
	return "", nil
}

// reason is why a template failed, as part of a sentence.
func reason(err error) string {
	s := err.Error()
	if raised := (*jinja.Raised)(nil); errors.As(err, &raised) {
		s = "it says: " + s
	}
	return quoted(s)
}

// quoted is text from a file as part of a sentence.
func quoted(s string) string {
	if len(s) > 150 {
		s = strings.ToValidUTF8(s[:150], "") + "..."
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
