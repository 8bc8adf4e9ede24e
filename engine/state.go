package engine

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// What the model remembers of a conversation, its keys and values, is put on
// the drive at shutdown, so that the next session goes on at once instead of
// reading everything that was said again.
//
// It is only a cache. Whatever is wrong with it (damaged, of another model, of
// another conversation, cut short by a cut of power), it is not used, and the
// conversation is read again. The tokens in it are compared with those of the
// conversation, and only what is the same counts; so nothing comes in that was
// not said, and answers are those of a session that never ended. It is as large
// as the medium that is preallocated for it, and holds the beginning of a longer
// conversation.

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

// SaveState saves what the model remembers, if that is worth while and not on the medium already. progress is
// called when it takes time.
func (m *Model) SaveState(to Medium, progress func(total int64) Progress) error {
	if m.session == nil {
		return nil
	}
	tokens := m.session.View()
	if len(tokens) < worthWhile || slices.Equal(tokens, m.restored) {
		return nil
	}
	s := m.stateStream(to, len(tokens), progress)
	defer s.end()
	w := bufio.NewWriterSize(s, stateRequest)
	_, err := m.session.Save(w, to.Size())
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = to.Sync()
	}
	return err
}

// RestoreState gives a fresh context back what the model remembered, as far as that belongs to the conversation.
func (m *Model) RestoreState(from Medium, c *Conversation, p Params, progress func(total int64) Progress) {
	tokens, err := m.session.StateTokens(bufio.NewReaderSize(m.stateStream(from, 0, nil), 64<<10))
	if err != nil {
		return
	}
	m.recognise(c, tokens)
	ids, _ := m.fit(c, nil, m.room(p)) // what leaves the context is told with the next answer
	if n := same(tokens, ids); n >= worthWhile {
		s := m.stateStream(from, len(tokens), progress)
		defer s.end()
		if _, err := m.session.ReadFrom(bufio.NewReaderSize(s, stateRequest)); err == nil {
			m.session.Truncate(n)
			m.restored = tokens
			return
		}
	}
	c.First = 0
}

// stateStream reads or writes the medium from its beginning on, and shows how
// far it is if that takes time.
type stateStream struct {
	medium   Medium
	at       int64
	progress Progress // or nil
}

// stateStream begins one for the state of so many tokens.
func (m *Model) stateStream(medium Medium, tokens int, progress func(total int64) Progress) *stateStream {
	const long = 8 << 20
	s := &stateStream{medium: medium}
	if size := min(m.session.StateSize(tokens), medium.Size()); size >= long && progress != nil {
		s.progress = progress(size)
	}
	return s
}

func (s *stateStream) Write(p []byte) (int, error) {
	n, err := s.medium.WriteAt(p, s.at)
	s.moved(n)
	return n, err
}

func (s *stateStream) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), s.medium.Size()-s.at)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	n, err := s.medium.ReadAt(p, s.at)
	s.moved(n)
	return n, err
}

func (s *stateStream) moved(n int) {
	s.at += int64(n)
	if s.progress != nil {
		s.progress.Set(s.at)
	}
}

func (s *stateStream) end() {
	if s.progress != nil {
		s.progress.Done()
	}
}

// recognise finds the conversation in a state's tokens: it sets c.First to the
// first turn that the model had in its context, and gives answers the very tokens
// they were made of, which the text alone does not tell. It looks no further
// back than a context can reach, and gives up where everybody said the same all
// the time.
func (m *Model) recognise(c *Conversation, tokens []int32) {
	const longToken = 8 // bytes: of a whole context, tokens are shorter than that on average
	c.First = 0
	best, recognised, tries := 0, *c, 1000
	for from := c.tail(longToken * m.session.Cap()); from < len(c.Turns) && tries > 0; from++ {
		if c.Turns[from].Role != "user" {
			continue
		}
		// People may say the same more than once: what follows tells.
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
