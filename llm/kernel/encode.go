package kernel

import (
	"encoding/binary"
	"math"
)

// Quantization of weights, the way back from Dequantize. The methods are
// ggml's reference ones without an importance matrix: plain rounding for the
// formats with blocks of 32; for the others a search, for each 16 or 32
// weights, of the scale (and minimum) with the least weighted error, after
// which scales are themselves rounded and the weights rounded once more to
// what those give.

// nearest rounds to the nearest integer, ties to even.
func nearest(x float32) int { return int(math.RoundToEven(float64(x))) }

func clamp(v, low, high int) int { return max(low, min(high, v)) }

func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

func magnitude(x float32) float32 { return float32(math.Abs(float64(x))) }

// extreme is the number farthest from 0.
func extreme(x []float32) (e float32) {
	for _, v := range x {
		if magnitude(v) > magnitude(e) {
			e = v
		}
	}
	return e
}

func encodeQ8_0(b []byte, x []float32) {
	d := magnitude(extreme(x)) / 127
	putHalf(b, d)
	id := inverse(d)
	for i, v := range x {
		b[2+i] = byte(int8(math.Round(float64(v * id))))
	}
}

// putBits writes 32 numbers of 4 or 5 bits: the fifth ones, then nibbles.
func putBits(b []byte, q *[32]int, bits int) {
	if bits == 5 {
		var high uint32
		for i, v := range q {
			high |= uint32(v>>4) << i
		}
		binary.LittleEndian.PutUint32(b, high)
		b = b[4:]
	}
	for i := range 16 {
		b[i] = byte(q[i]&15 | q[16+i]&15<<4)
	}
}

func encodeQ4_0(b []byte, x []float32) { encodeSymmetric(b, x, 4) }
func encodeQ5_0(b []byte, x []float32) { encodeSymmetric(b, x, 5) }
func encodeQ4_1(b []byte, x []float32) { encodeRange(b, x, 4) }
func encodeQ5_1(b []byte, x []float32) { encodeRange(b, x, 5) }
func encodeQ4_K(b []byte, x []float32) { encodeQ45_K(b, x, 4) }
func encodeQ5_K(b []byte, x []float32) { encodeQ45_K(b, x, 5) }

func encodeSymmetric(b []byte, x []float32, bits int) {
	half := 1 << (bits - 1)
	d := extreme(x) / float32(-half)
	putHalf(b, d)
	id := inverse(d)
	var q [32]int
	for i, v := range x {
		q[i] = clamp(int(v*id+float32(half)+0.5), 0, 2*half-1)
	}
	putBits(b[2:], &q, bits)
}

func encodeRange(b []byte, x []float32, bits int) {
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	most := 1<<bits - 1
	d := (high - low) / float32(most)
	putHalf(b, d)
	putHalf(b[2:], low)
	id := inverse(d)
	var q [32]int
	for i, v := range x {
		q[i] = clamp(int((v-low)*id+0.5), 0, most)
	}
	putBits(b[4:], &q, bits)
}

const negligible = 1e-15 // a group of weights that are all smaller is 0

// fitSymmetric finds the scale for x with weights -n to n-1, writes those plus
// n to q, and returns the scale. Large numbers count more.
func fitSymmetric(x []float32, n int, q []int) float32 {
	top := extreme(x)
	if magnitude(top) < negligible {
		clear(q)
		return 0
	}
	fit := func(is float32) (product, square float32) {
		for _, v := range x {
			l := float32(clamp(nearest(is*v), -n, n-1))
			product += v * v * v * l
			square += v * v * l * l
		}
		return product, square
	}
	round := func(is float32) {
		for i, v := range x {
			q[i] = n + clamp(nearest(is*v), -n, n-1)
		}
	}
	is := -float32(n) / top
	product, square := fit(is)
	round(is)
	var scale float32
	if square != 0 {
		scale = product / square
	}
	best := scale * product
	for try := -9; try <= 9; try++ {
		if try == 0 {
			continue
		}
		is := -(float32(n) + 0.1*float32(try)) / top
		if p, s := fit(is); s > 0 && p*p > best*s {
			round(is)
			scale = p / s
			best = scale * p
		}
	}
	return scale
}

// fitOneByOne is fitSymmetric with another search, for so few values that one
// weight rounded differently moves the scale.
func fitOneByOne(x []float32, n int, q []int) float32 {
	top := extreme(x)
	if magnitude(top) < negligible {
		clear(q)
		return 0
	}
	is := -float32(n) / top
	var product, square float32
	for i, v := range x {
		q[i] = clamp(nearest(is*v), -n, n-1)
		product += v * v * v * float32(q[i])
		square += v * v * float32(q[i]*q[i])
	}
	for range 5 {
		changed := false
		for i, v := range x {
			w := v * v
			p := product - w*v*float32(q[i])
			if !(p > 0) {
				continue
			}
			s := square - w*float32(q[i]*q[i])
			l := clamp(nearest(v*s/p), -n, n-1)
			if l == q[i] {
				continue
			}
			p += w * v * float32(l)
			s += w * float32(l*l)
			if s > 0 && p*p*square > product*product*s {
				q[i], product, square, changed = l, p, s, true
			}
		}
		if !changed {
			break
		}
	}
	for i := range q {
		q[i] += n
	}
	if square > 0 {
		return product / square
	}
	return 0
}

// fitRange finds scale and minimum (as the positive number to subtract) for x
// with values 0 to n. weight says how much each number counts; steps are tried
// from first on, in tenths; the error is absolute or squared.
func fitRange(x, weight []float32, n int, first float32, steps int, absolute bool) (scale, minimum float32) {
	low, high := x[0], x[0]
	var sumW, sumX float32
	for i, v := range x {
		low, high = min(low, v), max(high, v)
		sumW += weight[i]
		sumX += weight[i] * v
	}
	low = min(low, 0)
	if high == low {
		return 0, -low
	}
	cost := func(d float32) float32 {
		if absolute {
			return magnitude(d)
		}
		return d * d
	}
	is := float32(n) / (high - low)
	scale = 1 / is
	var best float32
	for i, v := range x {
		best += weight[i] * cost(scale*float32(clamp(nearest(is*(v-low)), 0, n))+low-v)
	}
	var q [32]float32
	for step := range steps + 1 {
		if !(high > low) {
			break
		}
		is := (first + 0.1*float32(step) + float32(n)) / (high - low)
		var sumL, sumL2, sumXL float32
		for i, v := range x {
			l := float32(clamp(nearest(is*(v-low)), 0, n))
			q[i] = l
			sumL += weight[i] * l
			sumL2 += weight[i] * l * l
			sumXL += weight[i] * l * v
		}
		det := sumW*sumL2 - sumL*sumL
		if !(det > 0) {
			continue
		}
		s, m := (sumW*sumXL-sumX*sumL)/det, (sumL2*sumX-sumL*sumXL)/det
		if m > 0 {
			s, m = sumXL/sumL2, 0
		}
		var e float32
		for i, v := range x {
			e += weight[i] * cost(s*q[i]+m-v)
		}
		if e < best {
			best, scale, low = e, s, m // further steps begin at this minimum, as in ggml
		}
	}
	return scale, -low
}

// largest is the largest number of x, at least 0.
func largest(x []float32) (l float32) {
	for _, v := range x {
		l = max(l, v)
	}
	return l
}

func encodeQ2_K(b []byte, x []float32) {
	var scales, minima [16]float32
	var weight [16]float32
	for j := range scales {
		group := x[16*j : 16*j+16]
		for i, v := range group {
			weight[i] = magnitude(v)
		}
		scales[j], minima[j] = fitRange(group, weight[:], 3, -0.5, 15, true)
	}
	topScale, topMinimum := largest(scales[:]), largest(minima[:])
	for j := range scales {
		b[j] = byte(nearest(15*inverse(topScale)*scales[j]) | nearest(15*inverse(topMinimum)*minima[j])<<4)
	}
	putHalf(b[80:], topScale/15)
	putHalf(b[82:], topMinimum/15)
	var q [256]int
	for i, v := range x {
		if d := f16At(b[80:], 0) * float32(b[i/16]&15); d != 0 {
			q[i] = clamp(nearest((v+f16At(b[82:], 0)*float32(b[i/16]>>4))/d), 0, 3)
		}
	}
	putTwoBits(b[16:], &q)
}

// putTwoBits writes the low two bits of 256 numbers.
func putTwoBits(b []byte, q *[256]int) {
	clear(b[:64])
	for i, v := range q {
		b[i/128*32+i%32] |= byte(v & 3 << (i / 32 % 4 * 2))
	}
}

func encodeQ3_K(b []byte, x []float32) {
	var scales [16]float32
	var q [256]int
	for j := range scales {
		scales[j] = fitOneByOne(x[16*j:16*j+16], 4, q[16*j:16*j+16])
	}
	clear(b)
	var rounded [16]int
	if top := extreme(scales[:]); top != 0 {
		is := -32 / top
		for j, s := range scales {
			rounded[j] = clamp(nearest(is*s), -32, 31)
			l := rounded[j] + 32
			b[96+j%8] |= byte(l & 15 << (j / 8 * 4))
			b[104+j%4] |= byte(l >> 4 << (j / 4 * 2))
		}
		putHalf(b[108:], 1/is)
	}
	for i, v := range x {
		if d := f16At(b[108:], 0) * float32(rounded[i/16]); d != 0 {
			q[i] = clamp(nearest(v/d), -4, 3) + 4
		}
		b[i%32] |= byte(q[i] >> 2 << (i / 32))
	}
	putTwoBits(b[32:], &q)
}

// encodeQ45_K writes Q4_K or Q5_K.
func encodeQ45_K(b []byte, x []float32, bits int) {
	var scales, minima [8]float32
	var weight [32]float32
	most, first, steps := 15, float32(-1), 20
	if bits == 5 {
		most, first, steps = 31, -0.5, 15
	}
	for j := range scales {
		group := x[32*j : 32*j+32]
		var square float32
		for _, v := range group {
			square += v * v
		}
		typical := float32(math.Sqrt(float64(square / 32)))
		for i, v := range group {
			weight[i] = typical + magnitude(v)
		}
		scales[j], minima[j] = fitRange(group, weight[:], most, first, steps, false)
	}
	topScale, topMinimum := largest(scales[:]), largest(minima[:])
	clear(b)
	putHalf(b, topScale/63)
	putHalf(b[2:], topMinimum/63)
	p := b[4:16]
	for j := range scales {
		s, m := min(63, nearest(63*inverse(topScale)*scales[j])), min(63, nearest(63*inverse(topMinimum)*minima[j]))
		if j < 4 {
			p[j], p[j+4] = byte(s), byte(m)
		} else {
			p[j+4] = byte(s&15 | m&15<<4)
			p[j-4] |= byte(s >> 4 << 6)
			p[j] |= byte(m >> 4 << 6)
		}
	}
	low := b[16:]
	if bits == 5 {
		low = b[48:]
	}
	for i, v := range x {
		scale, minimum := scaleQ4_K(p, i/32)
		d := f16At(b, 0) * float32(scale)
		if d == 0 {
			continue
		}
		l := clamp(nearest((v+f16At(b, 1)*float32(minimum))/d), 0, most)
		low[i/64*32+i%32] |= byte(l & 15 << (i / 32 % 2 * 4))
		if bits == 5 {
			b[16+i%32] |= byte(l >> 4 << (i / 32))
		}
	}
}

func encodeQ6_K(b []byte, x []float32) {
	var scales [16]float32
	var q [256]int
	for j := range scales {
		scales[j] = fitSymmetric(x[16*j:16*j+16], 32, q[16*j:16*j+16])
	}
	clear(b)
	top := extreme(scales[:])
	if magnitude(top) < negligible {
		return // d is 0
	}
	is := -128 / top
	putHalf(b[208:], 1/is)
	for j, s := range scales {
		b[192+j] = byte(int8(clamp(nearest(is*s), -128, 127)))
	}
	for i, v := range x {
		if d := f16At(b[208:], 0) * float32(int8(b[192+i/16])); d != 0 {
			q[i] = clamp(nearest(v/d), -32, 31) + 32
		}
		half, quarter, l := i/128, i/32%4, i%32
		b[64*half+quarter%2*32+l] |= byte(q[i] & 15 << (quarter / 2 * 4))
		b[128+32*half+l] |= byte(q[i] >> 4 << (2 * quarter))
	}
}

// nearestOfFour is the index of the number of fourBits nearest to x.
func nearestOfFour(x float32) int {
	low, high := 0, 15
	if x <= float32(fourBits[low]) {
		return low
	}
	if x >= float32(fourBits[high]) {
		return high
	}
	for high-low > 1 {
		if middle := (low + high) / 2; x < float32(fourBits[middle]) {
			high = middle
		} else {
			low = middle
		}
	}
	if x-float32(fourBits[low]) < float32(fourBits[high])-x {
		return low
	}
	return high
}

// fitFourBits finds the scale for 32 numbers as products with those of
// fourBits.
func fitFourBits(x []float32) float32 {
	top := extreme(x)
	if magnitude(top) < negligible {
		return 0
	}
	fit := func(is float32) (product, square float32) {
		for _, v := range x {
			l := float32(fourBits[nearestOfFour(is*v)])
			product += v * v * l * v
			square += v * v * l * l
		}
		return product, square
	}
	product, square := fit(-float32(fourBits[0]) / top)
	var scale float32
	if square > 0 {
		scale = product / square
	}
	best := scale * product
	for try := -7; try <= 7; try++ {
		if p, s := fit((float32(try) + float32(fourBits[0])) / top); s > 0 && p*p > best*s {
			scale = p / s
			best = scale * p
		}
	}
	return scale
}

func encodeIQ4_NL(b []byte, x []float32) {
	d := fitFourBits(x)
	putHalf(b, d)
	id := inverse(d)
	var q [32]int
	for i, v := range x {
		q[i] = nearestOfFour(id * v)
	}
	putBits(b[2:], &q, 4)
}

func encodeIQ4_XS(b []byte, x []float32) {
	var scales [8]float32
	for j := range scales {
		scales[j] = fitFourBits(x[32*j : 32*j+32])
	}
	clear(b)
	d := -extreme(scales[:]) / 32
	putHalf(b, d)
	var high uint16
	for j, s := range scales {
		l := clamp(nearest(inverse(d)*s), -32, 31)
		id := inverse(d * float32(l))
		var q [32]int
		for i, v := range x[32*j : 32*j+32] {
			q[i] = nearestOfFour(id * v)
		}
		putBits(b[8+16*j:], &q, 4)
		b[4+j/2] |= byte((l + 32) & 15 << (j % 2 * 4))
		high |= uint16((l+32)>>4) << (2 * j)
	}
	binary.LittleEndian.PutUint16(b[2:], high)
}
