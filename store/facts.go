package store

// Facts: what a person told to remember, whatever conversation goes on. A fact is a record of its own, and named by its
// number. One that is forgotten or said otherwise is deleted as conversations are: it is not read any more at once, and taken
// out of the journal when that is compacted.

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fact is something to be remembered.
type Fact struct {
	ID   uint64
	Text string
	Time time.Time // when it was said
}

// ErrNoFact says that there is no fact with that ID.
var ErrNoFact = errors.New("that is not remembered any more")

// fact replays a kindFact.
func (s *Store) fact(r *record) {
	p := pairs(r.payload)
	if v, err := strconv.Atoi(p["version"]); err == nil && v <= arrangedVersion && p["text"] != "" {
		s.facts = append(s.facts, Fact{r.seq, p["text"], r.time()})
	}
}

// unlearn takes out the facts of these records.
func (s *Store) unlearn(gone []numbers) {
	s.facts = slices.DeleteFunc(s.facts, func(f Fact) bool {
		return slices.ContainsFunc(gone, func(n numbers) bool { return n.first <= f.ID && f.ID <= n.last })
	})
}

// Facts lists what is to be remembered, in the order in which it was said.
func (s *Store) Facts() []Fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.facts)
}

// MaxFact is how long a fact may be, in bytes.
const MaxFact = 2000

// Remember saves something to be remembered, and returns it.
func (s *Store) Remember(text string) (Fact, error) { return s.remember(text, 0) }

func (s *Store) remember(text string, ms int64) (Fact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.learn(text, ms)
}

// Revise puts another text in the place of a fact.
func (s *Store) Revise(id uint64, text string) (Fact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.knows(id) {
		return Fact{}, ErrNoFact
	}
	return s.learn(text, 0, forgetting(id))
}

// Unremember deletes a fact.
func (s *Store) Unremember(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.knows(id) {
		return ErrNoFact
	}
	return s.commit(s.closeReserve(), forgetting(id))
}

func (s *Store) knows(id uint64) bool {
	return slices.ContainsFunc(s.facts, func(f Fact) bool { return f.ID == id })
}

func forgetting(id uint64) record {
	return arranged(kindDelete, nil, "facts", formatNumbers([]numbers{{id, id}}))
}

// learn saves a fact, and other records with it.
func (s *Store) learn(text string, ms int64, before ...record) (Fact, error) {
	if text = strings.TrimSpace(text); text == "" || len(text) > MaxFact {
		return Fact{}, errors.New("what is to be remembered must have 1 to " + strconv.Itoa(MaxFact) + " bytes")
	}
	fact := arranged(kindFact, nil, "text", text)
	fact.ms = ms
	if err := s.commit(s.closeReserve(), append(before, fact)...); err != nil {
		return Fact{}, err
	}
	return s.facts[len(s.facts)-1], nil
}
