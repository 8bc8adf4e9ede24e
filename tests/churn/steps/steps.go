// Package steps is what the program churn does with documents: it writes, appends to, exports,
// renames, shortens and removes them. As it is the same each time, a test on the host can tell
// what must be on the drive after any step.
package steps

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"alphaos/fs/fat"
)

// Dir is the directory of a round, from 1 on, in which all happens.
func Dir(round int) string { return fmt.Sprintf("documents/round %d", round) }

// Round is one session.
type Round struct {
	Steps int               // that Next has returned
	All   map[string]string // what the directory holds after these, by path

	dir string
	r   *rand.Rand
}

// New returns a round from its beginning on.
func New(round int) *Round {
	return &Round{All: map[string]string{}, dir: Dir(round), r: rand.New(rand.NewPCG(uint64(round), 1))}
}

// most is below what fs/fat copies, so that each step is done or not.
const most = 900 << 10

// Next returns the next step, as one that was taken.
func (s *Round) Next() func(*fat.FS) error {
	if s.Steps++; s.Steps == 1 {
		return func(v *fat.FS) error { return v.Mkdir(s.dir) }
	}
	name := fmt.Sprintf("%s/note number %d.md", s.dir, s.r.IntN(12))
	old, there := s.All[name]
	switch k := s.r.IntN(20); {
	case there && k < 5 && len(old) < most/2:
		more := s.text(1 << s.r.IntN(17))
		s.All[name] += more
		return write(name, more, (*fat.FS).OpenWriter)
	case there && k < 7:
		return s.rename(name, fmt.Sprintf("%s/another name, %d.txt", s.dir, s.r.IntN(4)))
	case there && k < 9:
		delete(s.All, name)
		return func(v *fat.FS) error { return v.Remove(name) }
	case there && k < 10:
		size := s.r.IntN(len(old) + 1)
		s.All[name] = old[:size]
		return func(v *fat.FS) error {
			w, err := v.OpenWriter(name)
			if err != nil {
				return err
			}
			return errors.Join(w.Truncate(int64(size)), w.Close())
		}
	case k < 12 && len(s.All) > 0: // over another, maybe
		from := slices.Sorted(maps.Keys(s.All))[s.r.IntN(len(s.All))]
		if from != name {
			return s.rename(from, name)
		}
	case k < 14:
		name = fmt.Sprintf("%s/export %d.md", s.dir, s.r.IntN(2))
		s.All[name] = s.text(most/4 + s.r.IntN(most*3/4))
		return write(name, s.All[name], (*fat.FS).Create)
	}
	s.All[name] = s.text(1 << s.r.IntN(18))
	return write(name, s.All[name], (*fat.FS).Create)
}

func (s *Round) rename(from, to string) func(*fat.FS) error {
	s.All[to] = s.All[from]
	delete(s.All, from)
	return func(v *fat.FS) error { return v.Rename(from, to) }
}

// text is up to n bytes.
func (s *Round) text(n int) string {
	b := make([]byte, s.r.IntN(n+1))
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return string(b)
}

// write writes content in pieces to what open returns.
func write(name, content string, open func(*fat.FS, string) (*fat.Writer, error)) func(*fat.FS) error {
	return func(v *fat.FS) error {
		w, err := open(v, name)
		if err != nil {
			return err
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 50_000)
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				w.Discard()
				return err
			}
			rest = rest[n:]
		}
		return w.Close()
	}
}
