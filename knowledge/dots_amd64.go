package knowledge

import "golang.org/x/sys/cpu"

// dots sets scores to the products of q with each row of rows.
func dots(scores []float32, q, rows []int8) {
	if !cpu.X86.HasAVX2 || len(q)%16 != 0 || len(q) == 0 {
		dotsPlain(scores, q, rows)
		return
	}
	if len(rows) < len(scores)*len(q) {
		panic("knowledge: fewer rows than scores")
	}
	if len(scores) > 0 {
		dotsAVX2(scores, q, rows)
	}
}

// dotsAVX2 is dots where len(q) is a multiple of 16.
//
//go:noescape
func dotsAVX2(scores []float32, q, rows []int8)
