package store

// Merging: what another journal says, as conversations of this one.
//
// A conversation is known again by when it began and by its first message. One that is here with all that
// the other journal has of it, or more, stays as it is; one of which the beginning is here gets the
// rest; any other is added, with its times. What is to be remembered is added if it is not here word for word. So a merge that was cut short is finished by the next one,
// and one that is done twice adds nothing. What was replaced in a conversation does not come along. What was deleted here and
// is still in the other journal does: there it was not deleted.

import (
	"context"
	"errors"
	"slices"
	"strconv"
)

// Merged is what Merge did.
type Merged struct {
	Added, Grown, Known int // conversations
	Messages            int // that were added
	Facts               int // that were added
}

// ErrUnread says that something that was saved can't be read now.
var ErrUnread = errors.New("some messages can't be read now")

// Merge adds the conversations of another journal, which is only read. What it returns with an error is there.
func (s *Store) Merge(ctx context.Context, other *Store) (m Merged, err error) {
	type name struct {
		began int64
		first string
	}
	here := map[name]int{}
	for _, c := range s.Conversations() {
		here[name{c.Started.UnixMilli(), s.Messages(c.ID)[0].Text}] = c.ID
	}
	current := s.Current().ID
	for _, c := range other.Conversations() {
		said := other.Messages(c.ID)
		for _, w := range said {
			if w.Unread {
				return m, ErrUnread
			}
		}
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		id := here[name{c.Started.UnixMilli(), said[0].Text}]
		have := s.Messages(id)
		if begins(have, said) {
			m.Known++
			if err := s.entitle(id, c.Title); err != nil {
				return m, err
			}
			continue
		}
		if !begins(said, have) {
			id, have = 0, nil // they went apart: this is another one
		}
		if err := s.take(id, c, said, len(have)); err != nil {
			return m, err
		}
		if m.Messages += len(said) - len(have); id != 0 {
			m.Grown++
		} else {
			m.Added++
		}
	}
	for _, f := range other.Facts() {
		same := func(here Fact) bool { return here.Text == f.Text }
		if slices.ContainsFunc(s.Facts(), same) {
			continue
		}
		if _, err := s.remember(f.Text, f.Time.UnixMilli()); err != nil {
			return m, err
		}
		m.Facts++
	}
	if current != 0 {
		err = s.GoOn(current)
	}
	return m, err
}

// begins tells whether a conversation begins with these messages.
func begins(all, first []Message) bool {
	if len(first) > len(all) {
		return false
	}
	for i, b := range first {
		if a := all[i]; a.Role != b.Role || a.Text != b.Text || a.Time.UnixMilli() != b.Time.UnixMilli() {
			return false
		}
	}
	return true
}

// take adds the messages from the one with index from on to the conversation with this ID or, with 0, to a new one.
func (s *Store) take(id int, c Conversation, said []Message, from int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := record{kind: kindConversation, ms: c.Started.UnixMilli()}
	if id != 0 {
		here, err := s.find(id)
		if err != nil {
			return err
		}
		first = arranged(kindGoOn, here)
	}
	if err := s.commit(s.closeReserve(), first); err != nil {
		return err
	}
	for _, w := range said[from:] {
		if err := s.commitAll(w); err != nil {
			return err
		}
	}
	return s.titled(s.present(), c.Title)
}

// entitle gives the conversation with this ID a title if nobody gave it any.
func (s *Store) entitle(id int, title string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil {
		return err
	}
	return s.titled(c, title)
}

func (s *Store) titled(c *conversation, title string) error {
	if c.title != "" || s.entry(c).Title == title {
		return nil
	}
	return s.commit(s.closeReserve(), arranged(kindTitle, c, "title", title))
}

// commitAll saves a message with the time that it has.
func (s *Store) commitAll(m Message) error {
	ms, text := m.Time.UnixMilli(), []byte(m.Text)
	if m.Role != Assistant {
		return s.commit(s.closeReserve(), record{kind: kindUser, ms: ms, payload: text})
	}
	for ; len(text) > maxPayload/2; text = text[maxPayload/2:] {
		if err := s.commit(s.closeReserve(), record{kind: kindChunk, ms: ms, payload: text[:maxPayload/2]}); err != nil {
			return err
		}
	}
	recs := []record{{kind: kindAnswerEnd, ms: ms, payload: m.Stats.encode(m.Partial)}}
	if len(text) > 0 {
		recs = append([]record{{kind: kindChunk, ms: ms, payload: text}}, recs...)
	}
	return s.commit(s.closeReserve(), recs...)
}

// encode is the payload of the end of an answer.
func (st Stats) encode(partial bool) []byte {
	flag := ""
	if partial {
		flag = "1"
	}
	kv := []string{"model", st.Model, "tokens", strconv.Itoa(st.Tokens),
		"ms", strconv.FormatInt(st.Elapsed.Milliseconds(), 10),
		"context", strconv.Itoa(st.Context), "partial", flag}
	if st.Sources != "" {
		kv = append(kv, "sources", st.Sources)
	}
	return encodePairs(kv...)
}
