package guide

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Question is what the model is asked to see how good it is, with the keys to judge
// its answer.
type Question struct {
	Where   string // file and line
	Text    string
	Kind    Kind       // About or Refusal
	Require [][]string // groups of words: of each group one must occur
	Forbid  []string   // none may occur
}

// HeldOut returns the questions of the examination.
func HeldOut() ([]Question, error) { return Questions(files, "heldout") }

// Newcomers returns what somebody asked who had seen neither the facts nor the
// examination. These questions are not kept out of the corpus: some short ones, such as
// "help", are asked there word for word, and leaving them out would harm the guide. So
// they tell how it does with a newcomer, rather than how far it generalises. Small talk
// and what is too vague to answer count as About.
func Newcomers() ([]Question, error) { return Questions(files, "newcomers") }

// Questions returns those in the text files of a directory.
func Questions(fsys fs.FS, dir string) ([]Question, error) {
	blocks, err := readBlocks(fsys, dir, "Q", "require", "forbid", "kind")
	var list []Question
	for _, b := range blocks {
		q, qerr := parseQuestion(b)
		err = errors.Join(err, qerr)
		if qerr == nil {
			list = append(list, q)
		}
	}
	return list, err
}

func parseQuestion(b block) (Question, error) {
	text, require, kind := b.values("Q"), b.values("require"), b.values("kind")
	if len(text) != 1 || len(require) == 0 || len(kind) != 1 {
		return Question{}, fmt.Errorf("%s: a question needs one line \"Q:\", lines \"require:\" and one line \"kind:\"", b.where)
	}
	q := Question{Where: b.where, Text: text[0]}
	switch kind[0] {
	case "about":
		q.Kind = About
	case "offtopic":
		q.Kind = Refusal
	default:
		return q, fmt.Errorf("%s: kind %q is neither about nor offtopic", b.where, kind[0])
	}
	split := func(s, by string) (parts []string, err error) {
		for _, p := range strings.Split(s, by) {
			if p = strings.ToLower(strings.TrimSpace(p)); p == "" {
				return nil, fmt.Errorf("%s: %q has an empty part", b.where, s)
			}
			parts = append(parts, p)
		}
		return parts, nil
	}
	for _, r := range require {
		groups, err := split(r, ",")
		if err != nil {
			return q, err
		}
		for _, g := range groups {
			words, err := split(g, "|")
			if err != nil {
				return q, err
			}
			q.Require = append(q.Require, words)
		}
	}
	for _, f := range b.values("forbid") {
		words, err := split(f, ",")
		if err != nil {
			return q, err
		}
		q.Forbid = append(q.Forbid, words...)
	}
	return q, nil
}

// Judge tells what is wrong with an answer; nil if it has the facts.
func (q Question) Judge(answer string) error {
	a := strings.ToLower(answer)
groups:
	for _, g := range q.Require {
		for _, w := range g {
			if strings.Contains(a, w) {
				continue groups
			}
		}
		return fmt.Errorf("%q is missing", strings.Join(g, "|"))
	}
	for _, w := range q.Forbid {
		if strings.Contains(a, w) {
			return fmt.Errorf("%q must not be in it", w)
		}
	}
	return nil
}
