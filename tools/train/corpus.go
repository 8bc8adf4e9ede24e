package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"alphaos/llm/tokenizer"
)

// Message is a turn of a dialogue.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Document is a dialogue or a plain text.
type Document struct {
	Messages []Message `json:"messages"`
	Text     string    `json:"text"`
}

// Corpus is the texts to learn from and those to check with.
type Corpus struct {
	Train, Valid []Document
	Sum          [32]byte // SHA-256 of the files, one after the other
}

// ReadCorpus reads train.jsonl and valid.jsonl in a directory: one document a
// line, as JSON.
func ReadCorpus(dir string) (*Corpus, error) {
	c := &Corpus{}
	hash := sha256.New()
	for _, part := range []struct {
		name string
		docs *[]Document
	}{{"train.jsonl", &c.Train}, {"valid.jsonl", &c.Valid}} {
		f, err := os.Open(filepath.Join(dir, part.name))
		if err != nil {
			return nil, fmt.Errorf("cannot read the corpus (alphaos model corpus writes it): %w", err)
		}
		*part.docs, err = ReadDocuments(io.TeeReader(f, hash))
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		if len(*part.docs) == 0 {
			return nil, fmt.Errorf("%s has no documents", part.name)
		}
	}
	hash.Sum(c.Sum[:0])
	return c, nil
}

const longestLine = 1 << 20 // bytes

// ReadDocuments reads one document a line.
func ReadDocuments(r io.Reader) (docs []Document, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, longestLine)
	for n := 1; s.Scan(); n++ {
		var d Document
		if err := json.Unmarshal(s.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if (d.Text == "") == (len(d.Messages) == 0) {
			return nil, fmt.Errorf("line %d: a document has either messages or a text", n)
		}
		for _, m := range d.Messages {
			if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) || m.Content == "" {
				return nil, fmt.Errorf("line %d: a message of role %q with %d bytes; roles are system, user and assistant, and none is silent", n, m.Role, len(m.Content))
			}
		}
		docs = append(docs, d)
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line is longer than %d bytes", longestLine)
	}
	return docs, s.Err()
}

// userWeight is how much the prediction of what people say counts, beside 1
// for what the assistant says and for plain text.
const userWeight = 0.1

// The first tokens of an answer decide which answer it is. Once the model can
// write answers, their prediction counts as much.
const (
	decidingTokens = 8
	decidingWeight = 3
)

// encoded is a document's tokens after the one that begins a text.
type encoded struct {
	ids      []int32
	weights  []float32 // of the prediction of each token
	dialogue bool
	answer   int // where the text of the last answer begins
}

// A manner is how documents become tokens.
type manner int

const (
	written manner = iota // texts as they are
	asked                 // questions as the chat template writes them, and deciding tokens count more
)

func (v *Vocabulary) encode(t *tokenizer.Tokenizer, docs []Document, user float32, how manner) []encoded {
	control := func(text string) int32 { return int32(slices.Index(v.Tokens, text)) }
	end := control(endToken)
	list := make([]encoded, len(docs))
	for i, d := range docs {
		e := &list[i]
		add := func(text string, weight float32) {
			ids := append(t.Encode(text, tokenizer.EncodeOptions{}), end)
			e.ids = append(e.ids, ids...)
			e.weights = append(e.weights, slices.Repeat([]float32{weight}, len(ids))...)
		}
		if d.Text != "" {
			add(d.Text, 1)
			continue
		}
		e.dialogue = true
		for _, m := range d.Messages {
			weight, text := user, m.Content
			e.ids = append(e.ids, control("<|"+m.Role+"|>"))
			e.weights = append(e.weights, 0)
			if m.Role == "assistant" {
				weight, e.answer = 1, len(e.ids)
			}
			if m.Role == "user" && how == asked {
				text = heard(text)
			}
			add(text, weight)
			if m.Role == "assistant" && how == asked {
				first := e.weights[e.answer:]
				for i := range first[:min(len(first), decidingTokens)] {
					first[i] = decidingWeight
				}
			}
		}
	}
	return list
}

// stream deals out documents for ever, in another order every epoch. What comes
// depends on the seed and on how many were dealt, on nothing else.
type stream struct {
	docs    []encoded // as written
	asked   []encoded // the same, as asked
	begin   int32     // token
	tokens  int       // of the vocabulary
	context int
	seed    uint64
	next    int // documents dealt so far
	epoch   int // of order
	order   []int
}

func newStream(docs, asked []encoded, begin int32, tokens, context int, seed uint64) *stream {
	return &stream{docs: docs, asked: asked, begin: begin, tokens: tokens, context: context, seed: seed, epoch: -1}
}

func (s *stream) doc(i int, how manner) *encoded {
	if epoch := i / len(s.docs); epoch != s.epoch {
		s.epoch = epoch
		s.order = rand.New(rand.NewPCG(s.seed, uint64(epoch))).Perm(len(s.docs))
	}
	if how == asked {
		return &s.asked[s.order[i%len(s.docs)]]
	}
	return &s.docs[s.order[i%len(s.docs)]]
}

// A Lesson is what the steps up to Until learn, and how.
type Lesson struct {
	Until   int     // step
	Batch   int     // tokens of a step at most
	Asked   bool    // questions as the chat template writes them, and deciding tokens count more
	Stories bool    // also plain texts
	Cut     float64 // part of the dialogues of which only the beginning of the last answer is taken
	Lost    float64 // part of the words said to the assistant for which any other stands, so that an answer hangs on no single one
}

// Answers are cut, in later lessons, since what follows their beginning is soon
// known by heart, while it takes many questions to learn which answer they want.
const (
	cutLeast = 3 // tokens that stay
	cutMost  = 14
)

// fill makes the batch of a step.
func (s *stream) fill(b *batch, l *Lesson) {
	b.reset()
	how, size := written, l.Batch
	if l.Asked {
		how = asked
	}
	for {
		if !l.Stories && !s.doc(s.next, how).dialogue {
			s.next++
			continue
		}
		d := s.doc(s.next, how)
		r := rand.New(rand.NewPCG(s.seed^0x6a6f696e, uint64(s.next)))
		n := 1 + len(d.ids)
		if d.dialogue && r.Float64() < l.Cut {
			n = min(n, 1+d.answer+cutLeast+r.IntN(cutMost-cutLeast+1))
		}
		n = min(n, s.context, size)
		if len(b.ids)+n > size {
			return
		}
		start := len(b.ids)
		b.ids, b.weights = append(b.ids, s.begin), append(b.weights, 0)
		b.ids, b.weights = append(b.ids, d.ids[:n-1]...), append(b.weights, d.weights[:n-1]...)
		for i := start; l.Lost > 0 && i < len(b.ids); i++ {
			if first := len(controls); b.weights[i] == userWeight && int(b.ids[i]) >= first && r.Float64() < l.Lost {
				b.ids[i], b.weights[i] = int32(first+r.IntN(s.tokens-first)), 0
			}
		}
		b.close(start)
		s.next++
	}
}

// close makes a segment of the tokens from start on. Up to here weights were
// those of predicting each token, now they are those of predicting the next.
func (b *batch) close(start int) {
	n := len(b.ids) - start
	b.segments = append(b.segments, segment{start, n})
	b.targets = append(b.targets, b.ids[start+1:]...)
	b.targets = append(b.targets, 0)
	copy(b.weights[start:], b.weights[start+1:])
	b.weights[start+n-1] = 0
}
