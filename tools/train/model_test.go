package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/llm/tokenizer"
)

// smallCorpus is a corpus of a few facts, said in several ways.
func smallCorpus() *Corpus {
	c := &Corpus{}
	for i := range 40 {
		name := []string{"cat", "dog", "cow", "duck"}[i%4]
		says := []string{"meow", "woof", "moo", "quack"}[i%4]
		ask := []string{"What does the %s say?", "what does a %s say", "Tell me what the %s says.", "How does the %s go?", "Say like a %s!"}[i/4%5]
		c.Train = append(c.Train, Document{Messages: []Message{{"user", fmt.Sprintf(ask, name)}, {"assistant", "The " + name + " says " + says + "."}}})
	}
	c.Train = append(c.Train, Document{Text: "A cat and a dog walk.\nThe duck doesn't."})
	c.Valid = c.Train[:4]
	return c
}

// smallVocabulary returns a small corpus and a vocabulary for it.
func smallVocabulary(t *testing.T) (*Corpus, *Vocabulary) {
	t.Helper()
	c := smallCorpus()
	v, err := TrainVocabulary(c.Train, LeastVocabulary+40)
	if err != nil {
		t.Fatal(err)
	}
	return c, v
}

func TestVocabulary(t *testing.T) {
	c, v := smallVocabulary(t)
	tok, err := v.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if w := tok.Warnings(); w != nil {
		t.Error(w)
	}
	for _, text := range []string{"The cat says meow.", " two  spaces ", "line\nbreak\ttab", "Grüße, 世界 \x00\xff", "<|end|>", ""} {
		ids := tok.Encode(text, tokenizer.EncodeOptions{})
		d, got := tok.NewDecoder(), ""
		for _, id := range ids {
			if tok.IsControl(id) {
				t.Errorf("%q became the control token %q", text, tok.Text(id))
			}
			got += d.Write(id)
		}
		if got += d.Flush(); got != strings.ToValidUTF8(text, "\ufffd") {
			t.Errorf("%q became %q", text, got)
		}
	}
	if ids := tok.Encode(" the", tokenizer.EncodeOptions{}); len(ids) != 1 {
		t.Errorf("%q, a frequent word, became %d tokens", " the", len(ids))
	}
	again, err := TrainVocabulary(c.Train, LeastVocabulary+40)
	if err != nil || !slices.Equal(v.Tokens, again.Tokens) {
		t.Error("the same texts gave another vocabulary", err)
	}
	small, err := TrainVocabulary([]Document{{Text: "aa aa"}}, 1000)
	if err != nil || len(small.Tokens) >= 1000 {
		t.Errorf("%d tokens from two words, %v", len(small.Tokens), err)
	}
	if _, err := TrainVocabulary(c.Train, 100); err == nil {
		t.Error("a vocabulary too small for all bytes was made")
	}
}

func options() Options {
	s := smallShape
	s.Embedding, s.Head = 32, 8
	return Options{Shape: s, Seed: 3, Steps: 150, Lessons: [3]Lesson{
		{Until: 5, Batch: 256, Stories: true},
		{Until: 50, Batch: 256, Stories: true, Asked: true},
		{Batch: 200, Asked: true, Cut: 0.2},
	}, Rate: 1e-2, Warmup: 10, Fall: 100, Decay: 0.01, Name: "test"}
}

func trained(t *testing.T, c *Corpus, v *Vocabulary, o Options, run Run) *Model {
	t.Helper()
	if run.Log == nil {
		run.Log = io.Discard
	}
	m, err := Train(t.Context(), c, v, o, run)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A model learns a small corpus by heart, and the engine, which computes in
// its own way from the file, agrees with the trainer and answers.
func TestTrain(t *testing.T) {
	c, v := smallVocabulary(t)
	var log bytes.Buffer
	m := trained(t, c, v, options(), Run{Threads: 2, Log: &log, LogEvery: 50, CheckEvery: 50})
	if !strings.Contains(log.String(), "validation loss") || !strings.Contains(log.String(), "left") {
		t.Errorf("the log says %q", log.String())
	}
	var file bytes.Buffer
	if _, err := m.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadVocabulary(f); err != nil || !slices.Equal(got.Tokens, v.Tokens) || !slices.Equal(got.Scores, v.Scores) || !slices.Equal(got.Types, v.Types) {
		t.Errorf("another vocabulary came back: %v", err)
	}
	engine, err := llm.Load(bytes.NewReader(file.Bytes()), int64(file.Len()), llm.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	tok, template := engine.Tokenizer(), chat.Detect(f)
	if s := template.Warning(); s != "" || template.Plain() {
		t.Errorf("the chat template: %s", s)
	}

	// The trainer's tokens of a question are those of a conversation that ends with it.
	turns := []chat.Turn{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "What does the cow say?"}, {Role: "assistant", Text: "The cow says moo."}, {Role: "user", Text: "And the duck?"}}
	e := v.encode(tok, []Document{{Messages: []Message{{"user", "And the duck?"}}}}, 0, asked)[0]
	want := append(append([]int32{tok.BOS()}, e.ids...), int32(slices.Index(v.Tokens, assistantToken)))
	if got := template.Prompt(tok, turns); !slices.Equal(got, want) {
		t.Errorf("a conversation is\n%v for the engine and\n%v for the trainer", got, want)
	}

	// The logits.
	net := newNet(m.Options.Shape, 1)
	copy(net.w.all, m.weights)
	ids := v.encode(tok, c.Train[:1], 0, asked)[0].ids
	b := &batch{ids: ids, targets: ids, weights: slices.Repeat([]float32{1}, len(ids)), segments: []segment{{0, len(ids)}}}
	net.loss(b)
	size := len(v.Tokens)
	net.linear(net.logits, net.hs, net.w.embedding, len(ids), m.Options.Shape.Embedding, size)
	mine := net.logits[(len(ids)-1)*size : len(ids)*size]
	s, err := engine.NewSession(0)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := s.Eval(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range logits {
		if math.Abs(float64(x-mine[i])) > 1e-3 {
			t.Fatalf("logit %d is %g for the engine and %g for the trainer", i, x, mine[i])
		}
	}

	for name, says := range map[string]string{"cat": "meow", "dog": "woof", "duck": "quack"} {
		s.Truncate(0)
		logits, err := s.Eval(t.Context(), template.Prompt(tok, []chat.Turn{{Role: "user", Text: "What does the " + name + " say?"}}))
		if err != nil {
			t.Fatal(err)
		}
		answer, decoder := "", tok.NewDecoder()
		for range 40 {
			best := 0
			for i, x := range logits {
				if x > logits[best] {
					best = i
				}
			}
			if template.IsEnd(tok, int32(best)) {
				break
			}
			answer += decoder.Write(int32(best))
			if logits, err = s.Eval(t.Context(), []int32{int32(best)}); err != nil {
				t.Fatal(err)
			}
		}
		if want := "The " + name + " says " + says + "."; answer != want {
			t.Errorf("asked for the %s it answers %q", name, answer)
		}
	}
}

// Training that is interrupted and resumed, with another number of threads,
// ends at the same weights.
func TestResume(t *testing.T) {
	c, v := smallVocabulary(t)
	o := options()
	o.Steps, o.Fall = 20, 10
	want := trained(t, c, v, o, Run{Threads: 1})
	name := filepath.Join(t.TempDir(), "checkpoint")

	interrupt := func(o Options, checkpoint string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log := writerFunc(func(p []byte) (int, error) {
			if strings.Contains(string(p), "step 7 of ") {
				cancel()
			}
			return len(p), nil
		})
		if _, err := Train(ctx, c, v, o, Run{Threads: 2, Checkpoint: checkpoint, Log: log, LogEvery: 1}); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted training returned %v", err)
		}
	}
	interrupt(o, name)
	saved := 0 // while training goes on
	periodic := filepath.Join(t.TempDir(), "checkpoint")
	trained(t, c, v, o, Run{Threads: 1, Checkpoint: periodic, Every: 1, LogEvery: 1, Log: writerFunc(func(p []byte) (int, error) {
		if _, err := os.Stat(periodic); err == nil {
			saved++
		}
		return len(p), nil
	})})
	if saved < 10 {
		t.Errorf("a checkpoint was there at %d of 20 steps", saved)
	}
	unwritable := filepath.Join(t.TempDir(), "missing", "checkpoint")
	if m, err := Train(t.Context(), c, v, o, Run{Threads: 1, Checkpoint: unwritable, Log: io.Discard}); m == nil || err == nil {
		t.Errorf("a model whose last checkpoint cannot be saved: %v, %v", m, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Train(ended, c, v, o, Run{Threads: 1, Checkpoint: unwritable, Log: io.Discard}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("an interruption whose checkpoint cannot be saved: %v", err)
	}
	if got := trained(t, c, v, o, Run{Threads: 3, Checkpoint: name}); !slices.Equal(got.weights, want.weights) {
		t.Error("resumed training gave other weights")
	}
	// Before the learning rate falls, the number of steps can still be changed.
	early := filepath.Join(t.TempDir(), "checkpoint")
	longer := o
	longer.Steps = 30
	interrupt(longer, early)
	if got := trained(t, c, v, o, Run{Threads: 1, Checkpoint: early}); !slices.Equal(got.weights, want.weights) {
		t.Error("training resumed with fewer steps gave other weights")
	}
	longer.Steps = 40
	if _, err := Train(t.Context(), c, v, longer, Run{Threads: 1, Checkpoint: early, Log: io.Discard}); err == nil {
		t.Error("a checkpoint from the fall of the learning rate was taken for more steps")
	}

	// A checkpoint of something else is refused, and so is a damaged one.
	other := o
	other.Seed++
	if _, err := Train(t.Context(), c, v, other, Run{Threads: 1, Checkpoint: name, Log: io.Discard}); err == nil {
		t.Error("a checkpoint of another seed was taken")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Train(t.Context(), c, v, o, Run{Threads: 1, Checkpoint: name, Log: io.Discard}); err == nil {
		t.Error("a damaged checkpoint was taken")
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// smallDocuments returns the documents of a small corpus, as what is taught has them.
func smallDocuments(t *testing.T) (*Vocabulary, *tokenizer.Tokenizer, []encoded) {
	t.Helper()
	c := smallCorpus()
	v, err := TrainVocabulary(c.Train, LeastVocabulary)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := v.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	docs := v.encode(tok, c.Train, userWeight, written)
	return v, tok, docs
}

// The order of documents is new in every epoch and misses none.
func TestStream(t *testing.T) {
	v, tok, docs := smallDocuments(t)
	s := newStream(docs, docs, tok.BOS(), len(v.Tokens), 200, 1)
	var b batch
	tokens, weighed, total, weight := 0, 0.0, 0, 0.0
	for _, d := range docs {
		total += len(d.ids)
		for _, w := range d.weights {
			weight += float64(w)
		}
	}
	for s.next < 3*len(docs) {
		before := s.next
		s.fill(&b, &Lesson{Batch: 500, Stories: true})
		if len(b.ids) > 500 || len(b.ids) != len(b.targets) || len(b.ids) != len(b.weights) || s.next == before {
			t.Fatalf("a batch of %d tokens, %d targets, %d weights, %d documents", len(b.ids), len(b.targets), len(b.weights), s.next-before)
		}
		at := 0
		for _, g := range b.segments {
			if g.start != at || b.ids[at] != tok.BOS() || b.weights[at+g.n-1] != 0 || g.n > 200 {
				t.Fatalf("segment %+v at %d", g, at)
			}
			for i := at; i < at+g.n-1; i++ {
				if b.targets[i] != b.ids[i+1] {
					t.Fatalf("token %d is to be followed by %d, not %d", i, b.targets[i], b.ids[i+1])
				}
			}
			at += g.n
		}
		tokens += len(b.ids) - len(b.segments)
		for _, w := range b.weights {
			weighed += float64(w)
		}
	}
	if s.next < 4*len(docs) && (tokens < 3*total || tokens > 4*total || weighed < 3*weight*0.999) {
		t.Errorf("%d tokens of weight %.1f in three epochs of %d and %.1f", tokens, weighed, total, weight)
	}
}

// Each thing that a lesson asks for shows in what is dealt.
func TestLessons(t *testing.T) {
	v, tok, docs := smallDocuments(t)
	deal := func(l Lesson) (segments [][]int32) {
		s := newStream(docs, docs, tok.BOS(), len(v.Tokens), 400, 1)
		var b batch
		for s.next < len(docs) {
			s.fill(&b, &l)
			for _, g := range b.segments {
				segments = append(segments, slices.Clone(b.ids[g.start+1:g.start+g.n]))
			}
		}
		return segments
	}
	is := func(ids []int32, same func(encoded) bool) bool {
		return slices.ContainsFunc(docs, func(d encoded) bool { return same(d) && len(d.ids) >= len(ids) && slices.Equal(d.ids[:len(ids)], ids) })
	}
	for _, ids := range deal(Lesson{Batch: 500}) {
		if is(ids, func(d encoded) bool { return !d.dialogue }) {
			t.Fatal("a lesson without stories deals one")
		}
	}
	for _, ids := range deal(Lesson{Batch: 500, Cut: 1}) {
		if is(ids, func(d encoded) bool { return d.dialogue && len(ids) > d.answer+cutMost }) {
			t.Fatalf("a segment of %d tokens is not cut", len(ids))
		}
	}
	lost, said := 0, 0
	whole, holed := deal(Lesson{Batch: 500}), deal(Lesson{Batch: 500, Lost: 0.2})
	for i, ids := range holed {
		assistant := slices.Index(v.Tokens, assistantToken)
		for j, people := 0, false; j < len(ids); j++ {
			switch id := whole[i][j]; {
			case int(id) < len(controls):
				people = int(id) != assistant
				fallthrough
			case !people:
				if ids[j] != id {
					t.Fatalf("token %d, which the assistant said, is lost", j)
				}
			default:
				said++
				if ids[j] != id {
					lost++
				}
			}
		}
	}
	if part := float64(lost) / float64(said); part < 0.15 || part > 0.25 {
		t.Errorf("%d of %d words are lost", lost, said)
	}
	for _, d := range v.encode(tok, smallCorpus().Train, userWeight, asked) {
		if d.dialogue && d.weights[d.answer] != decidingWeight {
			t.Fatalf("the first token of an answer weighs %g", d.weights[d.answer])
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	c := smallCorpus()
	c.Train = slices.DeleteFunc(slices.Clone(c.Train), func(d Document) bool { return d.Text == "" })
	v, err := TrainVocabulary(smallCorpus().Train, LeastVocabulary)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Train) == 0 {
		c.Train = []Document{{Text: "There was a hen."}}
	}
	if _, err := Train(t.Context(), c, v, options(), Run{Threads: 1, Log: io.Discard}); err == nil {
		t.Error("a corpus without dialogues was taken")
	}
	for _, change := range []func(*Shape){
		func(s *Shape) { s.Embedding = 1 << 60 },
		func(s *Shape) { s.Context = 1 << 60 },
		func(s *Shape) { s.Embedding, s.FeedForward, s.Layers = 1<<17, 1<<17, 256 },
	} {
		o := options()
		change(&o.Shape)
		if _, err := Train(t.Context(), smallCorpus(), v, o, Run{Threads: 1, Log: io.Discard}); err == nil {
			t.Errorf("the shape %+v was taken", o.Shape)
		}
	}
}

func TestReadDocuments(t *testing.T) {
	docs, err := ReadDocuments(strings.NewReader(`{"text":"x"}` + "\n" + `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}` + "\n"))
	if err != nil || len(docs) != 2 || docs[0].Text != "x" || docs[1].Messages[1].Content != "b" {
		t.Errorf("%v %v", docs, err)
	}
	for _, bad := range []string{"{", "{}", `{"text":"a","messages":[{"role":"user","content":"a"}]}`, `{"messages":[{"role":"boss","content":"a"}]}`, `{"messages":[{"role":"user"}]}`} {
		if _, err := ReadDocuments(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzReadDocuments(f *testing.F) {
	f.Add(`{"text":"x"}`)
	f.Add(`{"messages":[{"role":"user","content":"a"}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		docs, err := ReadDocuments(strings.NewReader(s))
		for _, d := range docs {
			if err == nil && d.Text == "" && len(d.Messages) == 0 {
				t.Error("an empty document")
			}
		}
	})
}

func FuzzReadCheckpoint(f *testing.F) {
	dir := f.TempDir()
	name := filepath.Join(dir, "checkpoint")
	want := state{Options: options(), Corpus: "c", Kernel: "k", Step: 3, Next: 4}
	if err := writeCheckpoint(name, want, []float32{1, 2}, []float32{3}); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		x, y := make([]float32, 2), make([]float32, 1)
		s, err := readCheckpoint(name, state{Options: options(), Corpus: "c", Kernel: "k"}, x, y)
		if err == nil && (s.Options != want.Options || s.Step < 0 || s.Next < 0) {
			t.Errorf("took the checkpoint %+v", s)
		}
	})
}
