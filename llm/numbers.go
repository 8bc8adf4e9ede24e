package llm

import "errors"

// errNotNumbers is what a computation ends with whose results are NaN or
// infinite: weights that are damaged, or numbers that outgrew float32.
var errNotNumbers = errors.New("the model computed something that is not a number: its file is damaged, or was converted or quantised wrongly")

// finite reports whether no number in x is NaN or infinite.
func finite(x []float32) bool {
	// The difference of a number to itself is 0, of NaN and infinity NaN; and
	// NaN stays in the sum.
	var sum float32
	for _, v := range x {
		sum += v - v
	}
	return sum == 0
}
