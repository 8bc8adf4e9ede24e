//go:build !amd64

package train

var assembly, double = false, false

func fmaTile512(k int, a, a6 *float32, row, col int, b, c *float32, stride int, add bool) {
	panic("no assembly")
}

func tile(k int, a *float32, row, col int, b, c *float32, stride int, add bool) {
	portableTile(k, a, row, col, b, c, stride, add)
}

// The functions of vector_amd64.s, never called here.

func wideSwiGLU(out, gate, up *float32, n int)                  { panic("no assembly") }
func wideSwiGLUBack(gate, up, dout *float32, n int)             { panic("no assembly") }
func wideExp(x *float32, n int, largest, scale float32) float32 { panic("no assembly") }
func wideMax(x *float32, n int) float32                         { panic("no assembly") }
func wideDot(x, y *float32, n int) float32                      { panic("no assembly") }
func wideScale(x *float32, n int, f float32)                    { panic("no assembly") }
func wideAdd(y, x *float32, n int, f float32)                   { panic("no assembly") }
func wideNorm(y, x, w *float32, n int, f float32)               { panic("no assembly") }
func wideMulAdd(y, a, b *float32, n int, f float32)             { panic("no assembly") }
func wideSoftmaxBack(d, p *float32, n int, mean, scale float32) { panic("no assembly") }
