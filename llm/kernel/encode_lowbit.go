package kernel

import (
	"cmp"
	"math"
	"slices"
)

// Quantization to one to four bits. Q1_0 and MXFP4 are rounded as ggml does; the scale of ternary
// weights is the one of least squared error, because ggml's, the largest weight, makes zeros
// of nearly all weights that were not trained to be ternary.

// fitTernary returns the scale of least squared error for weights of -1, 0 and 1. Of the weights
// that are not 0, which are the largest, it is the mean size.
func fitTernary(x []float32) float32 {
	var room [256]float32
	sizes := room[:len(x)]
	for i, v := range x {
		sizes[i] = magnitude(v)
	}
	slices.SortFunc(sizes, func(a, b float32) int { return cmp.Compare(b, a) })
	var sum, best, scale float64
	for i, v := range sizes {
		sum += float64(v)
		if gain := sum * sum / float64(i+1); gain > best {
			best, scale = gain, sum/float64(i+1)
		}
	}
	return float32(scale)
}

// roundTo writes the weights of x, which has the scale d, between low and high, and returns the squared
// error and the scale that is best for them.
func roundTo(q []int, x []float32, d float32, low, high int) (difference float64, better float32) {
	id := inverse(d)
	var product, square float64
	for i, v := range x {
		q[i] = clamp(nearest(v*id), low, high)
		e := float64(v) - float64(d)*float64(q[i])
		difference += e * e
		product += float64(v) * float64(q[i])
		square += float64(q[i] * q[i])
	}
	if square == 0 {
		return difference, d
	}
	return difference, float32(product / square)
}

// asHalf is the scale as a block keeps it.
func asHalf(d float32) float32 { return fromHalf(toHalf(d)) }

func encodeQ1_0(b []byte, x []float32) {
	var sum float64
	clear(b[2:])
	for i, v := range x {
		sum += float64(magnitude(v))
		if v >= 0 {
			b[2+i/8] |= 1 << (i % 8)
		}
	}
	putHalf(b, float32(sum/float64(len(x))))
}

// encodeQ2_0 uses the fourth value, twice the scale, which may be below 0, where it helps.
func encodeQ2_0(b []byte, x []float32) {
	var room, tried [256]int
	q, try := room[:len(x)], tried[:len(x)]
	ternary := fitTernary(x)
	scale := asHalf(ternary)
	least, _ := roundTo(q, x, scale, -1, 1)
	for _, first := range []float32{0.6, 0.75, 0.9, -0.6, -0.75, -0.9} {
		d := ternary * first
		for range 4 {
			_, d = roundTo(try, x, d, -1, 2)
		}
		d = asHalf(d)
		if difference, _ := roundTo(try, x, d, -1, 2); difference < least*0.999 {
			least, scale = difference, d
			copy(q, try)
		}
	}
	putHalf(b, scale)
	clear(b[2:])
	for i, v := range q {
		b[2+i/4] |= byte(v+1) << (i % 4 * 2)
	}
}

// digits writes q, of -1 to 1, in base 3, n digits to a byte, all bytes' first digits before the second.
func digits(b []byte, q []int, n int) {
	for i := range b {
		v := 0
		for k := range 5 {
			v *= 3
			if k < n {
				v += q[k*len(b)+i] + 1
			}
		}
		b[i] = byte((v*256 + 242) / 243)
	}
}

func ternary(d []byte, x []float32, q []int) []int {
	scale := asHalf(fitTernary(x))
	roundTo(q, x, scale, -1, 1)
	putHalf(d, scale)
	return q
}

func encodePTQ1_0(b []byte, x []float32) {
	var room [128]int
	q := ternary(b[26:], x, room[:])
	digits(b[:16], q, 5)
	digits(b[16:24], q[80:], 5)
	digits(b[24:26], q[120:], 4)
}

func encodeTQ1_0(b []byte, x []float32) {
	var room [256]int
	q := ternary(b[52:], x, room[:])
	digits(b[:32], q, 5)
	digits(b[32:48], q[160:], 5)
	digits(b[48:52], q[240:], 4)
}

func encodeTQ2_0(b []byte, x []float32) {
	var room [256]int
	q := ternary(b[64:], x, room[:])
	clear(b[:64])
	for i, v := range q {
		b[i/128*32+i%32] |= byte(v+1) << (i % 128 / 32 * 2)
	}
}

// encodeMXFP4 takes the largest power of two for a scale that leaves the largest weight, if it is not near
// the next, within the numbers, as the OCP Microscaling Formats specification (1.0, section 6.3) does.
func encodeMXFP4(b []byte, x []float32) {
	top, e := magnitude(extreme(x)), 0
	if top > 0 {
		_, exponent := math.Frexp(float64(top)) // top is 0.5 to 1 times 2^exponent
		e = clamp(exponent-1-2+127, 0, 254)
	}
	d := halfE8M0[e]
	b[0] = byte(e)
	clear(b[1:])
	for i, v := range x {
		best, least := 0, magnitude(v)
		for k, f := range fourFloats {
			if off := magnitude(float32(f)*d - v); off < least {
				best, least = k, off
			}
		}
		b[1+i%16] |= byte(best << (i / 16 * 4))
	}
}
