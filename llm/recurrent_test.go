package llm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"alphaos/llm/kernel"
)

// BenchmarkChunks compares, in turns, the gated delta net token by token, as it is computed here, with the form that takes a chunk
// of tokens by products of matrices (arXiv 2412.06464, section 3.3), in the shape of Qwen 3.5 4B: it does not pay, see
// docs/performance.md. Of a chunk's tokens t, with g[t] the product of their decays,
//
//	δ[t] = β[t] (v[t] - g[t] k[t] M - Σ s<t: g[t]/g[s] (k[t]·k[s]) δ[s])
//	o[t] = g[t] q[t] M + Σ s≤t: g[t]/g[s] (q[t]·k[s]) δ[s]
//
// and behind it M is g M + Σ g/g[s] k[s] δ[s].
func BenchmarkChunks(b *testing.B) {
	const size, tokens, heads = 128, 128, 32
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64() * scale)
		}
		return x
	}
	queries, keys, values := random(tokens*size, 1./size), random(tokens*size, 1/math.Sqrt(size)), random(heads*tokens*size, 1)
	decay, beta := make([]float32, tokens), make([]float32, tokens)
	for i := range decay {
		decay[i], beta[i] = float32(0.9+0.1*r.Float64()), r.Float32()
	}
	dense := func(x []float32, step int) kernel.Dense { return kernel.Dense{X: x, Step: step} }
	recalled, value := make([]float32, size), make([]float32, size)
	for _, name := range Kernels() {
		set, err := kernel.ByName(name)
		if err != nil || name == "portable" {
			continue
		}
		single := func(states, y []float32) {
			for h := range heads {
				state := states[h*size*size:][:size*size]
				for t := range tokens {
					key := keys[t*size:][:size]
					copy(value, values[(h*tokens+t)*size:])
					set.Recall(recalled, state, key)
					for i, x := range value {
						value[i] = beta[t] * (x - decay[t]*recalled[i])
					}
					set.Recur(y[(h*tokens+t)*size:][:size], state, state, decay[t], key, value, queries[t*size:][:size])
				}
			}
		}
		chunked := func(states, y []float32, n int) {
			turned, aged, kk, qk := make([]float32, size*n), make([]float32, size*n), make([]float32, n*n), make([]float32, n*n)
			known, delta, more, g, row := make([]float32, n*size), make([]float32, n*size), make([]float32, size*size), make([]float32, n), make([]float32, n)
			for at := 0; at < tokens; at += n {
				k, q := keys[at*size:][:n*size], queries[at*size:][:n*size]
				for i, x := range k {
					turned[i%size*n+i/size] = x
				}
				for h := range heads {
					if h%2 == 0 { // two heads share keys and queries
						set.Product(dense(kk, n), dense(k, size), dense(turned, n), n, size, n)
						set.Product(dense(qk, n), dense(q, size), dense(turned, n), n, size, n)
					}
					state, out, decayed := states[h*size*size:][:size*size], y[(h*tokens+at)*size:][:n*size], float32(1)
					set.Product(dense(known, size), dense(k, size), dense(state, size), n, size, size)
					set.Product(dense(out, size), dense(q, size), dense(state, size), n, size, size)
					for t := range n {
						decayed *= decay[at+t]
						g[t] = decayed
						for s := range t {
							row[s] = decayed / g[s] * kk[t*n+s]
						}
						set.Recall(recalled, delta, row[:t])
						v := values[(h*tokens+at+t)*size:][:size]
						for j := range v {
							delta[t*size+j] = beta[at+t] * (v[j] - decayed*known[t*size+j] - recalled[j])
						}
						for s := range t + 1 {
							row[s] = decayed / g[s] * qk[t*n+s]
						}
						set.Recall(recalled, delta, row[:t+1])
						set.Scale(out[t*size:][:size], decayed)
						set.Add(out[t*size:][:size], recalled)
					}
					for i, x := range turned {
						aged[i] = x * decayed / g[i%n]
					}
					set.Product(dense(more, size), dense(aged, n), dense(delta, size), size, n, size)
					set.Scale(state, decayed)
					set.Add(state, more)
				}
			}
		}
		for _, n := range []int{16, 32, 64} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var states, results [2][]float32
				for i := range states {
					states[i], results[i] = make([]float32, heads*size*size), make([]float32, heads*tokens*size)
				}
				var times [2][]float64
				for b.Loop() {
					for i, f := range []func(){func() { single(states[0], results[0]) }, func() { chunked(states[1], results[1], n) }} {
						began := time.Now()
						f()
						times[i] = append(times[i], time.Since(began).Seconds()*1e6/tokens/heads)
					}
				}
				for i, v := range results[0] {
					if math.Abs(float64(v-results[1][i])) > 1e-6 {
						b.Fatalf("number %d is %g and %g", i, v, results[1][i])
					}
				}
				slices.Sort(times[0])
				slices.Sort(times[1])
				b.ReportMetric(times[0][len(times[0])/2], "us-single")
				b.ReportMetric(times[1][len(times[1])/2], "us-chunked")
				b.ReportMetric(times[0][len(times[0])/2]/times[1][len(times[1])/2], "x")
			})
		}
	}
}
