package guide

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
)

// A Message is one turn of a dialogue.
type Message struct {
	Role    string `json:"role"` // "user" or "assistant"
	Content string `json:"content"`
}

// A Document is a dialogue, or a plain text.
type Document struct {
	Messages []Message `json:"messages,omitempty"`
	Text     string    `json:"text,omitempty"`
	Kind     Kind      `json:"-"` // of its first turn
}

// Options say how much text is made. Sizes are in bytes of text.
type Options struct {
	Seed uint64
	Size int // of all training documents together; 0: DefaultSize
}

// DefaultSize asks for little more than the least there is: each question in some two
// forms. More gives further forms.
const DefaultSize = 22 << 20

const (
	minRounds = 2    // how often at least each question as written occurs in some form
	minAsked  = 60   // how often at least each answer of facts/ occurs
	checked   = 0.02 // part of the exchanges that go into the validation set
)

// share is the part of each kind in the training text.
var share = [kinds]float64{About: 0.66, Refusal: 0.15, Talk: 0.10, English: 0.09}

// An exchange is a question and its answer.
type exchange struct {
	question, answer string
	kind             Kind
}

func (e exchange) size() int { return len(e.question) + len(e.answer) }

// Build makes the documents for training and, from questions that occur in none of
// them, those for validation.
func Build(o Options) (train, valid []Document, err error) {
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	facts, ferr := Facts()
	talk, terr := SmallTalk()
	off, serr := subjects(files)
	held, herr := HeldOut()
	if err := errors.Join(ferr, terr, serr, herr); err != nil {
		return nil, nil, err
	}
	if err := checkFacts(append(facts[:len(facts):len(facts)], talk...)); err != nil {
		return nil, nil, err
	}
	b := builder{
		varier: varier{rand.New(rand.NewPCG(o.Seed, 5))},
		known:  map[string]string{},
		banned: map[string]bool{},
		seen:   map[string]bool{},
	}
	for _, q := range held {
		b.banned[Normalize(q.Text)] = true
	}
	budget := func(k Kind) int { return int(share[k] * float64(o.Size)) }
	b.claim(facts)
	b.claim(talk)
	b.ask(facts, About, budget(About), minAsked)
	b.ask(talk, Talk, budget(Talk), minAsked)
	b.refuse(off, budget(Refusal))
	for _, e := range b.train {
		train = append(train, e.document())
	}
	for _, e := range b.valid {
		if !b.seen[strings.ToLower(e.question)] {
			valid = append(valid, e.document())
		}
	}
	stories := newStoryteller(b.Rand)
	for size := 0; size < budget(English); {
		d := Document{Text: stories.text(), Kind: English}
		size += len(d.Text)
		if b.chance(checked) {
			valid = append(valid, d)
		} else {
			train = append(train, d)
		}
	}
	b.Shuffle(len(train), func(i, j int) { train[i], train[j] = train[j], train[i] })
	return train, valid, nil
}

// builder collects exchanges.
type builder struct {
	varier
	known        map[string]string // usual answer to each question, by plainWords
	banned       map[string]bool   // questions of the examination, by Normalize
	train, valid []exchange
	seen         map[string]bool // questions in train, in small letters
}

// claim makes the questions as written belong to their answers, so that no variation of
// another question takes them.
func (b *builder) claim(facts []Fact) {
	for _, f := range facts {
		for _, q := range f.Questions {
			b.known[plainWords(q)] = f.Answers[0]
		}
	}
}

// add takes an exchange unless its question has another answer already or belongs to
// the examination. first is the usual wording of the answer.
func (b *builder) add(e exchange, first string, keep bool) int {
	key := plainWords(e.question)
	if have, ok := b.known[key]; ok && have != first || b.banned[Normalize(e.question)] {
		return 0
	}
	b.known[key] = first
	if !keep && b.chance(checked) {
		b.valid = append(b.valid, e)
		return 0
	}
	b.train = append(b.train, e)
	b.seen[strings.ToLower(e.question)] = true
	return e.size()
}

// wording chooses among the answers: mostly the first. A "Yes." or "No." at its beginning
// is left out where the question is none that could be answered so.
func (b *builder) wording(answers []string, question string) string {
	a := answers[0]
	if b.chance(0.5) {
		a = b.pick(answers)
	}
	if m := yesNo.FindString(a); m != "" && m != a && !closed.MatchString(question) {
		a = upperFirst(a[len(m):])
	}
	return a
}

var (
	yesNo  = regexp.MustCompile(`^(Yes|No)[.,:] `)
	closed = regexp.MustCompile(`(?i)^(can|could|do|does|did|is|are|am|will|would|should|may|must|has|have|was|were|so)\b`)
)

// ask varies the questions of facts until there are size bytes: each question minRounds
// times at least, each answer least times. The first round leaves the words as they are.
func (b *builder) ask(facts []Fact, kind Kind, size, least int) {
	total := 0
	for round := 0; round < minRounds || total < size; round++ {
		for _, f := range facts {
			n := len(f.Questions)
			times := n
			if round < minRounds && n*minRounds < least {
				times = (least + minRounds - 1) / minRounds
			}
			for i := range times {
				asked := fill(b.Rand, f.Questions[i%n], "")
				q := asked
				if round == 0 && i < n {
					q = b.plain(q)
				} else {
					q = b.question(q, kind)
				}
				total += b.add(exchange{q, b.wording(f.Answers, asked), kind}, f.Answers[0], round == 0)
			}
		}
	}
}

// refuse asks what the guide does not know until there are size bytes: each topic of a
// subject about as often, with a template each time.
func (b *builder) refuse(list []subject, size int) {
	total := 0
	for round := 0; total < size; round++ {
		for _, s := range list {
			answers := refusals[s.kind]
			one := func(template, topic string) {
				q := fill(b.Rand, template, topic)
				if b.chance(0.35) {
					q = b.plain(q)
				} else {
					q = b.question(q, Refusal)
				}
				total += b.add(exchange{q, b.wording(answers, q), Refusal}, answers[0], false)
			}
			var with, without []string
			for _, t := range s.templates {
				if strings.Contains(t, "{x}") {
					with = append(with, t)
				} else {
					without = append(without, t)
				}
			}
			for _, topic := range s.topics {
				one(b.pick(with), topic)
			}
			for _, t := range without {
				one(t, "")
			}
		}
	}
}

func (e exchange) document() Document {
	return Document{Messages: []Message{{"user", e.question}, {"assistant", e.answer}}, Kind: e.kind}
}

// Write writes documents as JSON, one on each line.
func Write(w io.Writer, docs []Document) error {
	buf := bufio.NewWriter(w)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// checkFacts looks for what would teach nonsense: a question with two answers, a question
// that no model ever gets since the program takes it, an answer that is too long, a
// character that the corpus does not use.
func checkFacts(facts []Fact) (err error) {
	const maxWords = 60
	complain := func(where, format string, args ...any) {
		err = errors.Join(err, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	}
	owner := map[string]Fact{}
	for _, f := range facts {
		for _, q := range f.Questions {
			key := plainWords(q)
			if other, ok := owner[key]; ok && other.Answers[0] != f.Answers[0] {
				complain(f.Where, "%q is answered differently at %s", q, other.Where)
			}
			owner[key] = f
			if strings.HasPrefix(q, "/") {
				complain(f.Where, "%q never reaches a model: what begins with / is a command", q)
			}
		}
		for _, s := range append(f.Questions[:len(f.Questions):len(f.Questions)], f.Answers...) {
			if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
				complain(f.Where, "%q contains %q; use plain ASCII", s, s[i:])
			}
		}
		for _, a := range f.Answers {
			if n := len(strings.Fields(a)); n > maxWords {
				complain(f.Where, "an answer has %d words, more than %d", n, maxWords)
			}
			if !strings.ContainsAny(a[len(a)-1:], ".!?\"") {
				complain(f.Where, "the answer %q does not end like a sentence", a)
			}
		}
	}
	return err
}

// Bytes counts the text of a document.
func (d Document) Bytes() int {
	n := len(d.Text)
	for _, m := range d.Messages {
		n += len(m.Content)
	}
	return n
}

// Summary tells in a line what documents there are.
func Summary(docs []Document) string {
	var exchanges, size int
	for _, d := range docs {
		exchanges += len(d.Messages) / 2
		size += d.Bytes()
	}
	return fmt.Sprintf("%d documents, %d questions with their answers, %d KiB of text", len(docs), exchanges, size>>10)
}
