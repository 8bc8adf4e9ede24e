// Package rules answers by rule what the small guide model must not answer
// itself: people in distress, and those who write in another language than
// English, the only one that it knows.
//
// A model of a few million parameters may say anything to somebody who wants to
// die. So before it is asked, [Answer] looks for distress: suicide and self-harm, of the
// person or of somebody else, violence suffered or threatened, medical emergencies,
// poisoning. What it says then is fixed: what to do now, whom to call, and that a program on
// a stick can call nobody. It would rather speak once too often: a kind answer to
// somebody who did not need it does no harm.
//
// Two judges look for distress: phrases, which also tell its kind, and where none of
// them is found a linear classifier (score.go), which knows only that it is
// distress; its answer is for danger and for despair. It is trained on the messages of
// the tests: go test ./models/rules -run TestWeights -update.
//
// All that belongs to a language lies in one file, named after it: the phrases
// of distress, the answers, the words by which the language is known and the sentence
// that says that the guide knows only English. phrases.go tells how phrases are written.
// Distress is recognised in English, German, Spanish and French; the
// sentences of all other languages name an emergency number instead.
package rules

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed *.txt
var files embed.FS

// Guide is general.name, the name inside its file, of the guide model. Those of other
// versions begin with it.
const Guide = "AlphaOS guide"

// IsGuide tells whether general.name is a guide model's, whatever its file is called.
func IsGuide(name string) bool { return strings.HasPrefix(name, Guide) }

// A kind of distress.
type kind string

// The kinds, the most urgent one first.
var kinds = []kind{"poison", "emergency", "other's suicide", "suicide", "violence", "harm"}

// unclear is distress of a kind that is not known.
const unclear kind = "distress"

// A language as its file describes it.
type language struct {
	name     string
	spelling map[string][]string // how words are written in phrases; "" leaves one out
	keys     []string            // in alphabetical order, words that are recognised with one wrong letter
	own      map[string]bool     // words like those, which mean something else
	harmless phrases             // what only sounds like distress
	distress map[kind]phrases    // nil: distress is not recognised
	answers  map[kind]string     // to each kind
	sentence string              // that the guide knows only English
	words    map[string]bool     // by which the language is known
	whole    map[string]bool     // messages that are nothing but this language
	fold     func(string) string // what is written in several ways becomes the same
}

// languages are read when they are first needed.
var languages = sync.OnceValue(func() []*language {
	names, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	var list []*language
	for _, f := range names {
		text, err := files.ReadFile(f.Name())
		if err != nil {
			panic(err)
		}
		l, err := parse(strings.TrimSuffix(f.Name(), ".txt"), string(text))
		if err != nil { // a test reads all files
			panic(fmt.Errorf("rules: %w", err))
		}
		list = append(list, l)
	}
	return list
})

// longest is how many bytes are read at each end of a message, which may
// be a whole pasted file.
const longest = 2048

// Answer answers a message by rule. Where it does not, ok is false, and the
// message is for the model.
//
// Of a message longer than 4 KiB it reads the first and the last 2 KiB.
func Answer(message string) (answer string, ok bool) {
	if len(message) > 2*longest {
		message = message[:longest] + "\n" + message[len(message)-longest:]
	}
	written := identify(message)
	if l, k := distress(message, written); k != "" {
		return l.answers[k], true
	}
	if written != "" && written != english {
		return sentence(written), true
	}
	return "", false
}

// distress tells which kind of distress a message tells of, "" if of none, and
// in which language. The one that the message is written in goes first, because some
// words are the same in several.
func distress(message, written string) (*language, kind) {
	if written == "" {
		written = english
	}
	var own *language
	for _, same := range []bool{true, false} {
		for _, l := range languages() {
			if l.distress == nil || (l.name == written) != same {
				continue
			}
			if same {
				own = l
			}
			words := l.normal(message)
			for _, k := range kinds {
				if i, _ := l.distress[k].find(words, 0); i >= 0 {
					return l, k
				}
			}
		}
	}
	if own != nil && score(message) > threshold[written] {
		return own, unclear
	}
	return nil, ""
}
