package assistant

import (
	"context"
	"fmt"
	"strings"
	"time"

	"alphaos/engine"
	"alphaos/fs"
	"alphaos/knowledge"
	"alphaos/llm/chat"
	"alphaos/store"
)

const noModelLoaded = "There is no model loaded, so nobody can answer: /models lists them, /load NAME loads one."

// answer journals a message, answers it and journals the answer. The model is
// not asked what Config.Before answers.
func (c *conversation) answer(ctx context.Context, text string) {
	c.answerAfter(ctx, text, len(c.said.Turns), func(at time.Time) error { return c.journal.store.AddUserAt(text, at) })
}

// answerAfter answers a message that comes after the first keep turns, whatever came there; save
// saves it, with the time when it was said.
func (c *conversation) answerAfter(ctx context.Context, text string, keep int, save func(at time.Time) error) {
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
	// A model of which a part is on the drive can't answer while that is out.
	if err := c.journal.record(ctx, text, save, !byRule && c.model.Info.Streamed > 0); err != nil {
		switch {
		case byRule: // the person may need it now
			c.ui.Error("Your message was not saved and is not kept: " + fs.Explain(err))
			c.ui.BeginAnswer()
			say(c.ui, fixed)
			return
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
	s.say(text)
	used, _ := c.model.Context()
	s.end(store.Stats{Context: used}, false)
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
	ground := c.shelf.ground(ctx, asked.Text, c.askedBefore(at), room, c.tokens)
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
		s.say(text)
		return nil
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

// askedBefore is what was asked before a turn, back to a question that can be understood by itself.
func (c *conversation) askedBefore(turn int) string {
	const most = 3
	var asked []string
	for i := turn - 1; i >= 0 && len(asked) < most; i-- {
		if t := c.said.Turns[i]; t.Role == store.User {
			if asked = append(asked, t.Text); !knowledge.FollowUp(t.Text) {
				break
			}
		}
	}
	return strings.Join(asked, " ")
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
	saved   *answer // nil: the answer is not saved
	instead bool    // of another answer, which stays if there is no word of this one
	words   bool    // there is one
	shown   string  // the last piece
	citer   *citer  // looks which passages it comes from; nil: there are none
}

// speak begins an answer that is saved in saved, unless that is nil.
func (c *conversation) speak(saved *answer) *speech {
	c.display.CodeFrom(c.codeBefore(len(c.said.Turns)))
	c.ui.BeginAnswer()
	return &speech{ui: c.ui, saved: saved}
}

// say shows and saves the next piece.
func (s *speech) say(text string) {
	if s.citer != nil {
		s.put(s.citer.add(text))
		return
	}
	s.put(text, text)
}

// put shows a piece, and saves it without the numbers of its sources.
func (s *speech) put(show, save string) {
	if show == "" && save == "" && s.citer != nil {
		return
	}
	s.shown, s.words = show, s.words || show != ""
	s.ui.Write([]byte(show))
	if s.saved != nil {
		s.saved.write(save)
	}
}

// end ends the answer on the screen and in the journal.
func (s *speech) end(stats store.Stats, partial bool) {
	if s.citer != nil {
		s.put(s.citer.end())
		stats.Sources = encode(s.citer.list)
	}
	if !strings.HasSuffix(s.shown, "\n") {
		s.ui.Write([]byte("\n"))
	}
	if s.saved != nil && (s.words || !s.instead) {
		s.saved.end(stats, partial)
	}
}
