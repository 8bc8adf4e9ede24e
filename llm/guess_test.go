package llm

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"
)

// guessing are models with a block for guesses.
func guessing(t *testing.T, f func(t *testing.T, load func(Options) *Model)) {
	t.Run("reference", func(t *testing.T) {
		f(t, func(o Options) *Model { return loadData2(t, "qwen35-mtp-Q8_0", o) })
	})
	t.Run("experts", func(t *testing.T) { // the last layer of a mixture serves as its block
		name := filepath.Join(data2, "models", "qwen35moe-F16.gguf")
		llmtest.Open(t, name)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file := llmtest.Parse(b)
		const d = 96
		for _, x := range slices.Clone(file.Tensors) {
			if part, ok := strings.CutPrefix(x.Name, "blk.3."); ok {
				file.Add("blk.4."+part, x.Type, x.Data, x.Dims...)
			}
		}
		join := make([]float32, d*2*d)
		for i := range join {
			join[i] = float32(i%23-11) / 40
		}
		file.Add("blk.4.nextn.eh_proj.weight", gguf.F16, nil, 2*d, d).Tensor("blk.4.nextn.eh_proj.weight").Put(join)
		for _, norm := range []string{"enorm", "hnorm"} {
			file.Add("blk.4.nextn."+norm+".weight", gguf.F32, nil, d).Tensor("blk.4.nextn." + norm + ".weight").Put(slices.Repeat([]float32{1}, d))
		}
		file.Set("qwen35moe.block_count", uint32(5))
		file.Set("qwen35moe.nextn_predict_layers", uint32(1))
		b = file.Bytes()
		f(t, func(o Options) *Model {
			m, err := Load(bytes.NewReader(b), int64(len(b)), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return m
		})
	})
	t.Run("synthetic", func(t *testing.T) {
		b := synthetic(t, "tiny-qwen35", "F16")
		f(t, func(o Options) *Model {
			m, err := Load(bytes.NewReader(b), int64(len(b)), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(m.Close)
			return m
		})
	})
}

// guess returns the tokens guessed and their logits.
func guess(t testing.TB, g *Guesser, next int32, n int) (ids []int32, logits [][]float32) {
	t.Helper()
	ids, err := g.Guess(nil, next, n, func(l []float32) int32 {
		logits = append(logits, slices.Clone(l))
		return argmax(l)
	})
	if err != nil || len(ids) != n {
		t.Fatal(ids, err)
	}
	return ids, logits
}

// The block computes what its formulas say, with one number after the other in float64. There are no logits of other
// programs for it.
func TestGuessNaive(t *testing.T) {
	guessing(t, func(t *testing.T, load func(Options) *Model) {
		m := load(Options{Threads: 2, Kernel: Kernels()[0], Cache: "f32", inPlace: true})
		if m.config.experts.count > 0 {
			return // the formulas below are those of a dense block
		}
		s := newSession(t, m)
		g := s.Guesser()
		if g == nil || g != s.Guesser() {
			t.Fatal("there is no block for guesses")
		}
		ids, d := testIDs[:20], m.config.embedding
		eval(t, s, ids...)
		states := slices.Clone(g.states[:len(ids)*d])
		got, logits := guess(t, g, 9, 2)
		n := naiveBlock{t: t, m: m}
		state := make([]float64, d) // before the first token there is none
		for i, id := range ids {
			n.see(id, state)
			state = wide64(states[i*d : (i+1)*d])
		}
		limit := 1e-5
		if rounds(m) {
			limit = 0.1
		}
		for i, id := range []int32{9, got[0]} {
			largest, want := 0.0, n.see(id, state)
			state = n.state // the block's own stands in for the next token's
			for j, v := range want {
				largest = max(largest, math.Abs(v-float64(logits[i][j])))
			}
			t.Logf("guess %d: largest difference %g, of %g", i, largest, slices.Max(want))
			if !(largest < limit) {
				t.Errorf("guess %d: a logit is off by %g", i, largest)
			}
		}
	})
}

// rounds tells whether vectors are rounded before they are multiplied.
func rounds(m *Model) bool {
	return kernel.FormOf(m.decoder.guesses.join.Type) != kernel.PlainF32
}

func wide64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// naiveBlock computes the block of a dense Qwen 3.5.
type naiveBlock struct {
	t            *testing.T
	m            *Model
	keys, values [][]float64
	state        []float64
}

func (n *naiveBlock) get(name string) []float64 {
	for _, name := range []string{partOf(n.m.config.layers)(name), name} {
		if x, ok := n.m.file.Tensor(name); ok {
			y := make([]float32, x.Elements())
			kernel.Dequantize(x.Type, y, n.m.weights.bytes(x))
			return wide64(y)
		}
	}
	n.t.Fatal("no tensor", name)
	return nil
}

func (n *naiveBlock) norm(x []float64, w []float64) []float64 {
	sum, y := 0.0, make([]float64, len(x))
	for _, v := range x {
		sum += v * v
	}
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+n.m.config.epsilon) * w[i]
	}
	return y
}

func (n *naiveBlock) times(name string, x []float64) []float64 {
	w := n.get(name)
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, v := range x {
			y[i] += w[i*len(x)+j] * v
		}
	}
	return y
}

func (n *naiveBlock) see(id int32, before []float64) []float64 {
	c := &n.m.config
	d, l := c.embedding, &c.layer[c.layers]
	embedding := n.get("token_embd.weight")[int(id)*d:][:d]
	x := n.times("nextn.eh_proj.weight", append(n.norm(embedding, n.get("nextn.enorm.weight")), n.norm(before, n.get("nextn.hnorm.weight"))...))
	h := n.norm(x, n.get("attn_norm.weight"))
	q, k, v := n.times("attn_q.weight", h), n.times("attn_k.weight", h), n.times("attn_v.weight", h)
	position := float64(len(n.keys))
	turn := func(x []float64) {
		half := c.ropes[0].rotated / 2
		base, _ := n.m.file.Float("qwen35.rope.freq_base")
		for i := range half {
			sin, cos := math.Sincos(position * math.Pow(base, -float64(2*i)/float64(2*half)))
			x[i], x[i+half] = x[i]*cos-x[i+half]*sin, x[i]*sin+x[i+half]*cos
		}
	}
	for g := range l.kvHeads {
		head := n.norm(k[g*l.head:(g+1)*l.head], n.get("attn_k_norm.weight"))
		turn(head)
		copy(k[g*l.head:], head)
	}
	n.keys, n.values = append(n.keys, k), append(n.values, v)
	var out []float64
	for i := range l.heads {
		query, gate := n.norm(q[2*i*l.head:][:l.head], n.get("attn_q_norm.weight")), q[(2*i+1)*l.head:][:l.head]
		turn(query)
		g := i / (l.heads / l.kvHeads) * l.head
		sum, y := 0.0, make([]float64, l.head)
		for p, key := range n.keys {
			score := 0.0
			for j, v := range query {
				score += v * key[g+j]
			}
			score = math.Exp(score / math.Sqrt(float64(l.head)))
			sum += score
			for j := range y {
				y[j] += score * n.values[p][g+j]
			}
		}
		for j := range y {
			out = append(out, y[j]/sum/(1+math.Exp(-gate[j])))
		}
	}
	for i, v := range n.times("attn_output.weight", out) {
		x[i] += v
	}
	h = n.norm(x, n.get("post_attention_norm.weight"))
	gate, up := n.times("ffn_gate.weight", h), n.times("ffn_up.weight", h)
	for i, v := range gate {
		gate[i] = v / (1 + math.Exp(-v)) * up[i]
	}
	for i, v := range n.times("ffn_down.weight", gate) {
		x[i] += v
	}
	n.state = n.norm(x, n.get("nextn.shared_head_norm.weight"))
	return n.times("token_embd.weight", n.state)
}

// What is guessed depends on the session's tokens, not on how it came to them; and no logit of the session depends on guesses.
func TestGuessFollows(t *testing.T) {
	guessing(t, func(t *testing.T, load func(Options) *Model) {
		m := load(Options{Threads: 4, Kernel: Kernels()[0], Cache: "f32"}) // more than heads of keys
		open := func() *Session {
			s, err := m.NewSession(320)
			if err != nil {
				t.Fatal(err)
			}
			s.apartFrom = 0 // threads share a head
			return s
		}
		plain, s := open(), open()
		g := s.Guesser()
		limit := 2e-3
		if rounds(m) { // together tokens are rounded in another way than alone
			limit = 0.3
		}
		long := slices.Concat(testIDs, testIDs, testIDs, testIDs, testIDs)[:m.weights.batch(&m.config)+30]
		far := func(what string, next int32) {
			t.Helper()
			got, logits := guess(t, g, next, 2)
			fresh := open()
			other := fresh.Guesser()
			eval(t, fresh, s.Tokens()...)
			want, wanted := guess(t, other, next, 2)
			for i := range logits {
				if _, largest := distance(t, logits[i], wanted[i]); largest > limit || !slices.Equal(got, want) {
					t.Errorf("%s: guess %d, %v, is %g from that of a session of the same tokens, %v", what, i, got, largest, want)
				}
			}
		}
		check := func(what string, rows int, ids ...int32) {
			t.Helper()
			a, err := plain.EvalRows(context.Background(), ids, rows)
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.EvalRows(context.Background(), ids, rows)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a, b) {
				t.Fatalf("%s: guesses changed logits", what)
			}
		}
		cut := func(n int) { plain.Truncate(n); s.Truncate(n) }
		check("a prompt", 1, long...)
		far("a prompt of several batches", 7)
		far("the same once more", 7)
		far("another token", 8)
		check("a draft", 3, 7, 5, 6)
		far("a draft that was accepted", 3)
		check("the next one", 3, 3, 1, 2)
		cut(len(long) + 4)
		far("one that was refused", 4)
		for _, id := range testIDs { // no guesses meanwhile
			check("one token", 1, id)
		}
		far("tokens without guesses", 5)
		saved := state(t, s)
		cut(0)
		check("a short text", 1, 3, 4)
		far("a short text", 5)
		if _, err := s.ReadFrom(bytes.NewReader(saved)); err != nil {
			t.Fatal(err)
		}
		if _, err := plain.ReadFrom(bytes.NewReader(saved)); err != nil {
			t.Fatal(err)
		}
		_, shared := guess(t, g, 5, 2) // it knows nothing of what comes before
		s.apartFrom = math.MaxInt
		if _, alone := guess(t, g, 5, 2); !slices.Equal(shared[0], alone[0]) || !slices.Equal(shared[1], alone[1]) {
			t.Error("threads that share a head see what the block does not know")
		}
		s.apartFrom = 0
		check("a restored session", 1, 5, 6, 7)
		guess(t, g, 5, 2)
		cut(len(long)) // a checkpoint
		guess(t, g, 7, 1)
		check("back at a checkpoint", 2, 7, 5)
		cut(s.Cap() / 2)
		for s.Len() < s.Cap() {
			check("filling up", 1, 9)
			if n := s.Cap() - s.Len(); n < 2 { // no room for guesses
				if ids, err := g.Guess(nil, 1, 2, argmax); err != nil || len(ids) != n {
					t.Errorf("with room for %d: %v, %v", n, ids, err)
				}
			}
		}
		if g.cache.first == 0 {
			t.Error("nothing was forgotten while nobody asked")
		}
	})
}

// Without memory for it, or of a file without such a block or with more than one, there are no guesses, and a damaged block is
// told.
func TestGuesser(t *testing.T) {
	b := synthetic(t, "tiny-qwen35", "F16")
	load := func(b []byte, o Options) (*Model, error) { return Load(bytes.NewReader(b), int64(len(b)), o) }
	m, err := load(b, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	need, _ := m.sessionNeeds(64)
	m.options.SessionLimit = need
	s, err := m.NewSession(64)
	if err != nil || s.Guesser() != nil {
		t.Error("guesses in no memory", err)
	}
	m.options.SessionLimit = 2 * need
	before := s.Memory()
	if g := s.Guesser(); g == nil || s.Memory() <= before {
		t.Error("no guesses in enough memory, or none that takes any")
	}
	if _, err := s.Guesser().Guess(nil, 1<<20, 1, argmax); err == nil {
		t.Error("a token that is not in the vocabulary")
	}
	renamed := bytes.Replace(b, []byte("blk.5.nextn.eh_proj"), []byte("blk.5.nextn.eh_prok"), 1)
	o, err := load(renamed, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if s := newSession(t, o); s.Guesser() != nil {
		t.Error("guesses without a block")
	}
	if _, err := load(bytes.Replace(b, []byte("blk.5.nextn.hnorm"), []byte("blk.5.nextn.hnorn"), 1), Options{Threads: 1}); err == nil {
		t.Error("a block without a norm")
	}
	if f, err := gguf.Read(bytes.NewReader(b), int64(len(b))); err != nil || f.Tensors[len(f.Tensors)-1].Name != "blk.5.nextn.shared_head_norm.weight" {
		t.Error("the block is not at the end of the file", err)
	}
}

// Of a streamed model the block stays in memory, and so does the output if there is room; what is guessed is the same to
// the bit, and a drive that fails costs no more than the guess.
func TestGuessStreamed(t *testing.T) {
	smallPieces(t, 16<<10)
	old := blockShare
	t.Cleanup(func() { blockShare = old })
	blockShare = 0 // it may cost what it likes
	f := llmtest.Parse(synthetic(t, "tiny-qwen35", "Q8_0"))
	size := int64(len(f.Bytes()))
	whole := load(t, f, Options{Threads: 2, inPlace: true})
	outputs := map[bool]bool{}
	for _, part := range []float64{0.65, 0.8} {
		m, d := loadWithin(t, f, Options{Threads: 2, Budget: int64(float64(size) * part)})
		layout := m.weights.(*stream).layout
		outputs[layout.outputs < len(layout.order)] = true
		want, s := newSession(t, whole), newSession(t, m)
		want.batch, s.batch = 16, 16 // so that the block follows a prompt
		known, g := want.Guesser(), s.Guesser()
		if g == nil || m.Info().Streamed == 0 {
			t.Fatalf("%.2f: there are no guesses, or %d bytes are streamed", part, m.Info().Streamed)
		}
		check := func(next int32) {
			t.Helper()
			ids, logits := guess(t, g, next, 2)
			right, wanted := guess(t, known, next, 2)
			if !slices.Equal(ids, right) {
				t.Errorf("%.2f: guessed %v, in memory %v", part, ids, right)
			}
			for i := range logits {
				same(t, logits[i], wanted[i])
			}
		}
		for _, ids := range [][]int32{testIDs, {7}, {8, 9}, testIDs[:20], {3}} {
			same(t, eval(t, s, ids...), eval(t, want, ids...))
			check(ids[0])
		}

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.Eval(ctx, []int32{1}); err == nil {
			t.Fatal("a pass that was called off came to its end")
		}
		check(5)
		for _, ids := range [][]int32{testIDs[:16], testIDs[16:32]} { // the block sees the first when it follows the second
			m.weights.begin(ctx, true) // one that was called off at once
			clear(m.weights.(*stream).read)
			same(t, eval(t, s, ids...), eval(t, want, ids...))
		}
		check(5)
		if len(layout.order) > layout.outputs {
			d.fail.Store(-1)
			if _, err := g.Guess(nil, 6, 2, argmax); err == nil {
				t.Error("a guess without a drive")
			}
			d.fail.Store(0)
		}
		check(6)
		same(t, eval(t, s, 6), eval(t, want, 6))
		check(4)
	}
	if len(outputs) != 2 {
		t.Error("the output is always streamed, or never")
	}
}

// BenchmarkGuess measures, in turns, a pass of one token, of two, what guessing one token takes, and reading a prompt
// with and without the block, in memory and with a third of the weights streamed from a drive of 1 GB/s. Guesses pay when more of
// them are right than "breakeven" says.
func BenchmarkGuess(b *testing.B) {
	data := synthetic(b, "qwen3.5-4b-layers", "Q4_K_M")
	size := int64(len(data))
	defer func(old int64) { blockShare = old }(blockShare)
	blockShare = 0 // it is a large part of so few layers
	for _, way := range []struct {
		name string
		from io.ReaderAt
		Options
	}{
		{"1", bytes.NewReader(data), Options{Threads: 1}},
		{"2", bytes.NewReader(data), Options{Threads: 2}},
		{"streamed", &slow{ReaderAt: bytes.NewReader(data), rate: 1e9}, Options{Threads: 2, Budget: size * 2 / 3}},
	} {
		b.Run(way.name, func(b *testing.B) {
			m, err := Load(way.from, size, way.Options)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			prompt := make([]int32, 512)
			for i := range prompt {
				prompt[i] = int32(i * 7)
			}
			s, plain := newSession(b, m), newSession(b, m)
			g := s.Guesser()
			names := []string{"one", "two", "guess", "prompt", "plain-prompt"}
			times := make([][]float64, len(names))
			for b.Loop() {
				for i, f := range []func(){
					func() { eval(b, plain, 1) },
					func() { eval(b, plain, 1, 2) },
					func() { _, err = g.Guess(nil, 1, 1, argmax) },
					func() { eval(b, s, prompt...) },
					func() { eval(b, plain, prompt...) },
				} {
					s.Truncate(0)
					plain.Truncate(0)
					if i < 3 {
						eval(b, s, prompt[:100]...)
						eval(b, plain, prompt[:100]...)
						if _, err := g.Guess(nil, 2, 1, argmax); err != nil {
							b.Fatal(err)
						}
					}
					began := time.Now()
					f()
					times[i] = append(times[i], time.Since(began).Seconds()*1e3)
				}
			}
			median := map[string]float64{}
			for i, t := range times {
				slices.Sort(t)
				median[names[i]] = t[len(t)/2]
				b.ReportMetric(median[names[i]], names[i]+"-ms")
			}
			b.ReportMetric((median["two"]+median["guess"])/median["one"]-1, "breakeven")
			b.ReportMetric(median["prompt"]/median["plain-prompt"], "x-prompt")
		})
	}
}
