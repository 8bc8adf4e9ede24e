package llm

import (
	"context"
	"fmt"
	"math"
	"testing"

	"alphaos/llm/gguf"
)

// Drafting must not change an answer. So the logits of a token must be the
// same to the last bit whether it is computed alone or together with others,
// up to the number that a draft may have.
func TestBatchInvariance(t *testing.T) {
	shapes := map[string]shape{"F32": smallShape}
	for _, q := range []gguf.Type{gguf.F16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q6_K} {
		shapes[q.String()] = quantisedShape(q)
	}
	for name, shape := range shapes {
		for _, k := range Kernels() {
			for _, cache := range []string{"f32", "f16"} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, k, cache), func(t *testing.T) {
					m := load(t, synthetic(shape), Options{Kernel: k, Threads: 2, Cache: cache})
					prompt := testIDs[:9]
					single := newSession(t, m)
					eval(t, single, prompt...)
					var want [][]float32
					for _, id := range testIDs[9 : 9+maxDraft+1] {
						want = append(want, append([]float32(nil), eval(t, single, id)...))
					}
					for n := 2; n <= maxDraft+1; n++ {
						s := newSession(t, m)
						eval(t, s, prompt...)
						rows, err := s.eval(context.Background(), testIDs[9:9+n], n)
						if err != nil {
							t.Fatal(err)
						}
						v := m.config.vocabulary
						for i := range n {
							for j, x := range rows[i*v : (i+1)*v] {
								if math.Float32bits(x) != math.Float32bits(want[i][j]) {
									t.Fatalf("token %d of %d together: logit %d is %g, alone %g", i, n, j, x, want[i][j])
								}
							}
						}
					}
				})
			}
		}
	}
}
