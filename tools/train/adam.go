package train

import "math"

// AdamW with decoupled weight decay (Loshchilov and Hutter), after gradients
// were clipped to a global norm.
type adam struct {
	Beta1, Beta2, Epsilon, Decay, Clip float64
	m, v                               []float32 // moments of each parameter
	sums                               []float64
}

const adamChunk = 1 << 14

// span is a run of parameters that decay or do not.
type span struct {
	from, to int
	decay    bool
}

// spans divides the parameters: matrices decay, norms do not.
func (s Shape) spans() (list []span) {
	tensors, _ := s.tensors()
	for _, t := range tensors {
		for from := 0; from < t.size(); from += adamChunk {
			list = append(list, span{t.at + from, t.at + min(t.size(), from+adamChunk), t.rows > 0})
		}
	}
	return list
}

func newAdam(s Shape) *adam {
	n := s.Parameters()
	return &adam{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, Decay: 0.1, Clip: 1, m: make([]float32, n), v: make([]float32, n)}
}

// update makes step number t, the first being 1, and returns the norm of the
// gradients.
func (a *adam) update(p *pool, spans []span, w, g []float32, t int, rate float64) float64 {
	a.sums = append(a.sums[:0], make([]float64, len(spans))...)
	p.run(len(spans), func(_, i int) {
		for x := g[spans[i].from:spans[i].to]; len(x) > 0; x = x[min(len(x), 1024):] {
			y := x[:min(len(x), 1024)]
			a.sums[i] += float64(dot(y, y))
		}
	})
	total := 0.0
	for _, s := range a.sums {
		total += s
	}
	total = math.Sqrt(total)
	clip := 1.0
	if a.Clip > 0 && total > a.Clip {
		clip = a.Clip / total
	}
	scale := float32(clip)
	b1, b2 := float32(a.Beta1), float32(a.Beta2)
	c1 := float32(rate / (1 - math.Pow(a.Beta1, float64(t))))
	c2 := float32(1 / (1 - math.Pow(a.Beta2, float64(t))))
	epsilon := float32(a.Epsilon)
	p.run(len(spans), func(_, i int) {
		s := spans[i]
		keep := float32(1)
		if s.decay {
			keep = float32(1 - rate*a.Decay)
		}
		w, g, m, v := w[s.from:s.to], g[s.from:s.to], a.m[s.from:s.to], a.v[s.from:s.to]
		for j, x := range g {
			x *= scale
			m[j] = b1*m[j] + (1-b1)*x
			v[j] = b2*v[j] + (1-b2)*x*x
			w[j] = keep*w[j] - c1*m[j]/(float32(math.Sqrt(float64(v[j]*c2)))+epsilon)
		}
	})
	return total
}

// rate is the learning rate of a step: it rises over warm-up steps to peak,
// stays there, and over the last fall steps comes down along half a cosine to a
// hundredth. So what comes before the fall does not depend on how many steps
// there will be.
func (o *Options) rate(step int) float64 {
	if step < o.Warmup {
		return o.Rate * float64(step+1) / float64(o.Warmup)
	}
	const least = 0.01
	x := float64(step-o.fall()) / float64(max(1, o.Fall))
	return o.Rate * (least + (1-least)*0.5*(1+math.Cos(math.Pi*min(1, max(0, x)))))
}

// fall is the step from which on the learning rate falls.
func (o *Options) fall() int { return max(o.Warmup, o.Steps-o.Fall) }
