package kernel

import "unsafe"

// Functions of float_amd64.s, for AVX2; n is a positive multiple of 8.

// wideMax returns the largest of x.
//
//go:noescape
func wideMax(x *float32, n int) float32

// wideExp replaces x by exp((x-largest)*scale) and returns the sum. For each eight numbers it brings
// a line from ahead on, step bytes further each time, into the second-level cache.
//
//go:noescape
func wideExp(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64

// wideExp512 is wideExp with AVX-512, to the same bits.
//
//go:noescape
func wideExp512(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64

//go:noescape
func wideScale(x *float32, n int, f float32)

// wideSquares returns the sum of the squares of x.
//
//go:noescape
func wideSquares(x *float32, n int) float64

// wideScaleBy makes y = x * f * w.
//
//go:noescape
func wideScaleBy(y, x, w *float32, n int, f float32)

//go:noescape
func wideSwiGLU(gate, up *float32, n int)

//go:noescape
func wideGelu(x *float32, n int)

//go:noescape
func wideAdd(y, x *float32, n int)

//go:noescape
func wideAddNorm(x, h, bias, w, b *float32, n int, epsilon float32)

// wideMultiplyAdd makes y = y + a * b.
//
//go:noescape
func wideMultiplyAdd(y, a, b *float32, n int)

// wideRecall computes the first n columns of Recall.
//
//go:noescape
func wideRecall(y, m, x *float32, rows, cols, n int)

// wideRecur computes the first n columns of Recur.
//
//go:noescape
func wideRecur(y, next, state, k, value, q *float32, rows, cols, n int, decay float32)
