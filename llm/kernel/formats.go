package kernel

import (
	"strings"

	"alphaos/llm/gguf"
)

// format is what every set knows about a tensor type. A new type is a row of
// formats, with its number below. To be fast it has functions in assembly besides,
// which are a row of kernels_amd64.h, and if Repack is to rearrange it, a row of
// layouts.
type format struct {
	t      gguf.Type
	form   Form                        // of the activations it is multiplied with
	unpack func(u *unpacked, b []byte) // one block, of a quantized type
	decode func(x []float32, b []byte) // any number of weights, of another type
	encode func(b []byte, x []float32) // one block; any number of weights of another type; nil: it can only be read
	eight  func(dst, b []byte)         // one block as some of Q8_0, or
	wide   func(w *wide, b []byte)     // as a wide one, for their kernels: see lowbit.go
	// dot multiplies the columns of a row from col on, which begin with w, with those of
	// vector t of a; nil: unpack serves.
	dot func(w []byte, a *Activations, t, col int) float32
	sum func(y []float32, w []byte, f float32) // y += f*w, of the types of Rows
}

// formats are in the order in which messages list them.
var formats = []format{
	{t: gguf.F32, form: PlainF32, decode: decodeF32, encode: encodeF32, dot: dotF32, sum: sumF32},
	{t: gguf.F16, form: PlainF32, decode: decodeF16, encode: encodeF16, dot: dotF16, sum: sumF16},
	{t: gguf.BF16, form: PlainF32, decode: decodeBF16, encode: encodeBF16, dot: dotBF16},
	{t: gguf.Q8_0, form: Q8, unpack: unpackQ8_0, encode: encodeQ8_0, dot: dotQ8_0, sum: sumQ8_0},
	{t: gguf.Q4_0, form: Q8, unpack: unpackQ4_0, encode: encodeQ4_0, dot: dotQ4_0},
	{t: gguf.Q4_1, form: Q8, unpack: unpackQ4_1, encode: encodeQ4_1},
	{t: gguf.Q5_0, form: Q8, unpack: unpackQ5_0, encode: encodeQ5_0},
	{t: gguf.Q5_1, form: Q8, unpack: unpackQ5_1, encode: encodeQ5_1},
	{t: gguf.IQ4_NL, form: Q8, unpack: unpackIQ4_NL, encode: encodeIQ4_NL},
	{t: gguf.Q2_K, form: Q8K, unpack: unpackQ2_K, encode: encodeQ2_K},
	{t: gguf.Q3_K, form: Q8K, unpack: unpackQ3_K, encode: encodeQ3_K},
	{t: gguf.Q4_K, form: Q8K, unpack: unpackQ4_K, encode: encodeQ4_K, dot: dotQ4_K},
	{t: gguf.Q5_K, form: Q8K, unpack: unpackQ5_K, encode: encodeQ5_K},
	{t: gguf.Q6_K, form: Q8K, unpack: unpackQ6_K, encode: encodeQ6_K, dot: dotQ6_K},
	{t: gguf.IQ4_XS, form: Q8K, unpack: unpackIQ4_XS, encode: encodeIQ4_XS},
	{t: gguf.Q1_0, form: Q8, eight: eightQ1_0, unpack: unpackEight(eightQ1_0, 128), encode: encodeQ1_0},
	{t: gguf.Q2_0, form: Q8, eight: eightQ2_0, unpack: unpackEight(eightQ2_0, 64), encode: encodeQ2_0},
	{t: gguf.PQ2_0, form: Q8, eight: eightQ2_0, unpack: unpackEight(eightQ2_0, 128), encode: encodeQ2_0},
	{t: gguf.PTQ1_0, form: Q8, eight: eightPTQ1_0, unpack: unpackEight(eightPTQ1_0, 128), encode: encodePTQ1_0},
	{t: gguf.TQ1_0, form: Q8K, wide: wideTQ1_0, unpack: unpackWide(wideTQ1_0), encode: encodeTQ1_0},
	{t: gguf.TQ2_0, form: Q8K, wide: wideTQ2_0, unpack: unpackWide(wideTQ2_0), encode: encodeTQ2_0},
	{t: gguf.MXFP4, form: Q8, unpack: unpackMXFP4, encode: encodeMXFP4},
	{t: gguf.NVFP4, form: Q8, unpack: unpackNVFP4},
	{t: gguf.IQ1_S, form: Q8K, wide: wideIQ1_S, unpack: unpackWide(wideIQ1_S)},
	{t: gguf.IQ1_M, form: Q8K, wide: wideIQ1_M, unpack: unpackWide(wideIQ1_M)},
	{t: gguf.IQ2_XXS, form: Q8K, wide: wideIQ2_XXS, unpack: unpackWide(wideIQ2_XXS)},
	{t: gguf.IQ2_XS, form: Q8K, wide: wideIQ2_XS, unpack: unpackWide(wideIQ2_XS)},
	{t: gguf.IQ2_S, form: Q8K, wide: wideIQ2_S, unpack: unpackWide(wideIQ2_S)},
	{t: gguf.IQ3_XXS, form: Q8K, wide: wideIQ3_XXS, unpack: unpackWide(wideIQ3_XXS)},
	{t: gguf.IQ3_S, form: Q8K, wide: wideIQ3_S, unpack: unpackWide(wideIQ3_S)},
}

// The types' numbers again: go_asm.h holds the constants of this package only.
const (
	typeF32, typeF16, typeBF16                       = gguf.F32, gguf.F16, gguf.BF16
	typeQ8_0, typeQ4_0, typeQ4_1, typeQ5_0, typeQ5_1 = gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1
	typeQ2_K, typeQ3_K, typeQ4_K, typeQ5_K, typeQ6_K = gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K
	typeIQ4_NL, typeIQ4_XS                           = gguf.IQ4_NL, gguf.IQ4_XS
	typeQ1_0, typeQ2_0, typePQ2_0, typePTQ1_0        = gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0
	typeTQ2_0, typeMXFP4, typeNVFP4                  = gguf.TQ2_0, gguf.MXFP4, gguf.NVFP4
	typeCount                                        = gguf.PTQ1_0 + 1 // PTQ1_0 has the highest number
)

var formatByType = func() (table [typeCount]*format) {
	for i := range formats {
		table[formats[i].t] = &formats[i]
	}
	return table
}()

// formatOf is nil for types that matrices cannot have.
func formatOf(t gguf.Type) *format {
	if t >= typeCount {
		return nil
	}
	return formatByType[t]
}

// Types lists the tensor types that matrices may have.
func Types() []gguf.Type {
	var types []gguf.Type
	for _, f := range formats {
		types = append(types, f.t)
	}
	return types
}

func typeNames() string {
	var names []string
	for _, f := range formats {
		names = append(names, f.t.String())
	}
	return strings.Join(names, ", ")
}

// Supported reports whether matrices may have the type.
func Supported(t gguf.Type) bool { return formatOf(t) != nil }

// Writable reports whether numbers can be quantized to the type.
func Writable(t gguf.Type) bool { f := formatOf(t); return f != nil && f.encode != nil }

// FormOf is the form of the activations that matrices of type t are multiplied with.
func FormOf(t gguf.Type) Form {
	if f := formatOf(t); f != nil {
		return f.form
	}
	return PlainF32
}

// Dequantize writes the len(dst) weights in src, a whole number of blocks of
// type t, as float32.
func Dequantize(t gguf.Type, dst []float32, src []byte) {
	f, n, size := formatOf(t), t.BlockSize(), t.BlockBytes()
	if f == nil {
		panic("kernel: cannot expand " + t.String())
	}
	if f.decode != nil {
		f.decode(dst, src[:len(dst)*size])
		return
	}
	u := blocks.Get().(*unpacked)
	defer blocks.Put(u)
	for i := range len(dst) / n {
		u.expand(f, dst[i*n:(i+1)*n], src[i*size:(i+1)*size])
	}
}

// Quantize writes the numbers in src, a whole number of blocks of type t, to
// dst in the layout of t, which must be Writable. The numbers must be finite.
func Quantize(t gguf.Type, dst []byte, src []float32) {
	f, n, size := formatOf(t), t.BlockSize(), t.BlockBytes()
	if f == nil || f.encode == nil {
		panic("kernel: cannot quantize to " + t.String())
	}
	if f.decode != nil {
		f.encode(dst[:len(src)*size], src)
		return
	}
	for i := range len(src) / n {
		f.encode(dst[i*size:(i+1)*size], src[i*n:(i+1)*n])
	}
}
