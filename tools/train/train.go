// Package train makes small language models of the llama architecture from
// text: a vocabulary (bpe.go), and weights, trained from scratch with AdamW on
// the processor alone.
//
// The same corpus, options and kernel give the same model to the bit, on any
// number of threads and also when training was interrupted and resumed: batches
// depend on the seed and their number only (corpus.go), and every sum is taken
// in an order of its own (net.go, gemm.go). Arithmetic is float32.
package train

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// Options decide, with the corpus and the kernel, what comes out.
type Options struct {
	Shape   Shape
	Seed    uint64
	Steps   int
	Lessons [3]Lesson // the last has no end
	Rate    float64   // peak of the learning rate
	Warmup  int       // steps until it is reached
	Fall    int       // steps at the end in which it comes down
	Decay   float64   // of weights
	Name    string    // general.name of the model
}

// Guide is how the guide model is trained: first it learns to write, then which
// question wants which answer.
func Guide() Options {
	return Options{
		Shape: Default(), Name: rules.Guide, Seed: 1, Steps: 33000, Rate: 3e-3, Warmup: 100, Fall: 32000, Decay: 0.1,
		Lessons: [3]Lesson{
			{Until: 1600, Batch: 1024, Stories: true},
			{Until: 2200, Batch: 1024, Stories: true, Asked: true, Cut: 0.7, Lost: 0.06},
			{Batch: 512, Asked: true, Cut: 0.8, Lost: 0.06},
		},
	}
}

// lesson is that of a step.
func (o *Options) lesson(step int) *Lesson {
	for i := range o.Lessons {
		if l := &o.Lessons[i]; step < l.Until || i == len(o.Lessons)-1 {
			return l
		}
	}
	return nil // there is a last one
}

// Run is how training runs, which changes nothing in the result.
type Run struct {
	Threads    int
	Checkpoint string        // file to go on from and to save to; "": none
	Every      time.Duration // between two checkpoints
	Log        io.Writer
	LogEvery   int // steps between lines
	CheckEvery int // steps between validations
}

// Kernel names the kernel that computes: other kernels give slightly other
// weights.
func Kernel() string {
	if assembly {
		return "avx2+fma"
	}
	return "portable"
}

// Train makes a model. If ctx is done it saves a checkpoint and returns ctx's
// error. A model that comes with an error is finished; only its last checkpoint
// could not be saved.
func Train(ctx context.Context, c *Corpus, v *Vocabulary, o Options, run Run) (*Model, error) {
	o.Shape.Vocabulary = len(v.Tokens)
	if err := o.Shape.check(); err != nil {
		return nil, err
	}
	for _, l := range o.Lessons {
		if l.Batch < 16 || l.Batch > 1<<17 {
			return nil, errors.New("a lesson needs 16 to 131072 tokens a step")
		}
	}
	if o.Steps < 1 || o.Rate <= 0 || o.Warmup < 0 || o.Fall < 0 || o.Decay < 0 {
		return nil, errors.New("training needs at least one step and a positive learning rate")
	}
	tok, err := v.Tokenizer()
	if err != nil {
		return nil, err
	}
	begin := tok.BOS()
	docs := newStream(v.encode(tok, c.Train, userWeight, written), v.encode(tok, c.Train, userWeight, asked), begin, len(v.Tokens), o.Shape.Context, o.Seed)
	if !slices.ContainsFunc(docs.docs, func(d encoded) bool { return d.dialogue }) {
		return nil, errors.New("the corpus has no dialogues to learn from")
	}
	valid := v.validation(v.encode(tok, c.Valid, 0, asked), begin, o.Shape.Context)
	total := 0
	for _, d := range docs.docs {
		total += len(d.ids) + 1
	}

	m := newNet(o.Shape, run.Threads)
	defer m.pool.close()
	a, spans := newAdam(o.Shape), o.Shape.spans()
	a.Decay = o.Decay
	now := state{Options: o, Corpus: hex.EncodeToString(c.Sum[:]), Kernel: Kernel()}
	m.w.initialise(o.Shape, o.Seed)
	if run.Checkpoint != "" {
		saved, err := readCheckpoint(run.Checkpoint, now, m.w.all, a.m, a.v)
		switch {
		case err == nil:
			now.Step, now.Next = saved.Step, saved.Next
			docs.next = now.Next
			fmt.Fprintf(run.Log, "going on from step %d of %d\n", now.Step, o.Steps)
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
	}
	fmt.Fprintf(run.Log, "%d parameters; %d documents of %d tokens to learn, %d to check; %s, %d threads\n",
		o.Shape.Parameters(), len(docs.docs), total, len(c.Valid), Kernel(), run.Threads)

	save := func() error {
		if run.Checkpoint == "" {
			return nil
		}
		now.Next = docs.next
		return writeCheckpoint(run.Checkpoint, now, m.w.all, a.m, a.v)
	}
	var b batch
	start, first, seen := time.Now(), now.Step, 0
	saved, recent, recentSteps := start, 0.0, 0
	for now.Step < o.Steps {
		if err := ctx.Err(); err != nil {
			if failed := save(); failed != nil {
				return nil, failed
			}
			return nil, err
		}
		docs.fill(&b, o.lesson(now.Step))
		loss := m.step(&b)
		r := o.rate(now.Step)
		length := a.update(m.pool, spans, m.w.all, m.g.all, now.Step+1, r)
		if math.IsNaN(loss) || math.IsInf(length, 0) || math.IsNaN(length) {
			return nil, fmt.Errorf("training failed at step %d: the loss is %g; a smaller learning rate may help", now.Step+1, loss)
		}
		now.Step++
		seen += len(b.ids)
		recent, recentSteps = recent+loss, recentSteps+1
		last := now.Step == o.Steps
		if run.LogEvery > 0 && (now.Step%run.LogEvery == 0 || last) {
			elapsed := time.Since(start)
			left := elapsed / time.Duration(now.Step-first) * time.Duration(o.Steps-now.Step)
			fmt.Fprintf(run.Log, "step %d of %d, epoch %.2f: loss %.4f, gradient %.2f, rate %.2g, %.0f tokens/s, %v left\n",
				now.Step, o.Steps, float64(docs.next)/float64(len(docs.docs)), recent/float64(recentSteps), length, r,
				float64(seen)/elapsed.Seconds(), left.Round(time.Second))
			recent, recentSteps = 0, 0
		}
		if run.CheckEvery > 0 && (now.Step%run.CheckEvery == 0 || last) {
			loss := m.check(valid)
			fmt.Fprintf(run.Log, "step %d: validation loss %.4f, perplexity %.3f\n", now.Step, loss, math.Exp(loss))
		}
		if run.Every > 0 && time.Since(saved) > run.Every {
			if err := save(); err != nil {
				return nil, err
			}
			saved = time.Now()
		}
	}
	return &Model{o, v, slices.Clone(m.w.all)}, save()
}

// checkTokens is about how many tokens are validated with.
const checkTokens = 8192

// validation makes batches of the first documents.
func (v *Vocabulary) validation(docs []encoded, begin int32, context int) (list []*batch) {
	const size = 2048
	b := &batch{}
	total := 0
	for _, d := range docs {
		n := min(len(d.ids)+1, context)
		if total += n; total > checkTokens && len(b.ids) > 0 {
			break
		}
		if len(b.ids)+n > size && len(b.ids) > 0 {
			list = append(list, b)
			b = &batch{}
		}
		start := len(b.ids)
		b.ids = append(append(b.ids, begin), d.ids[:n-1]...)
		b.weights = append(append(b.weights, 0), d.weights[:n-1]...)
		b.close(start)
	}
	return append(list, b)
}

// check is the mean loss of batches, each token counting the same.
func (m *net) check(list []*batch) float64 {
	sum, total := 0.0, 0.0
	for _, b := range list {
		weight := 0.0
		for _, w := range b.weights {
			weight += float64(w)
		}
		sum += m.loss(b) * weight
		total += weight
	}
	return sum / max(total, 1)
}

// Model is what training made.
type Model struct {
	Options    Options
	Vocabulary *Vocabulary
	weights    []float32
}

// WriteTo writes the model as a GGUF file in F32.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	s := m.Options.Shape
	meta := append([]gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.name", Value: m.Options.Name},
		{Key: "general.file_type", Value: uint32(0)},
		{Key: "general.sampling.temp", Value: float32(0.3)}, // little models stray
		{Key: "general.sampling.penalty_repeat", Value: float32(1)},
		{Key: chat.TurnsKey, Value: uint32(1)},
		{Key: "llama.vocab_size", Value: uint32(s.Vocabulary)},
		{Key: "llama.context_length", Value: uint32(s.Context)},
		{Key: "llama.embedding_length", Value: uint32(s.Embedding)},
		{Key: "llama.feed_forward_length", Value: uint32(s.FeedForward)},
		{Key: "llama.block_count", Value: uint32(s.Layers)},
		{Key: "llama.attention.head_count", Value: uint32(s.Heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(s.KVHeads)},
		{Key: "llama.attention.key_length", Value: uint32(s.Head)},
		{Key: "llama.attention.value_length", Value: uint32(s.Head)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: s.Epsilon},
		{Key: "llama.rope.dimension_count", Value: uint32(s.Head)},
		{Key: "llama.rope.freq_base", Value: s.RopeBase},
	}, m.Vocabulary.Metadata()...)
	list, _ := s.tensors()
	tensors := make([]gguf.Tensor, len(list))
	for i, t := range list {
		tensors[i] = gguf.Tensor{Name: t.name, Type: gguf.F32, Dims: []uint64{uint64(t.cols)}}
		if t.rows > 0 {
			tensors[i].Dims = append(tensors[i].Dims, uint64(t.rows))
		}
	}
	head, err := gguf.Head(meta, tensors)
	if err != nil {
		return 0, err
	}
	written := int64(0)
	put := func(b []byte) error {
		n, err := w.Write(b)
		written += int64(n)
		return err
	}
	if err := put(head); err != nil {
		return written, err
	}
	for _, t := range list {
		b := make([]byte, 0, 4*t.size()+31)
		for _, x := range m.weights[t.at : t.at+t.size()] {
			bits := math.Float32bits(x)
			b = append(b, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
		}
		b = append(b, make([]byte, -len(b)&31)...)
		if err := put(b); err != nil {
			return written, err
		}
	}
	return written, nil
}
