package assistant

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"alphaos/fs"
	"alphaos/llm/chat"
	"alphaos/store"
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
// as the file that is preallocated for it, and holds the beginning of a longer
// conversation. Nothing of what was said after /set nohistory comes into it.

// stateRequest is how much of a state is read and written at once.
const stateRequest = 1 << 20

// saveState saves what the model remembers.
func (a *assistant) saveState() {
	if a.State == nil || a.Store == nil || a.session == nil || a.secret || len(a.turns) == 0 {
		return
	}
	tokens := a.session.View()
	if len(tokens) < warmLeast || slices.Equal(tokens, a.restored) {
		return // read soon enough; or on the drive already
	}
	to := a.stateStream("Saving what the model remembers", len(tokens))
	w := bufio.NewWriterSize(to, stateRequest)
	_, err := a.session.Save(w, a.State.Size())
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = a.State.Sync()
	}
	to.end()
	if err != nil {
		a.UI.Quiet("What the model remembers could not be saved, so it will read the conversation again: " + fs.Explain(err))
	}
}

// restoreState gives a fresh session back what the model remembered, as far as
// that belongs to this conversation.
func (a *assistant) restoreState() {
	if a.State == nil || len(a.turns) == 0 {
		return
	}
	tokens, err := a.session.StateTokens(bufio.NewReaderSize(a.stateStream("", 0), 64<<10))
	if err != nil {
		return
	}
	first := a.recognise(tokens)
	a.first = first
	ids, _ := a.ids(nil, a.room())
	a.first = first // what leaves the context is told with the next answer
	n := 0
	for n < len(tokens) && n < len(ids) && tokens[n] == ids[n] {
		n++
	}
	if n >= warmLeast {
		from := a.stateStream("Recalling the conversation", len(tokens))
		defer from.end()
		if _, err := a.session.ReadFrom(bufio.NewReaderSize(from, stateRequest)); err == nil {
			a.session.Truncate(n)
			a.restored = tokens
			return
		}
	}
	a.first = 0
}

// stateStream reads or writes the medium from its beginning on, and shows how
// far it is if that takes time.
type stateStream struct {
	medium   store.Medium
	at       int64
	progress Progress // or nil
}

// stateStream begins one for the state of so many tokens.
func (a *assistant) stateStream(title string, tokens int) *stateStream {
	const long = 8 << 20
	s := &stateStream{medium: a.State}
	if size := min(a.session.StateSize(tokens), a.State.Size()); size >= long {
		s.progress = a.UI.Progress(title, size)
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

// recognise finds the conversation in a state's tokens: it returns the first
// turn that the model had in its context, and gives answers the very tokens
// they were made of, which the text alone does not tell. It looks no further
// back than a context can reach, and gives up where everybody said the same all
// the time.
func (a *assistant) recognise(tokens []int32) (first int) {
	begins := func(turns []chat.Turn) (after int, ok bool) {
		p := a.model.Prompt(a.context(turns))
		return len(p), len(p) <= len(tokens) && slices.Equal(p, tokens[:len(p)])
	}
	const longToken = 8 // bytes: of a whole context, tokens are shorter than that on average
	best, recognised, tries := 0, a.turns, 1000
	for from := a.tail(longToken * a.session.Cap()); from < len(a.turns) && tries > 0; from++ {
		if a.turns[from].Role != store.User {
			continue
		}
		// People may say the same more than once: what follows tells.
		turns, known := slices.Clone(a.turns), 0
		for i := from + 1; i <= len(turns); i++ {
			if i < len(turns) && turns[i].Role != store.Assistant {
				continue
			}
			at, ok := begins(turns[from:i])
			if tries--; !ok || tries == 0 {
				break
			}
			known = at
			if i < len(turns) && turns[i].IDs == nil {
				turns[i].IDs = a.spelling(turns[i].Text, tokens[at:])
				known += len(turns[i].IDs)
			}
		}
		if known > best {
			first, best, recognised = from, known, turns
		}
	}
	a.turns = recognised
	return first
}

// spelling returns the beginning of tokens that is an answer's text, or nil.
func (a *assistant) spelling(text string, tokens []int32) []int32 {
	trim := func(s string) string {
		if a.model.Plain() {
			return s
		}
		return strings.TrimLeft(s, " \t\r\n") // as answerWriter does
	}
	answer, said := a.model.Answer(), ""
	for _, id := range tokens {
		s, more := answer.Write(id)
		said += s
		if got := trim(said); got == text {
			return answer.IDs()
		} else if !more || !strings.HasPrefix(text, got) {
			break
		}
	}
	return nil
}
