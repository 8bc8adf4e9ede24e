package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// parse reads a language's file: lines under headings.
//
//	[fillers]           words that are left out
//	[spelling]          misspelled or short: written out
//	[keys]              words to recognise with one wrong letter
//	[own]               words that are not misspelled keys
//	[sets]              name = alternatives
//	[harmless]          phrases that are taken out first
//	[KIND]              phrases of that kind of distress
//	[answer KIND]       the answer to it, as it is shown
//	[sentence]          that the guide knows only English, and what to do
//	[words], [whole]    see identify
//
// Lines that begin with # are comments.
func parse(name, text string) (*language, error) {
	sections := map[string][]string{}
	at := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			at = line[1 : len(line)-1]
			known := slices.Contains([]string{"fillers", "spelling", "keys", "own", "sets", "harmless", "sentence", "words", "whole"}, at) ||
				slices.Contains(kinds, kind(strings.TrimPrefix(at, "answer "))) || at == "answer "+string(unclear)
			if !known || sections[at] != nil {
				return nil, fmt.Errorf("%s.txt:%d: [%s] is no heading, or was there before", name, i+1, at)
			}
			sections[at] = []string{}
		case at == "" && line != "":
			return nil, fmt.Errorf("%s.txt:%d: text before the first heading", name, i+1)
		case line != "":
			sections[at] = append(sections[at], line)
		}
	}
	l := &language{name: name, spelling: map[string][]string{}, fold: func(s string) string { return s }}
	if name == "de" {
		l.fold = umlauts.Replace
	}
	words := func(section string) map[string]bool {
		m := map[string]bool{}
		for _, w := range strings.Fields(strings.Join(sections[section], " ")) {
			m[l.fold(strings.Join(plain(w), ""))] = true
		}
		return m
	}
	l.keys, l.own = slices.Sorted(maps.Keys(words("keys"))), words("own")
	l.words = map[string]bool{}
	for _, w := range strings.Fields(strings.Join(sections["words"], " ")) {
		l.words[strings.Join(plain(w), " ")] = true
	}
	l.whole = map[string]bool{}
	for _, line := range sections["whole"] {
		l.whole[strings.Join(plain(line), " ")] = true
	}
	l.sentence = strings.Join(sections["sentence"], "\n")
	for w := range words("fillers") {
		l.spelling[w] = nil
	}
	for _, line := range sections["spelling"] {
		list, out, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%s.txt: spelling %q has no colon", name, line)
		}
		for in := range strings.SplitSeq(list, ",") {
			l.spelling[l.fold(strings.Join(plain(in), " "))] = strings.Fields(l.fold(strings.Join(plain(out), " ")))
		}
	}
	sets := map[string]string{}
	for _, line := range sections["sets"] {
		set, list, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s.txt: set %q has no equals sign", name, line)
		}
		sets[strings.TrimSpace(set)] = list
	}
	var err error
	c := compiler{language: l, sets: sets, made: map[string]pattern{}}
	compile := func(section string) phrases {
		p, e := c.phrases(sections[section])
		err = errors.Join(err, e)
		return p
	}
	l.harmless = compile("harmless")
	for _, k := range kinds {
		if sections[string(k)] == nil {
			continue
		}
		if l.distress == nil {
			l.distress, l.answers = map[kind]phrases{}, map[kind]string{}
		}
		l.distress[k] = compile(string(k))
	}
	for _, k := range append([]kind{unclear}, kinds...) {
		if l.distress == nil {
			break
		}
		l.answers[k] = strings.Join(sections["answer "+string(k)], "\n")
		if l.answers[k] == "" {
			err = errors.Join(err, fmt.Errorf("there is no answer to %s", k))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s.txt: %w", name, err)
	}
	return l, nil
}

// umlauts are written in two ways, and often in a third, without dots.
var umlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u")
