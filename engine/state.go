package engine

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// What the model remembers of a conversation, its keys and values, can be saved
// on a medium, so that the next session continues at once instead of reading the
// whole conversation again.
//
// This is only a cache. If anything is wrong with it (it is damaged, cut short by
// a power cut, of another model or of another conversation), it is not used, and
// the conversation is read again. Its tokens are compared with those of the
// conversation, and only what is the same counts. So nothing comes in that was not
// said, and answers are those of a session that never ended. A medium that is too
// small holds the beginning of the conversation.

// Medium is where a state is kept. A WriteAt may be lost until Sync returns.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	Size() int64
	Sync() error
}

// Progress shows how far a long step is, in bytes.
type Progress interface {
	Set(done int64)
	Done()
}

// stateRequest is how much of a state is read and written at once.
const stateRequest = 1 << 20

// SaveState saves what the model remembers, unless that is too little or on the medium already. progress is called
// if this takes time.
func (m *Model) SaveState(to Medium, progress func(total int64) Progress) error {
	if m.session == nil {
		return nil
	}
	tokens := m.session.View()
	if len(tokens) < worthWhile || slices.Equal(tokens, m.restored) {
		return nil
	}
	counter, done := m.count(len(tokens), to, progress)
	defer done()
	w := bufio.NewWriterSize(io.MultiWriter(io.NewOffsetWriter(to, 0), counter), stateRequest)
	_, err := m.session.Save(w, to.Size())
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = to.Sync()
	}
	return err
}

// EraseState makes what was saved useless, and takes the text out of it: of all that a state holds, its tokens come
// first. m, which may be nil, will save its own again.
func (m *Model) EraseState(in Medium) error {
	if m != nil {
		m.restored = nil
	}
	if _, err := in.WriteAt(make([]byte, min(in.Size(), stateRequest)), 0); err != nil {
		return err
	}
	return in.Sync()
}

// RestoreState restores what the model remembered, as far as it belongs to the conversation, in a context that was
// just begun.
func (m *Model) RestoreState(from Medium, c *Conversation, p Params, progress func(total int64) Progress) {
	medium := func() io.Reader { return io.NewSectionReader(from, 0, from.Size()) }
	tokens, err := m.session.StateTokens(bufio.NewReaderSize(medium(), 64<<10))
	if err != nil {
		return
	}
	m.recognise(c, tokens)
	ids, _ := m.fit(c, nil, m.room(p)) // c.First changes with the answer, for the person is told then
	if n := same(tokens, ids); n >= worthWhile {
		counter, done := m.count(len(tokens), from, progress)
		defer done()
		if _, err := m.session.ReadFrom(bufio.NewReaderSize(io.TeeReader(medium(), counter), stateRequest)); err == nil {
			m.session.Truncate(n)
			m.restored = tokens
			return
		}
	}
	c.First = 0
}

// counter shows the progress of what is written to it.
type counter struct {
	Progress
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.Set(c.n)
	return len(p), nil
}

// count counts the bytes of a state of so many tokens, if they are many, and shows that until done is called.
func (m *Model) count(tokens int, medium Medium, progress func(total int64) Progress) (to io.Writer, done func()) {
	const many = 8 << 20
	size := min(m.session.StateSize(tokens), medium.Size())
	if size < many {
		return io.Discard, func() {}
	}
	c := &counter{Progress: progress(size)}
	return c, c.Done
}

// recognise finds the conversation in a state's tokens: it sets c.First to the
// first turn that was in the context, and gives answers the very tokens of which
// they were made, for a text can be made of more than one sequence. It looks no
// further back than a context can reach, and gives up when everybody said the same
// thing all the time.
func (m *Model) recognise(c *Conversation, tokens []int32) {
	const longToken = 8 // bytes; over a whole context the average is less
	c.First = 0
	best, recognised, tries := 0, *c, 1000
	for from := c.tail(longToken * m.session.Cap()); from < len(c.Turns) && tries > 0; from++ {
		if c.Turns[from].Role != "user" {
			continue
		}
		// People may say the same thing more than once: what follows decides.
		try, known := Conversation{c.System, slices.Clone(c.Turns), from}, 0
		for i := from + 1; i <= len(c.Turns); i++ {
			if i < len(c.Turns) && c.Turns[i].Role != "assistant" {
				continue
			}
			begin := Conversation{c.System, try.Turns[:i], from}
			prompt := m.Text.Prompt(begin.turns(from))
			if tries--; same(prompt, tokens) < len(prompt) || tries == 0 {
				break
			}
			known = len(prompt)
			if i < len(c.Turns) && try.Turns[i].IDs == nil {
				try.Turns[i].IDs = m.spelling(try.Turns[i].Text, tokens[known:])
				known += len(try.Turns[i].IDs)
			}
		}
		if known > best {
			best, recognised = known, try
		}
	}
	*c = recognised
}

// spelling returns the beginning of tokens that is an answer's text, or nil.
func (m *Model) spelling(text string, tokens []int32) []int32 {
	reader, said := m.Text.Answer(), ""
	for _, id := range tokens {
		s, more := reader.Write(id)
		said += s
		got := said
		if !m.Plain {
			got = trimmed(said) // as writer does
		}
		if got == text {
			return reader.IDs()
		} else if !more || !strings.HasPrefix(text, got) {
			break
		}
	}
	return nil
}
