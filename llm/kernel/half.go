package kernel

import "math"

// Conversions between IEEE 754 binary16 and float32.

func fromHalf(h uint16) float32 {
	// Exponent and mantissa moved into float32's places make a number that is
	// 2^112 too small, subnormals included.
	m := uint32(h&0x7fff) << 13
	if h&0x7c00 == 0x7c00 { // infinity and NaN
		return math.Float32frombits(m | 0x7f800000 | uint32(h&0x8000)<<16)
	}
	f := math.Float32frombits(m) * 0x1p112
	return math.Float32frombits(math.Float32bits(f) | uint32(h&0x8000)<<16)
}

// toHalf rounds to the nearest, ties to even; too large numbers become infinite.
func toHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal, in units of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(b))*0x1p24))
	}
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-(112<<10))
}
