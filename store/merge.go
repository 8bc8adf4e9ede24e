package store

// Merging: what another journal says, as conversations of this one.
//
// A conversation is known again by the second in which it began and by its first message. One that is here with all that
// the other journal has of it, or more, stays as it is; one of which the beginning is here gets the
// rest; any other is added, with its times and what was replaced in it. What is to be remembered is added if it is not here word for word. So a merge that was cut short is finished by the next one,
// and one that is done twice adds nothing. What was deleted here and
// is still in the other journal does: there it was not deleted.

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Merged is what Merge did.
type Merged struct {
	Added, Grown, Known int // conversations
	Messages            int // that were added
	Facts               int // that were added
}

// ErrUnread says that something that was saved can't be read now.
var ErrUnread = errors.New("some messages can't be read now")

// Talk is a conversation from elsewhere.
type Talk struct {
	Conversation
	Said     []Message
	Replaced []Branch
}

// Merge adds the conversations of another journal, which is only read. What it returns with an error is there.
func (s *Store) Merge(ctx context.Context, other *Store) (m Merged, err error) {
	m, err = s.Add(func(add func(Talk) error) error {
		for _, c := range other.Conversations() {
			t := Talk{Conversation: c, Said: other.Messages(c.ID), Replaced: other.Branches(c.ID)}
			for _, w := range t.Said {
				if w.Unread {
					return ErrUnread
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := add(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return m, err
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
	return m, nil
}

// Add adds the conversations for which from calls add. What it returns with an error is there.
func (s *Store) Add(from func(add func(Talk) error) error) (m Merged, err error) {
	type name struct {
		began int64
		first string
	}
	nameOf := func(c Conversation, first Message) name { return name{c.Started.Unix(), plain(first.Text)} }
	here := map[name]int{}
	for _, c := range s.Conversations() {
		here[nameOf(c, s.Messages(c.ID)[0])] = c.ID
	}
	current := s.Current().ID
	err = from(func(t Talk) error {
		n := nameOf(t.Conversation, t.Said[0])
		id := here[n]
		have := s.Messages(id)
		if begins(have, t.Said) {
			m.Known++
			return s.entitle(id, t.Title)
		}
		if !begins(t.Said, have) {
			id, have = 0, nil // they went apart: this is another one
		}
		if id != 0 {
			t.Replaced = nil
		}
		if err := s.take(id, t, len(have)); err != nil {
			return err
		}
		if m.Messages += len(t.Said) - len(have); id != 0 {
			m.Grown++
		} else {
			m.Added++
		}
		here[n] = s.Current().ID
		return nil
	})
	if current != 0 {
		if back := s.GoOn(current); back != nil {
			err = errors.Join(err, back)
		}
	}
	return m, err
}

// plain is a text as files have it, which begin and end messages with empty lines.
func plain(text string) string { return strings.Trim(text, "\n") }

// begins tells whether a conversation begins with these messages. Files have whole seconds.
func begins(all, first []Message) bool {
	if len(first) > len(all) {
		return false
	}
	for i, b := range first {
		if a := all[i]; a.Role != b.Role || plain(a.Text) != plain(b.Text) || a.Time.Unix() != b.Time.Unix() {
			return false
		}
	}
	return true
}

// take adds the messages from the one with index from on to the conversation with this ID or, with 0, to a new one, which
// gets what was replaced as well.
func (s *Store) take(id int, t Talk, from int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := record{kind: kindConversation, ms: t.Started.UnixMilli()}
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
	say := func(list []Message) error {
		for _, w := range list {
			if err := s.commitAll(w); err != nil {
				return err
			}
		}
		return nil
	}
	// Each branch is said where it leaves what stays, and then replaced: those that leave it first come first.
	branches := slices.Clone(t.Replaced)
	slices.SortStableFunc(branches, func(a, b Branch) int { return a.After - b.After })
	for _, b := range branches {
		if err := say(t.Said[from:max(from, b.After)]); err != nil {
			return err
		}
		from = max(from, b.After)
		if err := say(b.Messages); err != nil {
			return err
		}
		if err := s.commit(s.closeReserve(), s.branchAt(b.After)...); err != nil {
			return err
		}
	}
	if err := say(t.Said[from:]); err != nil {
		return err
	}
	return s.titled(s.present(), t.Title)
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
	if title == "" || c.title != "" || s.entry(c).Title == title {
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
