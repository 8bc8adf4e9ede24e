package llm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/synth"
)

// The second set of reference models: one or more of every architecture and tensor type, with what
// llama.cpp computes, and with what the same weights give when they are expanded to F32 ("exact"),
// which is what is to be met. A model that Check accepts is claimed, and has to be right.

const data2 = "../../shared/data2"

type golden2 struct {
	Dim     int
	Pooling string
	Cases   []struct {
		Prompt     []int32
		Text       string
		Tokens     []int32
		Greedy     []int32
		Gap        []float64 `json:"top1_minus_top2"`
		MarginLast float64   `json:"router_margin_last"`
		MarginLow  float64   `json:"router_margin_min"`
	}
}

// data2Models are the files' names without their ending.
func data2Models(t testing.TB) (names []string) {
	files, err := filepath.Glob(filepath.Join(data2, "models", "*.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("reference data is absent: there are no models in " + data2)
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".gguf"))
	}
	return names
}

// supportedReference is such a model's tables. That one is refused is an error: all of them run.
func supportedReference(t testing.TB, name string) *gguf.File {
	t.Helper()
	f, err := llmtest.OpenTables(t, filepath.Join(data2, "models", name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(f); err != nil {
		t.Fatal(err)
	}
	return f
}

func loadData2(t testing.TB, name string, o Options) *Model {
	t.Helper()
	f, size := llmtest.Open(t, filepath.Join(data2, "models", name+".gguf"))
	m, err := Load(f, size, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// referenceSession is as long as those of the golden runs, which decides some ropes.
func referenceSession(t testing.TB, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession(512)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReferenceModels(t *testing.T) {
	for _, name := range data2Models(t) {
		t.Run(name, func(t *testing.T) {
			f := supportedReference(t, name)
			plain := true
			for _, x := range f.Tensors {
				plain = plain && (x.Type == gguf.F32 || x.Type == gguf.F16)
			}
			path := filepath.Join(data2, "golden", name)
			var theirs, exact golden2
			if !readJSON(t, path+".json", &theirs) || !readJSON(t, path+".exact.json", &exact) {
				t.Fatal("a model without reference results")
			}
			m := loadData2(t, name, Options{Threads: 1, Cache: "f32", Kernel: Kernels()[0]})
			if exact.Dim > 0 {
				checkPooled(t, m, path, exact)
				return
			}
			var worst, far float64
			for p, c := range exact.Cases {
				truth := readLogits(t, fmt.Sprintf("%s.exact.p%d.logits.f32", path, p))
				s := referenceSession(t, m)
				logits := eval(t, s, c.Prompt...)
				rms, largest := distance(t, logits, truth)
				tr, tm := distance(t, readLogits(t, fmt.Sprintf("%s.p%d.logits.f32", path, p)), truth)
				t.Logf("prompt %d: from exact rms %.6f, max %.6f; llama.cpp rms %.6f, max %.6f", p, rms, largest, tr, tm)
				worst, far = max(worst, largest), max(far, tm)
				least := 0.0005
				if !plain {
					least = 0.02
				}
				// At an early position of these a router's choice is close, and may differ.
				close := !plain && p > 0 && min(c.MarginLow, theirs.Cases[p].MarginLow) < 0.02 && c.MarginLast > 0
				switch {
				case plain && largest > 2e-3:
					t.Errorf("prompt %d: a logit lies %g from exact", p, largest)
				case !plain && rms > 1.5*tr && !close:
					t.Errorf("prompt %d: rms %g from exact, llama.cpp %g", p, rms, tr)
				}
				if close {
					worst = 0
					continue
				}
				checked := 0
				for i, id := range c.Greedy { // up to the first step that is close
					if c.Gap[i] < max(least, 2*largest) {
						break
					}
					checked++
					if got := argmax(logits); got != id {
						t.Errorf("prompt %d: greedy step %d gives token %d, not %d, with a gap of %g", p, i, got, id, c.Gap[i])
						break
					}
					logits = eval(t, s, id)
				}
				t.Logf("prompt %d: %d greedy steps", p, checked)
				if plain && len(c.Prompt) > 7 {
					checkPieces(t, m, c.Prompt, truth)
				}
			}
			if !plain && worst > 1.5*far {
				t.Errorf("a logit lies %g from exact, llama.cpp's %g", worst, far)
			}
		})
	}
}

// checkPieces reads a prompt in pieces and token by token.
func checkPieces(t *testing.T, m *Model, prompt []int32, truth []float32) {
	t.Helper()
	for _, size := range []int{1, 7, 64} {
		s := referenceSession(t, m)
		var logits []float32
		for piece := range slices.Chunk(prompt, size) {
			logits = eval(t, s, piece...)
		}
		if _, largest := distance(t, logits, truth); largest > 2e-3 {
			t.Errorf("read %d tokens at a time a logit lies %g from exact", size, largest)
		}
	}
}

// checkPooled compares embeddings and scores.
func checkPooled(t *testing.T, m *Model, path string, exact golden2) {
	for i, c := range exact.Cases {
		want := readLogits(t, fmt.Sprintf("%s.exact.s%d.raw.f32", path, i))
		got, err := m.pool1(context.Background(), c.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		if c.Text != "" && !slices.Equal(m.embeddingTokens(c.Text), c.Tokens) {
			t.Errorf("%q is %v, not %v", c.Text, m.embeddingTokens(c.Text), c.Tokens)
		}
		_, largest := distance(t, got, want)
		size, cosine, a, b := 0.0, 0.0, 0.0, 0.0
		for j, v := range want {
			size = max(size, math.Abs(float64(v)))
			cosine += float64(v) * float64(got[j])
			a, b = a+float64(v)*float64(v), b+float64(got[j])*float64(got[j])
		}
		cosine /= math.Sqrt(a * b)
		t.Logf("text %d: largest difference %.6f of %.4f, 1-cosine %.2g", i, largest, size, 1-cosine)
		if largest > 1e-3*size || len(want) > 1 && !(cosine > 0.99999) {
			t.Errorf("text %d: a number lies %g from exact, of %g; cosine %g", i, largest, size, cosine)
		}
		if m.Embedder() {
			unit, err := m.Embed(context.Background(), c.Tokens)
			if err != nil {
				t.Fatal(err)
			}
			if _, largest := distance(t, unit, readLogits(t, fmt.Sprintf("%s.exact.s%d.norm.f32", path, i))); largest > 1e-3 {
				t.Errorf("text %d: a number of the embedding lies %g from exact", i, largest)
			}
		}
	}
}

// Drafts, refused or not, a session that is shortened, one that is saved and restored, and one whose model does
// not fit its memory give the same bits as one that reads token by token from memory.
func TestReferenceBits(t *testing.T) {
	smallPieces(t, 16<<10)
	for _, name := range data2Models(t) {
		if strings.HasPrefix(name, "types256") {
			continue // the same graph as llama's
		}
		t.Run(name, func(t *testing.T) {
			f := supportedReference(t, name)
			if KindOf(f) != Language {
				t.Skip("not a language model")
			}
			var g golden2
			readJSON(t, filepath.Join(data2, "golden", name+".json"), &g)
			checkBits(t, f, g.Cases[1].Prompt, g.Cases[2].Prompt[40:40+MaxDraft+1], func(o Options) *Model {
				o.Threads = 1
				return loadData2(t, name, o)
			})
		})
	}
}

// The same of models of random weights, which need no reference data: that is, of the layers that those of
// llama's kind do not have.
func TestFamilyBits(t *testing.T) {
	smallPieces(t, 16<<10)
	tried := 0
	for _, shape := range synth.Shapes {
		for _, mix := range synth.Mixtures {
			if !strings.HasPrefix(shape.Name, "tiny-") || mix.Name != "Q4_0" && mix.Name != "F16" {
				continue
			}
			tried++
			t.Run(shape.Name+"/"+mix.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := synth.Write(&b, shape, mix, 1); err != nil {
					t.Fatal(err)
				}
				open := func(o Options) *Model {
					if mix.Name == "F16" || shape.Name == "tiny-gemma4" || shape.Name == "tiny-gpt-oss" {
						o.Threads = 1
					}
					m, err := Load(bytes.NewReader(b.Bytes()), int64(b.Len()), o)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(m.Close)
					return m
				}
				checkBits(t, open(Options{}).File(), testIDs, []int32{9, 8, 7, 6, 5, 4, 3, 2, 1}, open)
				s := referenceSession(t, open(Options{Threads: 2}))
				eval(t, s, 1, 2, 3)
				ids := []int32{7}
				if n := testing.AllocsPerRun(20, func() {
					if _, err := s.Eval(context.Background(), ids); err != nil {
						t.Error(err)
					}
				}); n != 0 {
					t.Errorf("%v allocations a token", n)
				}
			})
		}
	}
	if tried < 8 {
		t.Errorf("%d models", tried)
	}
}

// checkBits compares drafts, refused or not, a session that is shortened, one that is saved and restored, and one
// whose model does not fit its memory with one that reads ids one by one after a prompt, to the bit.
func checkBits(t *testing.T, f *gguf.File, prompt, ids []int32, load func(Options) *Model) {
	t.Helper()
	whole := load(Options{Threads: 2, Kernel: Kernels()[0], Cache: "f32"})
	alone := referenceSession(t, whole)
	eval(t, alone, prompt...)
	var want [][]float32
	for _, id := range ids {
		want = append(want, slices.Clone(eval(t, alone, id)))
	}
	v := len(want[0])
	together := func(what string, s *Session, from, to int, wrong ...int32) {
		t.Helper()
		draft := slices.Concat(ids[from:to], wrong)
		got, err := s.EvalRows(context.Background(), draft, len(draft))
		if err != nil {
			t.Fatal(what, err)
		}
		for i := range ids[from:to] {
			if !slices.Equal(got[i*v:(i+1)*v], want[from+i]) {
				t.Fatalf("%s: the logits of token %d are others", what, from+i)
			}
		}
		s.Truncate(s.Len() - len(wrong))
	}
	s := referenceSession(t, whole)
	eval(t, s, prompt...)
	together("a draft", s, 0, 4)
	together("a draft that is refused in part", s, 4, 6, 5, 6, 7)
	together("the next one", s, 6, 7, 9)
	together("one token", s, 7, 8)
	s.Truncate(len(prompt))
	together("a shortened session", s, 0, 9)
	s.Truncate(len(prompt) + 3) // in the midst of a draft
	saved := state(t, s)
	if n := s.StateSize(s.Len()); int64(len(saved)) > n {
		t.Errorf("the state has %d bytes, more than %d", len(saved), n)
	}
	r := referenceSession(t, whole)
	eval(t, r, 5, 6, 7)
	if _, err := r.ReadFrom(strings.NewReader(string(saved))); err != nil || r.Len() != len(prompt)+3 {
		t.Fatalf("restored: %d tokens, %v", r.Len(), err)
	}
	together("a restored session", r, 3, 8)
	r.Truncate(len(prompt))
	together("a restored session that is shortened", r, 0, 5, 1, 2)
	for _, n := range []int{0, 10, len(saved) / 3, len(saved) * 2 / 3, len(saved) - 1, len(saved)} {
		broken := slices.Clone(saved[:n])
		if n == len(saved) {
			broken[n-5] ^= 1
		}
		if _, err := r.ReadFrom(bytes.NewReader(broken)); !errors.Is(err, ErrState) || r.Len() != 0 {
			t.Fatalf("%d of %d bytes of a state: %d tokens, %v", n, len(saved), r.Len(), err)
		}
	}
	eval(t, r, prompt...)
	together("a session behind a damaged state", r, 0, 2)

	budget := int64(0)
	for _, x := range f.Tensors {
		budget += x.Bytes * 3 / 4
	}
	tables := &Model{file: f}
	if err := tables.configure(); err != nil {
		t.Fatal(err)
	}
	if tables.config.experts.count > 0 { // two more than the least number of experts
		_, budget = tables.planExperts(0)
		budget += 2 * newExpertStore(&tables.config, f).slotBytes()
	}
	streamed := load(Options{Threads: 2, Kernel: Kernels()[0], Cache: "f32", Budget: budget, Requests: 2})
	if streamed.Info().Streamed == 0 {
		t.Error("nothing is streamed")
	}
	stats, experts := streamed.Experts()
	if !experts { // streamed matrices are not rearranged
		whole = load(Options{Threads: 2, Kernel: Kernels()[0], Cache: "f32", inPlace: true})
		alone = referenceSession(t, whole)
		eval(t, alone, prompt...)
		for i, id := range ids {
			copy(want[i], eval(t, alone, id))
		}
	}
	s = referenceSession(t, streamed)
	eval(t, s, prompt...)
	together("a streamed model", s, 0, 1)
	together("its draft", s, 1, 6, 7, 8)
	together("the rest", s, 6, 9)
	if stats, _ = streamed.Experts(); experts {
		t.Logf("%d of %d experts in memory, hit rate %.2f, %.0f bytes a token", stats.Slots, stats.Total, stats.HitRate(), stats.BytesPerToken())
		if stats.Slots >= stats.Total || stats.Read == 0 {
			t.Errorf("experts: %+v", stats)
		}
	}
}
