package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

func greedy() Params { return Params{} }

func TestGreedy(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 3, 2}, 1},
		{[]float32{2, 3, 3}, 1},
		{[]float32{-5, -2, -2}, 1},
		{[]float32{nan, 1, nan, 2, nan}, 3},
		{[]float32{nan, -inf, -3}, 2},
		{[]float32{1, inf, inf, 5}, 1},
		{[]float32{nan, -inf}, -1},
		{nil, -1},
	} {
		for _, p := range []Params{greedy(), {Temperature: 1, TopK: 1, TopP: 1}, {Temperature: 1, TopP: 0}, {Temperature: nan}, {Temperature: 1e-30, TopP: 1, Seed: 1}} {
			want := c.want
			if p.Temperature == 1e-30 && len(c.logits) == 3 && c.logits[2] == c.logits[1] {
				continue // equals are drawn
			}
			if got := New(p).Sample(c.logits, nil); got != want {
				t.Errorf("%v with %+v: got %d, want %d", c.logits, p, got, want)
			}
		}
	}
}

func TestRepeatPenalty(t *testing.T) {
	logits := []float32{4, 5, -1, -1.1}
	sample := func(p Params, recent ...int32) int32 { return New(p).Sample(logits, recent) }
	for _, c := range []struct {
		p      Params
		recent []int32
		want   int32
	}{
		{Params{}, []int32{1}, 1}, // at temperature 0 there is none unless set
		{Params{RepeatPenalty: 2}, []int32{1}, 1},
		{Params{RepeatPenalty: 2, RepeatLastN: 64}, []int32{1}, 0},
		{Params{RepeatPenalty: 2, RepeatLastN: 1}, []int32{1, 3}, 1},
		{Params{RepeatPenalty: 2, RepeatLastN: -1}, []int32{1, 3}, 0},
		{Params{RepeatPenalty: 1, RepeatLastN: 64}, []int32{1}, 1},
		{Params{RepeatPenalty: 2, RepeatLastN: 64}, []int32{-1, 4, 1 << 30, 1}, 0},
		{Params{RepeatPenalty: 100, RepeatLastN: 64}, []int32{0, 1, 2}, 1}, // 0.04, 0.05, -100, -1.1
	} {
		if got := sample(c.p, c.recent...); got != c.want {
			t.Errorf("%+v after %v: got %d, want %d", c.p, c.recent, got, c.want)
		}
	}
	// The marks of one call are gone in the next.
	s := New(Params{RepeatPenalty: 2, RepeatLastN: 64})
	if a, b := s.Sample(logits, []int32{1}), s.Sample(logits, []int32{0}); a != 0 || b != 1 {
		t.Errorf("got %d, %d, want 0, 1", a, b)
	}
	if p := Default(); p.Penalty() != 1.1 {
		t.Errorf("default penalty %v", p.Penalty())
	}
	p := Default()
	p.Temperature = 0
	if p.Penalty() != 1 {
		t.Errorf("greedy penalty %v", p.Penalty())
	}
}

// reference is the sampling distribution computed in the plainest way.
func reference(logits []float32, p Params) map[int32]float64 {
	type cand struct {
		l  float64
		id int32
	}
	var cs []cand
	for i, l := range logits {
		if l == l && !math.IsInf(float64(l), -1) {
			cs = append(cs, cand{float64(l), int32(i)})
		}
	}
	sort.SliceStable(cs, func(i, j int) bool { return cs[i].l > cs[j].l })
	if p.TopK > 0 && len(cs) > p.TopK {
		cs = cs[:p.TopK]
	}
	var total, sum float64
	for _, c := range cs {
		total += math.Exp(c.l)
	}
	for i, c := range cs {
		if sum += math.Exp(c.l) / total; sum >= float64(p.TopP) {
			cs = cs[:i+1]
			break
		}
	}
	probs := map[int32]float64{}
	total = 0
	for _, c := range cs {
		if math.Exp(c.l-cs[0].l) >= float64(p.MinP) {
			probs[c.id] = math.Exp(c.l / float64(p.Temperature))
			total += probs[c.id]
		}
	}
	for id := range probs {
		probs[id] /= total
	}
	return probs
}

// Tokens are drawn as often as they should be.
func TestDistribution(t *testing.T) {
	logits := []float32{2, -1, 0.5, nan, 2.5, -inf, 1.5, 0, -3, 1}
	for _, p := range []Params{
		{Temperature: 1, TopP: 1},
		{Temperature: 0.8, TopK: 4, TopP: 1},
		{Temperature: 1, TopK: 4, TopP: 0.7},
		{Temperature: 1, TopP: 0.8},
		{Temperature: 2, TopP: 1, MinP: 0.1},
		{Temperature: 0.5, TopK: 40, TopP: 0.95, MinP: 0.05},
		{Temperature: inf, TopP: 1},
	} {
		p.Seed, p.RepeatPenalty = 42, 1
		s := New(p)
		const n = 200_000
		count := map[int32]int{}
		for range n {
			count[s.Sample(logits, nil)]++
		}
		want := reference(logits, p)
		for id, c := range count {
			if want[id] == 0 {
				t.Errorf("%+v: %d was drawn %d times", p, id, c)
			}
		}
		for id, w := range want {
			got := float64(count[id]) / n
			if math.Abs(got-w) > 5*math.Sqrt(w*(1-w)/n)+1e-6 {
				t.Errorf("%+v: %d has frequency %.4f, want %.4f", p, id, got, w)
			}
		}
	}
}

func TestSeed(t *testing.T) {
	logits := make([]float32, 1000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range logits {
		logits[i] = rng.Float32() * 5
	}
	draw := func(seed int64) (ids []int32, used int64) {
		p := Default()
		p.Seed = seed
		s := New(p)
		for range 50 {
			ids = append(ids, s.Sample(logits, ids))
		}
		return ids, s.Seed()
	}
	a, _ := draw(7)
	b, _ := draw(7)
	c, _ := draw(8)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("the seed does not decide the tokens")
	}
	d, used := draw(0)
	e, _ := draw(used)
	f, _ := draw(0)
	if !slices.Equal(d, e) || slices.Equal(d, f) {
		t.Error("seed 0 is not a new one each time that can be asked for")
	}
}

// A seed stands for the same tokens in every version: these must not change.
func TestSeedPinned(t *testing.T) {
	logits := []float32{1, 2, 3, 2.5, 0.5, 2.2, 1.7, 2.9}
	s := New(Params{Temperature: 1, TopK: 6, TopP: 0.95, MinP: 0.05, Seed: 1234})
	var got []int32
	for range 12 {
		got = append(got, s.Sample(logits, nil))
	}
	if want := []int32{7, 2, 7, 1, 3, 3, 2, 2, 1, 7, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSet(t *testing.T) {
	p := Default()
	for _, kv := range [][2]string{{"temperature", "0"}, {"top_k", "20"}, {"top_p", "0.5"}, {"min_p", ".1"}, {"repeat_penalty", "1.2"}, {"repeat_last_n", "-1"}, {"seed", "-5"}} {
		if err := p.Set(kv[0], kv[1]); err != nil {
			t.Error(err)
		}
	}
	if want := (Params{0, 20, 0.5, 0.1, 1.2, -1, -5}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
	before := p
	for _, kv := range [][2]string{{"temperature", "-1"}, {"temperature", "NaN"}, {"temperature", "hot"}, {"top_k", "1.5"}, {"top_k", "-1"}, {"top_k", "99999999999"},
		{"top_p", "2"}, {"seed", "x"}, {"repeat_last_n", "-2"}, {"num_ctx", "3"}, {"repeat_penalty", "Inf"}} {
		if err := p.Set(kv[0], kv[1]); err == nil {
			t.Errorf("%v was accepted", kv)
		}
	}
	if p != before {
		t.Errorf("a refused value changed %+v to %+v", before, p)
	}
	for _, n := range Names() {
		if err := p.Set(n, "1"); err != nil {
			t.Error(err)
		}
	}
}

// Whatever the logits and parameters, the token is one of the vocabulary.
func FuzzSample(f *testing.F) {
	f.Add([]byte{0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0x7f, 0, 0, 0, 0x40}, float32(0.8), 40, float32(0.9), float32(0.1), float32(1.1), 64)
	f.Add([]byte{0, 0, 0x80, 0xff}, float32(1e-38), 0, float32(1), float32(2), float32(1e-30), -1)
	f.Fuzz(func(t *testing.T, data []byte, temp float32, k int, p, minP, penalty float32, lastN int) {
		logits := make([]float32, len(data)/4)
		any := false
		for i := range logits {
			b := data[4*i:]
			logits[i] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
			any = any || logits[i] > -inf
		}
		s := New(Params{temp, k, p, minP, penalty, lastN, 3})
		recent := []int32{0, 1, -1, 1 << 30}
		for range 3 {
			id := s.Sample(logits, recent)
			if int(id) >= len(logits) || id < -1 || !any && id != -1 {
				t.Fatalf("token %d of %v", id, logits)
			}
			if id >= 0 && (logits[id] != logits[id] || !(logits[id] > -inf)) {
				t.Fatalf("token %d has logit %v", id, logits[id])
			}
		}
	})
}

func vocabulary() []float32 {
	logits := make([]float32, 128_256)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	return logits
}

func TestNoAllocation(t *testing.T) {
	logits := vocabulary()[:2000]
	recent := []int32{1, 2, 3, 500}
	for _, p := range []Params{Default(), {}, {Temperature: 1, TopP: 0.9, RepeatPenalty: 1.1, RepeatLastN: 64}} {
		s := New(p)
		s.Sample(logits, recent)
		if n := testing.AllocsPerRun(100, func() { s.Sample(logits, recent) }); n != 0 {
			t.Errorf("%+v: %v allocations a token", p, n)
		}
	}
}

// A sampler that looks ahead chooses what the other one then chooses, and does
// not disturb it.
func TestAhead(t *testing.T) {
	for _, p := range []Params{Default(), {Temperature: 1.5}, {Temperature: 0.7, TopK: 5, TopP: 1, RepeatPenalty: 1.3, RepeatLastN: 8, Seed: 5}} {
		if p.Seed == 0 {
			p.Seed = 3
		}
		s, alone := New(p), New(p)
		r := rand.New(rand.NewPCG(1, 9))
		var recent, guessed []int32
		for i := range 200 {
			logits := make([]float32, 50)
			for j := range logits {
				logits[j] = float32(r.NormFloat64() * 3)
			}
			if i%4 == 0 {
				guessed = append(recent[:i:i], s.Ahead().Sample(logits, recent))
			}
			got, want := s.Sample(logits, recent), alone.Sample(logits, recent)
			if got != want {
				t.Fatalf("%+v: looking ahead changed choice %d: %d, not %d", p, i, got, want)
			}
			recent = append(recent, got)
			if i%4 == 0 && guessed[i] != got {
				t.Fatalf("%+v: choice %d was to be %d and is %d", p, i, guessed[i], got)
			}
		}
	}
}

func BenchmarkSample(b *testing.B) {
	logits := vocabulary()
	recent := []int32{1, 2, 3, 500}
	for name, p := range map[string]Params{"greedy": {}, "default": Default(), "top-p alone": {Temperature: 1, TopP: 0.9}} {
		b.Run(name, func(b *testing.B) {
			s := New(p)
			b.ReportAllocs()
			for b.Loop() {
				s.Sample(logits, recent)
			}
		})
	}
}
