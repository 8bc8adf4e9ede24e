//go:build !amd64

package knowledge

// dots sets scores to the products of q with each row of rows.
func dots(scores []float32, q, rows []int8) { dotsPlain(scores, q, rows) }
