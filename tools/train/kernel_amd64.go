package train

import "golang.org/x/sys/cpu"

// assembly is whether this processor runs the kernels of gemm_amd64.s and
// vector_amd64.s. Tests switch it off.
var assembly = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// tile computes a 6 x 16 tile of c, or adds to it, from 6 rows of k columns of a
// and a panel of 16 columns of b; row, col and stride count numbers.
func tile(k int, a *float32, row, col int, b, c *float32, stride int, add bool) {
	if assembly {
		fmaTile(k, a, row, col, b, c, stride, add)
		return
	}
	portableTile(k, a, row, col, b, c, stride, add)
}

// double is whether two tiles, one below the other, are computed together, with
// AVX-512 and to the same bits. Tests switch it off.
var double = cpu.X86.HasAVX512F

//go:noescape
func fmaTile512(k int, a, a6 *float32, row, col int, b, c *float32, stride int, add bool)

//go:noescape
func fmaTile(k int, a *float32, row, col int, b, c *float32, stride int, add bool)

//go:noescape
func wideSwiGLU(out, gate, up *float32, n int)

//go:noescape
func wideSwiGLUBack(gate, up, dout *float32, n int)

//go:noescape
func wideExp(x *float32, n int, largest, scale float32) float32

//go:noescape
func wideMax(x *float32, n int) float32

//go:noescape
func wideDot(x, y *float32, n int) float32

//go:noescape
func wideScale(x *float32, n int, f float32)

//go:noescape
func wideAdd(y, x *float32, n int, f float32)

//go:noescape
func wideNorm(y, x, w *float32, n int, f float32)

//go:noescape
func wideMulAdd(y, a, b *float32, n int, f float32)

//go:noescape
func wideSoftmaxBack(d, p *float32, n int, mean, scale float32)
