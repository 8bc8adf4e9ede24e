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
	encode func(b []byte, x []float32) // one block; any number of weights of another type
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
}

// The types' numbers again: go_asm.h holds the constants of this package only.
const (
	typeF32, typeF16, typeBF16                       = gguf.F32, gguf.F16, gguf.BF16
	typeQ8_0, typeQ4_0, typeQ4_1, typeQ5_0, typeQ5_1 = gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1
	typeQ2_K, typeQ3_K, typeQ4_K, typeQ5_K, typeQ6_K = gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K
	typeIQ4_NL, typeIQ4_XS                           = gguf.IQ4_NL, gguf.IQ4_XS
	typeCount                                        = gguf.BF16 + 1 // BF16 has the highest number
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
// dst in the layout of t. The numbers must be finite. All types in Types can
// be written.
func Quantize(t gguf.Type, dst []byte, src []float32) {
	f, n, size := formatOf(t), t.BlockSize(), t.BlockBytes()
	if f == nil {
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
