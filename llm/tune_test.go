package llm

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"
)

// The choice holds on a machine whose times vary by a tenth and which is held up three times in ten: the best
// way if it is clearly better than the first, else the first; and the first where there is no time.
func TestQuickest(t *testing.T) {
	for _, c := range []struct {
		speeds []float64 // times of the ways
		rounds int
		want   int
	}{
		{[]float64{1, 1.2, 0.8, 0.9}, 40, 2},
		{[]float64{1, 1, 1.01, 1}, 40, 0},
		{[]float64{1, 1.3, 1.2, 1.1}, 40, 0},
		{[]float64{1, 0.5}, 2, 0},
		{[]float64{1}, 40, 0},
	} {
		wrong := 0
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 1))
			rounds := 0
			got := quickest(len(c.speeds), func(way int) time.Duration {
				d := c.speeds[way] * (1 + 0.1*r.Float64())
				if r.IntN(10) < 3 {
					d *= 1 + 5*r.Float64()
				}
				return time.Duration(d * 1e6)
			}, func() bool { rounds++; return rounds <= c.rounds })[0]
			if got != c.want {
				wrong++
			}
		}
		if wrong > 5 {
			t.Errorf("of %v, %d of 100 times another than %d is chosen", c.speeds, wrong, c.want)
		}
	}
}

// A way that is held up at first is not given up for it.
func TestQuickestBeginsSlowly(t *testing.T) {
	times, rounds := 0, 0
	got := quickest(3, func(way int) time.Duration {
		if way < 2 {
			return time.Millisecond
		}
		if times++; times < 5 {
			return 1200 * time.Microsecond
		}
		return 800 * time.Microsecond
	}, func() bool { rounds++; return rounds <= 20 })[0]
	if got != 2 {
		t.Errorf("way %d is chosen", got)
	}
}

// Where nothing could be judged, a trial decides between the first ways.
func TestQuickestWithoutTime(t *testing.T) {
	rounds := 0
	got := quickest(6, func(int) time.Duration { return time.Second }, func() bool { rounds++; return rounds < 2 })
	if !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("ways %v are left", got)
	}
}

// A trial finds the best of ways that differ by 4 % though tokens vary by a tenth and one in ten is held up.
func TestTrial(t *testing.T) {
	speeds, wrong := []float64{1.04, 1, 1.08, 1.04}, 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		var tries trial
		for i := range speeds {
			tries.ways = append(tries.ways, map[gguf.Type]kernel.Fetch{gguf.Q4_0: {Ahead: i}})
		}
		for {
			if best, done := tries.best(); done {
				if best[gguf.Q4_0].Ahead != 1 {
					wrong++
				}
				break
			}
			d := speeds[tries.next()[gguf.Q4_0].Ahead] * (1 + 0.1*r.Float64())
			if r.IntN(10) == 0 {
				d *= 1.5
			}
			tries.times = append(tries.times, time.Duration(d*1e6))
		}
		if len(tries.times) != tokensATry*len(speeds) {
			t.Fatalf("%d tokens were computed", len(tries.times))
		}
	}
	if wrong > 10 {
		t.Errorf("%d of 100 times another is chosen", wrong)
	}
}

// A trial is about the tokens of one session; whatever else is computed is so in the first way, and when it is over, in the best.
func TestTrialOfSession(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{})
	a, b := newSession(t, m), newSession(t, m)
	eval(t, a, 1, 2, 3)
	ways := []map[gguf.Type]kernel.Fetch{{gguf.F32: {Ahead: 1}}, {gguf.F32: {Ahead: 2}}}
	m.trial = &trial{ways: ways}
	holds := func(ways ...map[gguf.Type]kernel.Fetch) {
		t.Helper()
		now := *m.fetches.Load()
		if !slices.ContainsFunc(ways, func(w map[gguf.Type]kernel.Fetch) bool { return maps.Equal(w, now) }) {
			t.Fatalf("%v holds, not one of %v", now, ways)
		}
	}
	for range tokensATry {
		eval(t, a, 4)
		holds(ways[0])
		eval(t, a, 4, 5) // a draft
	}
	eval(t, b, 4) // begins anew
	if len(m.trial.times) != 1 {
		t.Fatalf("%d tokens are measured of another session", len(m.trial.times))
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Eval(cancelled, []int32{4}); err == nil || len(m.trial.times) != 1 {
		t.Fatalf("a cancelled token counts: %d, %v", len(m.trial.times), err)
	}
	holds(ways[0])
	for range 2*tokensATry - 1 {
		holds(ways[0])
		eval(t, b, 4)
	}
	if m.trial != nil {
		t.Error("the trial goes on")
	}
	holds(ways...)
}

// A trial that does not come to its end does not keep the session that it is about, with its keys and values.
func TestTrialLetsGo(t *testing.T) {
	shape := llmtest.Quantized(gguf.Q4_0)
	shape.FeedForward *= 8 // enough work for two threads
	m := load(t, llmtest.Llama(shape), Options{Threads: 2})
	m.trial = &trial{ways: []map[gguf.Type]kernel.Fetch{{}, {}}}
	session := func() weak.Pointer[Session] {
		s, err := m.NewSession(16)
		if err != nil {
			t.Fatal(err)
		}
		eval(t, s, 1)
		eval(t, s, 2)
		if m.trial == nil || len(m.trial.times) == 0 {
			t.Fatal("no trial goes on")
		}
		return weak.Make(s)
	}()
	for range 3 {
		runtime.GC()
	}
	if session.Value() != nil {
		t.Error("the session is kept")
	}
}

// A measurement that is held up for as long as all may take does not end them, but all that are held up do.
func TestLimit(t *testing.T) {
	const during = 14 * time.Millisecond
	for _, c := range []struct {
		usual, first time.Duration
		want         int
	}{
		{40 * time.Microsecond, 40 * time.Microsecond, 350},
		{40 * time.Microsecond, 13 * time.Millisecond, 350},
		{13 * time.Millisecond, 40 * time.Microsecond, 5},
	} {
		l, n := limit{during: during}, 0
		for took := c.first; l.more(); took = c.usual {
			l.count(took)
			n++
		}
		if n != c.want {
			t.Errorf("%+v: %d measurements", c, n)
		}
	}
}

// What is fetched ahead changes no result, and a wrong word for it is refused.
func TestFetch(t *testing.T) {
	file := llmtest.Llama(llmtest.Shape{Embedding: 256, FeedForward: 512, Layers: 1, Heads: 4, KVHeads: 2, Head: 64, Vocabulary: 270, Context: 64, Types: []gguf.Type{gguf.Q4_K, gguf.Q8_0, gguf.Q6_K}}).Bytes()
	var want []float32
	for _, f := range kernel.Fetches() {
		m, err := Load(bytes.NewReader(file), int64(len(file)), Options{Fetch: f.String()})
		if err != nil {
			t.Fatal(err)
		}
		got := eval(t, newSession(t, m), 1, 2, 3)
		if want == nil {
			want = got
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v: logit %d is %v, not %v", f, i, got[i], want[i])
			}
		}
		if want := fmt.Sprintf("Q4_K %[1]v, Q6_K %[1]v, Q8_0 %[1]v", f); m.Info().Fetch != want {
			t.Errorf("the model is told to fetch %q, want %q", m.Info().Fetch, want)
		}
		m.Close()
	}
	m := load(t, llmtest.Llama(llmtest.Small), Options{}) // which caches hold: nothing is measured
	if fetch := m.Info().Fetch; fetch != "" {
		t.Errorf("before any token it is known that %s", fetch)
	}
	eval(t, newSession(t, m), 1, 2)
	if m.Info().Fetch == "" {
		t.Fatal("nothing is chosen after a prompt")
	}
	for typ, f := range *m.fetches.Load() {
		if f != kernel.Fetches()[0] {
			t.Errorf("of a small model %v is fetched as %v", typ, f)
		}
	}
	if _, err := Load(bytes.NewReader(file), int64(len(file)), Options{Fetch: "17"}); err == nil {
		t.Error("17 bytes ahead are accepted")
	}
}

// median sorts x.
func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
