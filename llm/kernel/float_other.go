//go:build !amd64

package kernel

import "unsafe"

// There is no set but the portable one, which calls none of these.

func wideMax(x *float32, n int) float32 { panic("kernel: no assembly") }
func wideExp(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64 {
	panic("kernel: no assembly")
}
func wideExp512(x *float32, n int, largest, scale float32, ahead unsafe.Pointer, step int) float64 {
	panic("kernel: no assembly")
}
func wideScale(x *float32, n int, f float32)         { panic("kernel: no assembly") }
func wideSquares(x *float32, n int) float64          { panic("kernel: no assembly") }
func wideScaleBy(y, x, w *float32, n int, f float32) { panic("kernel: no assembly") }
func wideSwiGLU(gate, up *float32, n int)            { panic("kernel: no assembly") }
func wideGelu(x *float32, n int)                     { panic("kernel: no assembly") }
func wideAdd(y, x *float32, n int)                   { panic("kernel: no assembly") }
func wideAddNorm(x, h, bias, w, b *float32, n int, epsilon float32) {
	panic("kernel: no assembly")
}
func wideMultiplyAdd(y, a, b *float32, n int)        { panic("kernel: no assembly") }
func wideRecall(y, m, x *float32, rows, cols, n int) { panic("kernel: no assembly") }
func wideRecur(y, next, state, k, value, q *float32, rows, cols, n int, decay float32) {
	panic("kernel: no assembly")
}
