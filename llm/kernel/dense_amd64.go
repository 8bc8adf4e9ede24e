package kernel

import "unsafe"

// denseAssembly computes the columns [col, col+denseColumns) of a product. The
// last tile of rows may compute some that are done already once more.
func denseAssembly(y, a, b Dense, rows, inner, col int, fma bool) {
	c := call{w: unsafe.Pointer(&b.X[col]), step: uintptr(4 * b.Step), n: uintptr(inner), xstep: uintptr(4 * a.Step), ystep: uintptr(4 * y.Step)}
	for i, from := range [2]int{0, rows - denseRows} {
		if c.rows = uintptr(rows / denseRows); i > 0 {
			if rows%denseRows == 0 {
				return
			}
			c.rows = 1
		}
		c.x, c.y = unsafe.Pointer(&a.X[from*a.Step]), unsafe.Pointer(&y.X[from*y.Step+col])
		if fma {
			fmaDense(&c)
		} else {
			avx2Dense(&c)
		}
	}
}

//go:noescape
func avx2Dense(a *call)

//go:noescape
func fmaDense(a *call)

// Functions of float_amd64.s; n is a positive multiple of 8.

//go:noescape
func wideAdd(y, x *float32, n int)

//go:noescape
func wideAddNorm(x, h, bias, w, b *float32, n int, epsilon float32)
