package store

// Conversations: which there are, going on with one, its title, deleting, and replacing
// what was said last.
//
// Other records name a conversation by the number of the record that began it, and a message
// by that of its first one: numbers stay when records before them are lost, a count would not.
//
// What is deleted lies in the journal, and is not read any more, until that is compacted (see
// compact.go); what is replaced stays as a branch. Deleting names the
// conversation and also the records of which it consists, so that it does not come back as a
// part of another one if the record with which it began is lost.

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// arrangedVersion is the version of the records of this file.
const arrangedVersion = 1

// Branch is what was said in a conversation and then replaced.
type Branch struct {
	After    int // how many messages of the conversation come before it
	Messages []Message
}

// arrange replays the records of this file.
func (s *Store) arrange(r *record) {
	p := pairs(r.payload)
	if v, err := strconv.Atoi(p["version"]); err != nil || v > arrangedVersion {
		return
	}
	id, _ := strconv.ParseUint(p["conversation"], 10, 64) // 0, which none has, when there is no number
	// That with which records deal is nearly always one of the last.
	at := len(s.conversations) - 1
	for at >= 0 && s.conversations[at].seq != id {
		at--
	}
	switch r.kind {
	case kindGoOn:
		if at >= 0 {
			s.current = at
		} else { // its beginning is lost; what follows belongs to none that is there
			s.begins(id, r.time())
		}
	case kindTitle:
		if at >= 0 {
			c := &s.conversations[at]
			c.title = p["title"]
			c.titled = append(c.titled, numbers{r.seq, r.seq})
		}
	case kindDelete:
		// An answer of which the rest waits to be saved goes on behind this, unless it is deleted itself.
		var answer uint64
		if s.open {
			answer = s.last().seq
		}
		gone := parseNumbers(p["records"])
		d := deletion{by: r.seq, gone: gone}
		if at >= 0 {
			c := &s.conversations[at]
			d.gone, d.titles = append(d.gone, c.spans...), c.titled
			c.messages, c.branches, c.spans, c.title, c.titled = nil, nil, nil, "", nil
			if s.talking == at {
				s.talking = -1
			}
		}
		facts := parseNumbers(p["facts"])
		d.titles = append(d.titles[:len(d.titles):len(d.titles)], facts...)
		s.unlearn(facts)
		s.deletions = append(s.deletions, d)
		for i := range s.conversations {
			s.conversations[i].drop(gone)
		}
		if c := s.present(); s.open && (len(c.messages) == 0 || s.last().seq != answer) {
			s.open, s.gap = false, false
		}
	case kindBranch:
		from, err := strconv.ParseUint(p["from"], 10, 64)
		if at >= 0 && err == nil {
			s.conversations[at].branch(from)
		}
	}
}

// drop takes out what the records with these numbers said.
func (c *conversation) drop(gone []numbers) {
	meet := func(n numbers) bool {
		return slices.ContainsFunc(gone, func(g numbers) bool { return g.first <= n.last && n.first <= g.last })
	}
	if !slices.ContainsFunc(c.spans, meet) {
		return
	}
	said := func(m message) bool { return meet(numbers{m.seq, m.seq}) }
	for i := range c.branches {
		b := &c.branches[i]
		b.messages = slices.DeleteFunc(b.messages, said)
		for _, m := range c.messages[:min(b.after, len(c.messages))] {
			if said(m) {
				b.after--
			}
		}
	}
	c.branches = slices.DeleteFunc(c.branches, func(b branch) bool { return len(b.messages) == 0 })
	c.messages = slices.DeleteFunc(c.messages, said)
}

// branch makes a branch of the messages from the record with that number on. Branches that
// went out from there begin at the same place then, with what they followed.
func (c *conversation) branch(from uint64) {
	k := len(c.messages)
	for k > 0 && c.messages[k-1].seq >= from {
		k--
	}
	tail := slices.Clone(c.messages[k:])
	if len(tail) == 0 {
		return
	}
	for i := range c.branches {
		if b := &c.branches[i]; b.after > k {
			b.messages = slices.Concat(tail[:min(b.after-k, len(tail))], b.messages)
			b.after = k
		}
	}
	c.branches = append(c.branches, branch{k, tail})
	c.messages = c.messages[:k]
}

func formatNumbers(list []numbers) string {
	var b strings.Builder
	for i, n := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d-%d", n.first, n.last)
	}
	return b.String()
}

// parseNumbers reads what formatNumbers wrote, as far as it is right.
func parseNumbers(text string) (list []numbers) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, _ := strings.Cut(part, "-")
		a, err1 := strconv.ParseUint(first, 10, 64)
		b, err2 := strconv.ParseUint(last, 10, 64)
		if err1 == nil && err2 == nil && a <= b {
			list = append(list, numbers{a, b})
		}
	}
	return list
}

// arranged is a record of this file.
func arranged(k kind, c *conversation, more ...string) record {
	kv := []string{"version", strconv.Itoa(arrangedVersion)}
	if c != nil {
		kv = append(kv, "conversation", strconv.FormatUint(c.seq, 10))
	}
	return record{kind: k, payload: encodePairs(append(kv, more...)...)}
}

// ErrNoConversation says that there is no conversation with that ID.
var ErrNoConversation = errors.New("there is no such conversation")

// find returns the conversation with this ID that has messages.
func (s *Store) find(id int) (*conversation, error) {
	for i := range s.conversations {
		if c := &s.conversations[i]; c.id == id && len(c.messages) > 0 {
			return c, nil
		}
	}
	return nil, ErrNoConversation
}

// present is the current conversation, nil if there is none.
func (s *Store) present() *conversation {
	if len(s.conversations) == 0 {
		return nil
	}
	return &s.conversations[s.current]
}

// NewConversation begins a new conversation. It does nothing when the current
// one is still empty.
func (s *Store) NewConversation() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.present(); c == nil || len(c.messages) == 0 {
		return nil
	}
	return s.commit(s.closeReserve(), record{kind: kindConversation})
}

// GoOn makes the conversation with this ID the current one, also for the next session.
func (s *Store) GoOn(id int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil || c == s.present() {
		return err
	}
	return s.commit(s.closeReserve(), arranged(kindGoOn, c))
}

// Rename gives the conversation with this ID a title; an empty one takes it away.
func (s *Store) Rename(id int, title string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil || c.title == title {
		return err
	}
	return s.commit(s.closeReserve(), arranged(kindTitle, c, "title", title))
}

// Delete deletes the conversation with this ID. If it is the current one, a new one begins.
func (s *Store) Delete(id int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil {
		return err
	}
	recs := []record{arranged(kindDelete, c, "records", formatNumbers(c.spans))}
	if c == s.present() {
		recs = append(recs, record{kind: kindConversation})
	}
	return s.commit(s.closeReserve(), recs...)
}

// Forget deletes the messages of the current conversation from the one with index keep on, and
// all that they replaced.
func (s *Store) Forget(keep int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.present()
	if c == nil || keep >= len(c.messages) {
		return nil
	}
	from := c.messages[keep].seq
	for _, b := range c.branches {
		if b.after >= keep {
			from = min(from, b.messages[0].seq)
		}
	}
	var gone []numbers
	for _, n := range c.spans {
		if n.last >= from {
			gone = append(gone, numbers{max(n.first, from), n.last})
		}
	}
	return s.commit(s.closeReserve(), arranged(kindDelete, nil, "records", formatNumbers(gone)))
}

// branchAt is the record that makes a branch of the messages of the current conversation from
// the one with index keep on. It is needed even if there are none: an answer that was cut off
// does not go on behind it.
func (s *Store) branchAt(keep int) []record {
	c := s.present()
	if c == nil {
		return nil
	}
	from := s.j.seq + 1
	if keep < len(c.messages) {
		from = c.messages[keep].seq
	}
	return []record{arranged(kindBranch, c, "from", strconv.FormatUint(from, 10))}
}

// Replace is AddUser for a message in the place of those of the current conversation from
// the one with index keep on. They stay as a branch.
func (s *Store) Replace(keep int, text string) error { return s.ReplaceAt(keep, text, time.Time{}) }

// ReplaceAt is Replace for a message of an earlier time, as AddUserAt is AddUser.
func (s *Store) ReplaceAt(keep int, text string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(s.branchAt(keep), text, at)
}

// ReplaceAnswer is BeginAnswer for an answer in the place of the messages of the current
// conversation from the one with index keep on. They stay as a branch, from the moment at
// which the first piece of the new answer is saved.
func (s *Store) ReplaceAnswer(keep int) *Answer {
	a := s.BeginAnswer()
	s.mu.Lock()
	defer s.mu.Unlock()
	a.before = s.branchAt(keep)
	return a
}

// Conversation returns the messages of the current conversation.
func (s *Store) Conversation() []Message {
	last, _ := s.Tail(1 << 62)
	return last
}

// Tail returns the last messages of the current conversation, at most n, and
// how many it has. It costs nothing for those before.
func (s *Store) Tail(n int) (last []Message, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.present()
	if c == nil {
		return nil, 0
	}
	return s.read(c.messages[max(0, len(c.messages)-n):]), len(c.messages)
}

// Conversations lists all conversations that have messages, in the order in which they began.
func (s *Store) Conversations() []Conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Conversation
	for i := range s.conversations {
		if c := &s.conversations[i]; len(c.messages) > 0 {
			list = append(list, s.entry(c))
		}
	}
	return list
}

func (s *Store) entry(c *conversation) Conversation {
	name := c.title
	if first := c.messages[0]; name == "" && c.worded != first.seq {
		c.words, c.worded = title(s.message(first).Text), 0
		if !first.answer { // an answer may grow
			c.worded = first.seq
		}
	}
	if name == "" {
		name = c.words
	}
	return Conversation{ID: c.id, Started: c.started, Updated: time.UnixMilli(c.messages[len(c.messages)-1].ms), Title: name, Messages: len(c.messages)}
}

// Current is the current conversation; its ID is 0 when nothing was said in it yet.
func (s *Store) Current() Conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.present(); c != nil && len(c.messages) > 0 {
		return s.entry(c)
	}
	return Conversation{}
}

// Messages returns the messages of the conversation with this ID, nil when
// there is none.
func (s *Store) Messages(id int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil {
		return nil
	}
	return s.read(c.messages)
}

// Branches returns what was replaced in the conversation with this ID, in the order in which
// that was done.
func (s *Store) Branches(id int) []Branch {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.find(id)
	if err != nil {
		return nil
	}
	var list []Branch
	for _, b := range c.branches {
		list = append(list, Branch{b.after, s.read(b.messages)})
	}
	return list
}

// title is the first line of text, at most about fifty characters of it.
func title(text string) string {
	t := strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(t) > 50 {
		r := []rune(t)
		t = string(r[:49]) + "…"
	}
	return t
}
