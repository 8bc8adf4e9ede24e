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
	ByItself  End = iota // the model had said what it wanted
	Stopped              // ctx was done
	Limited              // by Params.Predict
	Full                 // by the context: even without all older turns there is no room
	Unwritten            // the sink took no more
	Failed               // the model could not go on
)

// Result tells how a conversation was answered.
type Result struct {
	Turn        chat.Turn // the answer, as text and as tokens
	End         End
	Err         error // of Unwritten and Failed
	Dropped     int   // turns that left the context
	OnlyThought bool  // there were tokens, but none for the person

	Prompt, Tokens     int           // tokens: all that the model saw when it began, and those it made
	Reading, Writing   time.Duration // how long both took
	Drafted, Confirmed int           // tokens: guessed ahead, and how many of them rightly
}

// Partial reports whether the answer broke off.
func (r *Result) Partial() bool {
	return r.End == Stopped || r.End == Full || r.End == Unwritten || r.End == Failed
}

// Answer answers the last turn of the conversation, and appends the answer to it. Text goes to the sink as soon as
// it is complete; an error of the sink ends the answer. When the context is full, the oldest turns leave it.
func (m *Model) Answer(ctx context.Context, c *Conversation, p Params, sink func(text string) error) Result {
	var (
		r      Result
		w      = &writer{sink: sink, stops: m.Stops, trim: !m.Plain}
		reader = m.Text.Answer()
		made   []int32
		gen    = m.session.Generate(sample.New(p.Params))
		began  = m.Now()
		from   = c.First
		d0, a0 = gen.Drafted()
		begin  = func(ids []int32) error {
			logits, err := m.eval(ctx, ids)
			if err == nil {
				gen.Begin(logits)
			}
			return err
		}
	)
	ids, first := m.fit(c, nil, m.room(p))
	c.First, r.Prompt = first, len(ids)
	err := begin(ids)
	start := m.Now()
loop:
	for {
		var id int32
		if err == nil {
			id, err = gen.Next(ctx)
		}
		if errors.Is(err, llm.ErrContextFull) && len(made) > 0 {
			// Older turns may make room; this one can't.
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
		w.write(text)
		switch {
		case w.err != nil:
			r.End = Unwritten
			break loop
		case w.cut || !more:
			r.End = ByItself
			break loop
		case p.Predict >= 0 && len(made) >= p.Predict:
			r.End = Limited
			break loop
		case ctx.Err() != nil:
			r.End = Stopped
			break loop
		}
	}
	gen.Settle()
	r.Reading, r.Writing = start.Sub(began), m.Now().Sub(start)
	w.write(reader.End())
	w.end()
	if w.err != nil {
		r.End, r.Err = Unwritten, w.err
	}
	r.Turn = chat.Turn{Role: "assistant", Text: w.text.String(), IDs: reader.IDs()}
	r.OnlyThought = r.Turn.Text == "" && len(made) > len(r.Turn.IDs)
	if w.cut { // a stop string is among the tokens
		r.Turn.IDs = nil
	}
	c.Turns = append(c.Turns, r.Turn)
	r.Tokens, r.Dropped = len(made), c.First-from
	r.Drafted, r.Confirmed = gen.Drafted()
	r.Drafted, r.Confirmed = r.Drafted-d0, r.Confirmed-a0
	return r
}
