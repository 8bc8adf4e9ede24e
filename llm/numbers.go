package llm

import "errors"

// errNotNumbers is what a computation ends with whose results are NaN or
// infinite: weights that are damaged, or numbers that outgrew float32.
var errNotNumbers = errors.New("the model computed something that is not a number: its file is damaged, or was converted or quantized wrongly")

// finite reports whether no number in x is NaN or infinite.
func finite(x []float32) bool {
	// The difference of a number to itself is 0, of NaN and infinity NaN; and
	// NaN stays in a sum. Four sums do not wait for each other.
	var a, b, c, d float32
	for ; len(x) >= 4; x = x[4:] {
		a += x[0] - x[0]
		b += x[1] - x[1]
		c += x[2] - x[2]
		d += x[3] - x[3]
	}
	for _, v := range x {
		a += v - v
	}
	return a+b+c+d == 0
}
