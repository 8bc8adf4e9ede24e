package assistant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm/chat"
	"alphaos/store"
)

const noModelLoaded = "There is no model loaded, so nobody can answer: /models lists them, /load NAME loads one."

// answer journals a message, answers it and journals the answer. The model is
// not asked what Config.Before answers.
func (c *conversation) answer(ctx context.Context, text string) {
	c.answerAfter(ctx, text, len(c.said.Turns), func() error { return c.journal.store.AddUser(text) })
}

// answerAfter answers a message that comes after the first keep turns, whatever came there; save
// saves it.
func (c *conversation) answerAfter(ctx context.Context, text string, keep int, save func() error) {
	if c.model == nil {
		c.ui.Error(noModelLoaded)
		return
	}
	fixed, byRule := "", false
	if c.before != nil {
		fixed, byRule = c.before(c.model.Info, text)
	}
	if !byRule {
		fixed, byRule = c.shelf.reply(ctx, text, c.room(chat.Turn{Role: store.User, Text: text}) < leastPassages)
	}
	turn := chat.Turn{Role: store.User, Text: text}
	// A message that cannot be answered at all is not accepted.
	if !byRule { // the model does not read what a rule answers
		alone := engine.Conversation{System: c.said.System, Turns: []chat.Turn{turn}}
		if n, most := c.model.Tokens(&alone), c.model.Most(); n > most {
			c.ui.Error(fmt.Sprintf("Your message is too long for this model: %d tokens with all that belongs to it, at most %d fit. It was not saved; shorten it, or set a larger num_ctx if the model allows it.",
				n, most))
			return
		}
	}
	if err := c.journal.record(ctx, save, !byRule); err != nil {
		switch {
		case byRule: // the person may need it now
			c.ui.Error("Your message was not saved and is not kept: " + fs.Explain(err))
			c.ui.BeginAnswer()
			say(c.ui, fixed)
			return
		case errors.Is(err, store.ErrFull):
			c.ui.Error("Your message was not saved and so not answered: " + fs.Explain(err))
			c.ui.Quiet("/set nohistory goes on without saving, /history shows what is saved.")
		default:
			c.ui.Error("Your message was not saved and so not answered: " + fs.Explain(err))
			c.ui.Quiet("Try again (the Up key brings it back), or type /set nohistory to go on without saving.")
		}
		return
	}
	if keep < len(c.said.Turns) && len(c.kept) > 0 {
		c.kept = c.kept[:len(c.kept)-1]
	}
	c.said.Turns = append(c.said.Turns[:keep], turn)
	c.kept = append(c.kept, c.journal.saving)
	if byRule {
		c.tell(fixed)
	} else {
		c.reply(ctx, c.speak(c.journal.beginAnswer()))
	}
	c.grown()
}

// room is how many tokens of passages may stand before a message: half of the context at most, where there is room for an answer.
// There is none in a small context: models of that size were not made to read documents, the guide among them.
func (c *conversation) room(asked chat.Turn) int {
	_, size := c.model.Context()
	if size < leastContext {
		return 0
	}
	alone := engine.Conversation{System: c.said.System, Turns: []chat.Turn{asked}}
	return min(size/2, c.model.Most()-size/4-c.model.Tokens(&alone))
}

// tokens is how many the model reads for a text, about.
func (c *conversation) tokens(text string) int {
	return c.model.Tokens(&engine.Conversation{Turns: []chat.Turn{{Role: store.User, Text: text}}})
}

// grown is called when something was said.
func (c *conversation) grown() {
	c.forget()
	if c.journal.saving {
		c.journal.nearlyFull()
	}
}

// tell answers the last turn with a fixed text.
func (c *conversation) tell(text string) {
	s := c.speak(c.journal.beginAnswer())
	s.whole = true
	s.say(text)
	used, _ := c.model.Context()
	s.end(store.Stats{Context: used}, s.full)
	c.said.Turns = append(c.said.Turns, chat.Turn{Role: store.Assistant, Text: text})
}

// reply has the model answer the last turn, and returns the answer.
func (c *conversation) reply(ctx context.Context, s *speech) chat.Turn {
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	c.showState() // the first message is the title
	defer c.showState()
	meter := &meter{c: c, now: c.now, begun: c.now()}
	c.model.Reading = meter.reading
	// What the documents, and what is remembered, have to say stands in the prompt of this answer alone: the turn is as it was typed before the next one.
	at := len(c.said.Turns) - 1
	asked := c.said.Turns[at]
	room := c.room(asked)
	ground := c.shelf.ground(ctx, asked.Text, room, c.tokens)
	if facts := c.remembered.fitting(asked.Text); room >= leastPassages {
		ground.facts = facts
	} else if len(facts) > 0 {
		defer c.ui.Quiet("You told me to remember: " + strings.Join(facts, "; ") + ".")
	}
	c.said.Turns[at].Text = ground.prompt()
	if len(ground.passages) > 0 {
		s.citer = &citer{ground: ground}
	}
	thinking := false
	c.model.Thought = func(text string) {
		meter.token()
		thinking = true
		c.display.Think(text)
	}
	thought := func() {
		if thinking {
			thinking = false
			line := "Thought for " + seconds(max(c.now().Sub(meter.begun), time.Second)) + ": /thoughts shows it."
			if _, none := c.display.(noDisplay); none {
				c.ui.Quiet(line)
			}
			c.display.Thought(line)
		}
	}
	r := c.model.Answer(ctx, &c.said, c.settings.Params, func(text string) error {
		meter.token()
		thought()
		return s.say(text)
	})
	thought()
	c.thoughts = r.Thoughts
	used, size := c.model.Context()
	c.said.Turns[at] = asked
	s.end(store.Stats{Model: c.name, Tokens: r.Tokens, Elapsed: r.Writing, Context: used}, r.Partial())

	if r.End == engine.Failed {
		c.ui.Error("The model could not go on: " + fs.Explain(r.Err))
	}
	if s.citer != nil && s.citer.text != r.Turn.Text { // without what the model put in brackets
		r.Turn.Text, r.Turn.IDs = s.citer.text, nil
		c.said.Turns[at+1] = r.Turn
	}
	c.shelf.answered(ctx, &ground, s.citer)
	if r.OnlyThought {
		c.ui.Quiet("The model only thought and came to no answer.")
	}
	if r.Concluded {
		c.ui.Quiet(fmt.Sprintf("The thoughts were ended after %d tokens: see think_budget.", r.ThoughtTokens))
	}
	if r.Dropped > 0 {
		c.ui.Quiet(fmt.Sprintf("The context is full: the model no longer sees the first %s of this conversation.", count(c.earlier+c.said.First, "message", "messages")))
	}
	line := count(r.Tokens, "token", "tokens")
	if s := r.Writing.Seconds(); s > 0 && r.Tokens > 0 {
		line += fmt.Sprintf(", %.1f tokens/s", float64(r.Tokens)/s)
	}
	line += fmt.Sprintf(", context %d of %d", used, size)
	switch r.End {
	case engine.Stopped:
		line = "Stopped. " + line
	case engine.Limited:
		line += ", num_predict reached"
	case engine.Full:
		line += ", ended because the context is full"
	}
	c.ui.Quiet(line)
	return r.Turn
}

// showThoughts shows what the model thought before its last answer.
func (c *conversation) showThoughts() {
	text := strings.TrimSpace(c.thoughts)
	if text == "" {
		say(c.ui, "There are no thoughts of this session's last answer. /think has a model think first, if it can.")
		return
	}
	c.ui.Quiet(text)
}

// speech shows the text of an answer and journals it.
type speech struct {
	ui      UI
	journal *journal
	saved   *store.Answer // nil: the answer is not saved
	instead bool          // of another answer, which stays if there is no word of this one
	words   bool          // there is one
	shown   string        // the last piece
	whole   bool          // all of it is shown, saved or not
	failed  bool          // a piece could not be saved, and the person knows
	full    bool          // it could not be saved because the journal is full
	citer   *citer        // looks which passages it comes from; nil: there are none
}

// speak begins an answer that is saved in saved, unless that is nil.
func (c *conversation) speak(saved *store.Answer) *speech {
	c.display.CodeFrom(c.codeBefore(len(c.said.Turns)))
	c.ui.BeginAnswer()
	return &speech{ui: c.ui, journal: c.journal, saved: saved}
}

// say shows and saves the next piece. An error means that no more can be saved.
func (s *speech) say(text string) error {
	if s.citer != nil {
		return s.put(s.citer.add(text))
	}
	return s.put(text, text)
}

// put shows a piece, and saves it without the numbers of its sources.
func (s *speech) put(show, save string) error {
	if show == "" && save == "" && s.citer != nil {
		return nil
	}
	s.shown, s.words = show, s.words || show != ""
	s.ui.Write([]byte(show))
	if s.saved == nil {
		return nil
	}
	err := s.saved.Write(save)
	if err != nil && !s.failed {
		s.failed = true
		s.full = errors.Is(err, store.ErrFull)
		switch {
		case s.full && s.whole:
			s.ui.Error("This answer can't be saved: " + fs.Explain(err))
		case s.full:
			s.ui.Error("The answer ends here because it can't be saved: " + fs.Explain(err))
		default:
			s.ui.Error("This answer is not saved at the moment: " + fs.Explain(err) + " It is kept here, and saved as soon as that is possible.")
		}
	}
	if s.full {
		return store.ErrFull
	}
	return nil
}

// end ends the answer on the screen and in the journal.
func (s *speech) end(stats store.Stats, partial bool) {
	if s.citer != nil {
		s.put(s.citer.end()) // an error was told
		stats.Sources = encode(s.citer.list)
	}
	if !strings.HasSuffix(s.shown, "\n") {
		s.ui.Write([]byte("\n"))
	}
	if s.saved == nil || s.instead && !s.words {
		return
	}
	if s.journal.endAnswer(s.saved, stats, partial) == nil && s.failed && !s.full {
		s.ui.Quiet("Now all of this answer is saved.")
	}
}
