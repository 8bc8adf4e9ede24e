package llm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"alphaos/llm/kernel"
)

// Rate is how fast memory was read in one way.
type Rate struct {
	Way    kernel.Reading
	Median float64 // bytes a second
}

// Bandwidth reads the weights in memory, which are to be more than the caches hold, in
// every way there is and with the model's threads, and returns the rates, the best first.
// The best is an honest limit: no code of a product is in it. Of each round, the ways come
// in turn, and go on where the last one stopped.
func (m *Model) Bandwidth(ctx context.Context, rounds int) ([]Rate, error) {
	m.busy.Lock()
	defer m.busy.Unlock()
	const piece = 256 << 10
	pieces := min(len(m.memory)/piece, 512)
	if m.closed {
		return nil, errors.New("the model is closed")
	}
	if pieces == 0 { // the caches hold it anyway
		return nil, nil
	}
	ways := kernel.Readings()
	rates, samples := make([]Rate, len(ways)), make([][]float64, len(ways))
	at := 0
	for range rounds {
		for i, way := range ways {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if at+pieces > len(m.memory)/piece {
				at = 0
			}
			began := time.Now()
			m.pool.run(pieces, pieces*piece, func(_, part int) { way.Read(m.memory[(at+part)*piece:][:piece]) })
			samples[i] = append(samples[i], float64(pieces*piece)/time.Since(began).Seconds())
			at += pieces
		}
	}
	for i, way := range ways {
		slices.Sort(samples[i])
		rates[i] = Rate{way, samples[i][len(samples[i])/2]}
	}
	slices.SortFunc(rates, func(a, b Rate) int { return cmp.Compare(b.Median, a.Median) })
	return rates, nil
}
