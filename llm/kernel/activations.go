package kernel

import "math"

// Form is how activations are stored.
type Form uint8

// The quantized forms keep a number x as round(x/d) in an int8, where d is the
// largest magnitude of a block divided by 127. With each block they keep what
// the kernels need to treat weights as unsigned.
const (
	PlainF32 Form = iota // float32
	Q8                   // blocks of 32: d, and -8*d times the sum of the int8
	Q8K                  // blocks of 256: d, and the sums of the int8 by 16 and by 32
)

// block is how many numbers of a quantized form share a scale.
func (f Form) block() int {
	if f == Q8K {
		return 256
	}
	return 32
}

// scaleQ8 and scaleQ8K go with each block of int8; the assembly
// takes their layouts from go_asm.h.
type scaleQ8 struct{ d, sum8 float32 }

type scaleQ8K struct {
	d     float32
	_     [3]float32
	sum16 [16]int16
	sum32 [8]int16
}

// Activations are up to capacity vectors of equal length in one form. The
// memory is reused: Set replaces the vectors.
type Activations struct {
	form Form
	cols int
	n    int // vectors held
	set  *Set

	// Alone asks for each vector's products to the last bit as if it were the
	// only vector; otherwise they may differ in the order of additions.
	Alone bool

	f   []float32 // PlainF32: the vectors themselves, not a copy; else the source
	q   []int8
	s8  []scaleQ8
	s8k []scaleQ8K
}

// View makes v the vectors [from, to) of a, in the same memory. Nothing is allocated. There must be room
// for three vectors behind the last.
func (a *Activations) View(v *Activations, from, to int) {
	v.form, v.cols, v.n, v.set, v.Alone = a.form, a.cols, to-from, a.set, a.Alone
	v.f = a.f[from*a.cols : to*a.cols]
	switch a.form {
	case PlainF32:
	case Q8:
		v.q, v.s8 = a.q[from*a.cols:], a.s8[from*a.cols/32:]
	case Q8K:
		v.q, v.s8k = a.q[from*a.cols:], a.s8k[from*a.cols/256:]
	}
}

// Rest makes y what rounding left of vector t, which is prepared: the difference to what is multiplied instead.
func (a *Activations) Rest(y []float32, t int) {
	x, q := a.f[t*a.cols:(t+1)*a.cols], []int8(nil)
	switch y = y[:a.cols]; a.form {
	case PlainF32:
		clear(y)
		return
	default:
		q = a.q[t*a.cols : (t+1)*a.cols]
	}
	block, scale := 32, func(b int) float32 { return a.s8[t*a.cols/32+b].d }
	if a.form == Q8K {
		block, scale = 256, func(b int) float32 { return a.s8k[t*a.cols/256+b].d }
	}
	for b := range a.cols / block {
		d := scale(b)
		for i := b * block; i < (b+1)*block; i++ {
			y[i] = x[i] - float32(q[i])*d
		}
	}
}

// NewActivations makes room for capacity vectors of cols numbers. For Q8 and
// Q8K cols must be a multiple of 32 and 256.
func (s *Set) NewActivations(form Form, cols, capacity int) *Activations {
	a := &Activations{form: form, cols: cols, set: s}
	capacity = (capacity + 3) &^ 3 // kernels may read, in vain, up to a multiple of four
	switch form {
	case Q8:
		a.q, a.s8 = make([]int8, cols*capacity), make([]scaleQ8, cols/32*capacity)
	case Q8K:
		a.q, a.s8k = make([]int8, cols*capacity), make([]scaleQ8K, cols/256*capacity)
	}
	return a
}

// Hold takes n vectors, one after another in x, of which none is ready until
// Prepare has run for it. Plain activations keep x itself.
func (a *Activations) Hold(x []float32, n int) {
	a.f, a.n = x[:n*a.cols], n
	if a.form != PlainF32 {
		_ = a.q[:n*a.cols]
	}
}

// Prepare quantizes vectors [from, to). Disjoint ranges may be prepared
// concurrently.
func (a *Activations) Prepare(from, to int) {
	if a.form != PlainF32 && from < to {
		a.set.quantize(a, from, to)
	}
}

// Set takes n vectors from x and prepares them all.
func (a *Activations) Set(x []float32, n int) {
	a.Hold(x, n)
	a.Prepare(0, n)
}

func (inGo) quantize(a *Activations, from, to int) {
	block := a.form.block()
	for b := from * a.cols / block; b < to*a.cols/block; b++ {
		x, q := a.f[b*block:(b+1)*block], a.q[b*block:(b+1)*block]
		var largest float32
		for _, v := range x {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		d, inverse := largest/127, float32(0)
		if largest != 0 {
			inverse = 127 / largest
		}
		for i, v := range x {
			q[i] = int8(int32(math.RoundToEven(float64(v * inverse))))
		}
		if a.form == Q8 {
			var sum int32
			for _, v := range q {
				sum += int32(v)
			}
			a.s8[b] = scaleQ8{d, float32(sum) * d * -8}
			continue
		}
		s := &a.s8k[b]
		s.d = d
		for i := range s.sum16 {
			s.sum16[i] = 0
			for _, v := range q[16*i : 16*i+16] {
				s.sum16[i] += int16(v)
			}
		}
		for i := range s.sum32 {
			s.sum32[i] = s.sum16[2*i] + s.sum16[2*i+1]
		}
	}
}
