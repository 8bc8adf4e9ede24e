package gguf

import "fmt"

// Type is the storage format of a tensor's elements, numbered as in ggml.
// Elements are stored in blocks along the first (contiguous) dimension.
type Type uint32

// The types a GGUF file may hold. Reading a file only needs their sizes; which
// of them can be computed with is the business of the program that uses it.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
	PQ2_0   Type = 142 // those of PrismML's fork of llama.cpp: Q2_0 in blocks of 128,
	PTQ1_0  Type = 143 // and TQ1_0 likewise
)

// layouts gives each type's name, elements a block and bytes a block.
var layouts = [...]struct {
	name            string
	elements, bytes int
}{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2}, F64: {"F64", 1, 8},
	I8: {"I8", 1, 1}, I16: {"I16", 1, 2}, I32: {"I32", 1, 4}, I64: {"I64", 1, 8},
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24},
	Q8_0: {"Q8_0", 32, 34}, Q8_1: {"Q8_1", 32, 36},
	Q2_K: {"Q2_K", 256, 84}, Q3_K: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144},
	Q5_K: {"Q5_K", 256, 176}, Q6_K: {"Q6_K", 256, 210}, Q8_K: {"Q8_K", 256, 292},
	IQ2_XXS: {"IQ2_XXS", 256, 66}, IQ2_XS: {"IQ2_XS", 256, 74}, IQ2_S: {"IQ2_S", 256, 82},
	IQ3_XXS: {"IQ3_XXS", 256, 98}, IQ3_S: {"IQ3_S", 256, 110},
	IQ1_S: {"IQ1_S", 256, 50}, IQ1_M: {"IQ1_M", 256, 56},
	IQ4_NL: {"IQ4_NL", 32, 18}, IQ4_XS: {"IQ4_XS", 256, 136},
	TQ1_0: {"TQ1_0", 256, 54}, TQ2_0: {"TQ2_0", 256, 66}, MXFP4: {"MXFP4", 32, 17}, NVFP4: {"NVFP4", 64, 36},
	Q1_0: {"Q1_0", 128, 18}, Q2_0: {"Q2_0", 64, 18}, PQ2_0: {"PQ2_0", 128, 34}, PTQ1_0: {"PTQ1_0", 128, 28},
}

// names are those of types whose sizes are not known here: removed ones, new
// ones, and those of the fork ik_llama.cpp, from 133 on.
var names = map[Type]string{
	4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
	133: "Q6_0", 134: "IQ1_BN", 135: "IQ2_BN", 137: "IQ2_K", 138: "IQ3_K", 139: "IQ4_K", 140: "IQ5_K", 141: "IQ6_K",
	144: "IQ4_KS", 145: "IQ2_KS", 146: "IQ4_KSS", 152: "IQ5_KS",
}

// String is the type's usual name, as in file names of quantized models, or
// else its number.
func (t Type) String() string {
	if t.Known() {
		return layouts[t].name
	}
	if name, ok := names[t]; ok {
		return name
	}
	return fmt.Sprintf("number %d", uint32(t))
}

// Known reports whether the sizes of the type are known.
func (t Type) Known() bool { return uint64(t) < uint64(len(layouts)) && layouts[t].elements != 0 }

// BlockSize is the number of elements in a block: 1 for plain numbers, 0 for
// an unknown type.
func (t Type) BlockSize() int {
	if !t.Known() {
		return 0
	}
	return layouts[t].elements
}

// BlockBytes is the number of bytes in a block, 0 for an unknown type.
func (t Type) BlockBytes() int {
	if !t.Known() {
		return 0
	}
	return layouts[t].bytes
}
