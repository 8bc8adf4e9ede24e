// Package guide writes the text that the small guide model is trained on, and holds
// the questions that it is examined with.
//
// All of the text is this project's own. What is known about AlphaOS lies in facts/:
// blocks of questions with the one answer they have. Small talk lies in talk/, in the
// same form. What is none of the guide's business lies in refuse/: topics and the
// questions people ask about them, all of which have the same few answers. Simple
// English for fluency comes from a grammar (english.go).
//
// [Build] makes documents of these: a question with its answer, and stories. Each
// question stands alone, as the model is shown it (alphaos.chat.turns).
// Questions are varied as people vary them (vary.go): polite or short, with and without
// capitals, with other words for the same thing, with a wrong letter now and then.
// Answers are never varied, since each must stay true word by word.
//
// The examination lies in heldout/: questions in other words, with keywords that tell a
// right answer from a wrong one (heldout.go). What newcomers asked lies in newcomers/, in
// the same form.
//
// Invariants: the same seed gives the same bytes; each question as written occurs at
// least minRounds times; no two dialogues ask the same and answer
// differently; no question of heldout/ is asked.
package guide

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed facts/*.txt talk/*.txt refuse/*.txt heldout/*.txt newcomers/*.txt
var files embed.FS

// A Kind says what a text is about.
type Kind int

const (
	About   Kind = iota // AlphaOS
	Refusal             // what the guide cannot know
	Talk                // small talk
	English             // plain text for fluency
	kinds
)

func (k Kind) String() string { return [...]string{"about", "refusal", "talk", "english"}[k] }

// A Fact is one answer and the questions it answers.
type Fact struct {
	Where     string   // file and line
	Questions []string // at least one
	Answers   []string // wordings of the same answer, at least one; the first is the usual one
}

// Facts returns what is known about AlphaOS.
func Facts() ([]Fact, error) { return readFacts(files, "facts") }

// SmallTalk returns greetings and the like.
func SmallTalk() ([]Fact, error) { return readFacts(files, "talk") }

// readFacts reads all files of a directory, in the order of their names. Blocks that
// begin with the same answer are one fact.
func readFacts(fsys fs.FS, dir string) ([]Fact, error) {
	blocks, err := readBlocks(fsys, dir, "Q", "A")
	var facts []Fact
	at := map[string]int{} // the fact of each first answer
	for _, b := range blocks {
		f := Fact{b.where, b.values("Q"), b.values("A")}
		if len(f.Questions) == 0 || len(f.Answers) == 0 {
			err = errors.Join(err, fmt.Errorf("%s: a block needs a line \"Q:\" and a line \"A:\"", b.where))
			continue
		}
		if i, ok := at[f.Answers[0]]; ok {
			facts[i].Questions = append(facts[i].Questions, f.Questions...)
			for _, a := range f.Answers {
				if !slices.Contains(facts[i].Answers, a) {
					facts[i].Answers = append(facts[i].Answers, a)
				}
			}
			continue
		}
		at[f.Answers[0]] = len(facts)
		facts = append(facts, f)
	}
	return facts, err
}

// A block is a run of lines "KEY: value" between blank lines.
type block struct {
	where string
	lines []line
}

type line struct{ key, value string }

// values returns the values of a key, in their order.
func (b block) values(key string) []string {
	var list []string
	for _, l := range b.lines {
		if l.key == key {
			list = append(list, l.value)
		}
	}
	return list
}

// readBlocks reads the blocks of all text files in a directory. Lines that begin with
// # are comments. A line that is none of the keys is an error, which names its place;
// the other blocks are returned all the same.
func readBlocks(fsys fs.FS, dir string, keys ...string) (blocks []block, err error) {
	names, err := fs.Glob(fsys, dir+"/*.txt")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there are no .txt files in %s", dir)
	}
	for _, name := range names {
		data, rerr := fs.ReadFile(fsys, name)
		if rerr != nil {
			return nil, rerr
		}
		list, perr := parseBlocks(name, string(data), keys...)
		blocks, err = append(blocks, list...), errors.Join(err, perr)
	}
	return blocks, err
}

func parseBlocks(name, text string, keys ...string) (blocks []block, err error) {
	var b block
	end := func() {
		if len(b.lines) > 0 {
			blocks = append(blocks, b)
		}
		b = block{}
	}
	for i, s := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		s = strings.TrimSpace(s)
		switch {
		case s == "":
			end()
			continue
		case strings.HasPrefix(s, "#"):
			continue
		}
		key, value, ok := strings.Cut(s, ":")
		value = strings.TrimSpace(value)
		if !ok || !slices.Contains(keys, key) {
			err = errors.Join(err, fmt.Errorf("%s: %q is no line of the form KEY: TEXT, where KEY is one of %s", where, s, strings.Join(keys, ", ")))
			continue
		}
		if value == "" {
			err = errors.Join(err, fmt.Errorf("%s: nothing follows %q", where, key+":"))
			continue
		}
		if b.where == "" {
			b.where = where
		}
		b.lines = append(b.lines, line{key, value})
	}
	end()
	return blocks, err
}
