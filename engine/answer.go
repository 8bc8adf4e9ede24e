package engine

import (
	"context"
	"errors"
	"time"

	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
)

// An End says why an answer ended.
type End int

const (
	ByItself  End = iota // the model ended it
	Stopped              // ctx was done
	Limited              // it has Params.Predict tokens
	Full                 // the context is full, even without older turns
	Unwritten            // the sink returned an error
	Failed               // the model could not go on
)

// Result tells how a conversation was answered.
type Result struct {
	Turn        chat.Turn // the answer
	End         End
	Err         error // if End is Unwritten or Failed
	Dropped     int   // how many turns left the context
	OnlyThought bool  // tokens came, but no text for the person

	Thoughts      string        // what the model thought before
	ThoughtTokens int           // of these thoughts
	Thinking      time.Duration // how long that took
	Concluded     bool          // Params.ThinkBudget ended them

	Prompt, Tokens     int           // tokens of the prompt and of the answer
	Reading, Writing   time.Duration // how long they took
	Drafted, Confirmed int           // tokens that were drafted, and how many of these were right
}

// Partial reports whether the answer broke off.
func (r *Result) Partial() bool {
	return r.End == Stopped || r.End == Full || r.End == Unwritten || r.End == Failed
}

// think takes the thoughts that have come.
func (r *Result) think(t Thinker, tell func(text string)) {
	if s := t.Thought(); s != "" {
		r.Thoughts += s
		tell(s)
	}
}

// Answer answers the last turn of the conversation and appends the answer to the turns. Text goes to sink as soon as
// it is complete; an error of sink ends the answer. When the context is full, the oldest turns leave it. m.Reading
// is told how the reading of the prompt comes along.
func (m *Model) Answer(ctx context.Context, c *Conversation, p Params, sink func(text string) error) Result {
	reading := m.Reading
	if reading == nil {
		reading = func(int, int) {}
	}
	thought := m.Thought
	if thought == nil {
		thought = func(string) {}
	}
	var (
		r      Result
		w      = &writer{sink: sink, stops: m.Stops, trim: !m.Plain}
		reader = m.Text.Answer()
		made   []int32
		gen    = m.session.Generate(sample.New(p.Params))
		began  = m.Now()
		first  = c.First

		thinker, _         = reader.(Thinker)
		drafted, confirmed = gen.Drafted()
		begin              = func(ids []int32) error {
			logits, err := m.eval(llm.WithProgress(ctx, reading), ids)
			if err == nil {
				gen.Begin(logits)
			}
			return err
		}
	)
	var ids []int32
	ids, c.First = m.fit(c, nil, m.room(p))
	r.Prompt = len(ids)
	err := begin(ids)
	start := m.Now()
	for {
		var id int32
		if err == nil {
			id, err = gen.Next(ctx)
		}
		if errors.Is(err, llm.ErrContextFull) && len(made) > 0 { // older turns may make room
			if ids, c.First = m.fit(c, made, 1); len(ids) > m.session.Cap() {
				r.End = Full
				break
			}
			err = begin(ids)
			continue
		}
		if err != nil {
			if r.End, r.Err = Failed, err; ctx.Err() != nil {
				r.End, r.Err = Stopped, nil
			}
			break
		}
		text, more := reader.Write(id)
		if more {
			made = append(made, id)
		}
		if thinker != nil {
			if r.think(thinker, thought); thinker.Thinking() && !r.Concluded {
				r.ThoughtTokens, r.Thinking = len(made), m.Now().Sub(start)
				if p.ThinkBudget > 0 && len(made) >= p.ThinkBudget {
					r.Concluded = true
					for _, id := range thinker.Conclude() { // as if the model had come to an end of it
						said, _ := reader.Write(id)
						text, made = text+said, append(made, id)
					}
					r.think(thinker, thought)
					gen.Settle()
					if ids, c.First = m.fit(c, made, 1); len(ids) > m.session.Cap() {
						r.End, more = Full, false
					} else {
						err = begin(ids)
					}
				}
			}
		}
		w.write(text)
		if !more || w.cut || w.err != nil {
			break
		}
		if p.Predict >= 0 && len(made) >= p.Predict {
			r.End = Limited
			break
		}
		if ctx.Err() != nil {
			r.End = Stopped
			break
		}
	}
	gen.Settle()
	r.Reading, r.Writing = start.Sub(began), m.Now().Sub(start)
	w.write(reader.End())
	w.end()
	if thinker != nil {
		r.think(thinker, thought)
	}
	if w.err != nil {
		r.End, r.Err = Unwritten, w.err
	}
	r.Turn = chat.Turn{Role: "assistant", Text: w.text.String(), IDs: reader.IDs()}
	r.OnlyThought = r.Turn.Text == "" && len(made) > len(r.Turn.IDs)
	if w.cut { // the tokens include the stop string
		r.Turn.IDs = nil
	}
	c.Turns = append(c.Turns, r.Turn)
	r.Tokens, r.Dropped = len(made), c.First-first
	r.Drafted, r.Confirmed = gen.Drafted() // since the context was begun
	r.Drafted, r.Confirmed = r.Drafted-drafted, r.Confirmed-confirmed
	return r
}
