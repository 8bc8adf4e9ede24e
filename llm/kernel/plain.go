package kernel

import (
	"encoding/binary"
	"math"
)

// Types whose weights are floating-point numbers. The compiler inlines the loops,
// and the functions that read a weight into the loops.

func f32At(w []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(w[4*i:]))
}

func f16At(w []byte, i int) float32 { return fromHalf(binary.LittleEndian.Uint16(w[2*i:])) }

func bf16At(w []byte, i int) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(w[2*i:])) << 16)
}

func putHalf(b []byte, f float32) { binary.LittleEndian.PutUint16(b, toHalf(f)) }

func decodePlain(x []float32, b []byte, at func(b []byte, i int) float32) {
	for i := range x {
		x[i] = at(b, i)
	}
}

func decodeF32(x []float32, b []byte)  { decodePlain(x, b, f32At) }
func decodeF16(x []float32, b []byte)  { decodePlain(x, b, f16At) }
func decodeBF16(x []float32, b []byte) { decodePlain(x, b, bf16At) }

func encodeF32(b []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
}

func encodeF16(b []byte, x []float32) {
	for i, v := range x {
		putHalf(b[2*i:], v)
	}
}

func encodeBF16(b []byte, x []float32) {
	for i, v := range x {
		u := math.Float32bits(v)
		binary.LittleEndian.PutUint16(b[2*i:], uint16((u+0x7fff+u>>16&1)>>16))
	}
}

func dotPlain(w []byte, x []float32, at func(b []byte, i int) float32) float32 {
	var s [4]float32
	for i, v := range x {
		s[i&3] += at(w, i) * v
	}
	return s[0] + s[1] + s[2] + s[3]
}

func dotF32(w []byte, a *Activations, t, col int) float32 {
	return dotPlain(w, a.f[t*a.cols+col:(t+1)*a.cols], f32At)
}

func dotF16(w []byte, a *Activations, t, col int) float32 {
	return dotPlain(w, a.f[t*a.cols+col:(t+1)*a.cols], f16At)
}

func dotBF16(w []byte, a *Activations, t, col int) float32 {
	return dotPlain(w, a.f[t*a.cols+col:(t+1)*a.cols], bf16At)
}

func sumPlain(y []float32, w []byte, f float32, at func(b []byte, i int) float32) {
	for i := range y {
		y[i] += f * at(w, i)
	}
}

func sumF32(y []float32, w []byte, f float32) { sumPlain(y, w, f, f32At) }
func sumF16(y []float32, w []byte, f float32) { sumPlain(y, w, f, f16At) }
