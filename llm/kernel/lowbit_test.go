package kernel

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"alphaos/llm/gguf"
)

const reference2 = "../../../shared/data2"

// Four rows of a matrix of each type that llama.cpp knows expand to llama.cpp's numbers, to the bit.
func TestRowsOfLlamaCpp(t *testing.T) {
	for _, typ := range Types() {
		name := "types256-" + typ.String()
		want, err := os.ReadFile(filepath.Join(reference2, "golden", name+".rows4.f32"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(reference2, "models", name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		tables, err := gguf.Read(file, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		up, ok := tables.Tensor("blk.0.ffn_up.weight")
		if !ok || up.Type != typ {
			t.Fatalf("%s: no tensor of type %v", name, typ)
		}
		x := make([]float32, len(want)/4)
		b := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes())
		if _, err := file.ReadAt(b, up.Offset); err != nil {
			t.Fatal(err)
		}
		Dequantize(typ, x, b)
		for i, v := range x {
			if w := binary.LittleEndian.Uint32(want[4*i:]); math.Float32bits(v) != w && !(v == 0 && w<<1 == 0) {
				t.Fatalf("%v: number %d is %g, not %g", typ, i, v, math.Float32frombits(w))
			}
		}
		t.Logf("%v", typ)
	}
}

// The largest weights and scales of the formats, whose layouts are told beside the functions, made by hand.
func TestLowBitBlocks(t *testing.T) {
	for _, c := range []struct {
		t    gguf.Type
		b    map[int]byte // of a block of zeros
		want map[int]float32
	}{
		{gguf.Q1_0, map[int]byte{1: 0x3c, 2: 2, 17: 0x80}, map[int]float32{0: -1, 1: 1, 126: -1, 127: 1}},
		{gguf.Q2_0, map[int]byte{1: 0x3c, 2: 0b11100100, 17: 0b11000000}, map[int]float32{0: -1, 1: 0, 2: 1, 3: 2, 62: -1, 63: 2}},
		{gguf.PQ2_0, map[int]byte{1: 0x3c, 33: 0b10000000}, map[int]float32{0: -1, 126: -1, 127: 1}},
		// 1 2 0 1 2 in base 3 is 140, and 140*256/243 rounded up 148.
		{gguf.PTQ1_0, map[int]byte{27: 0x3c, 1: 148, 23: 148, 25: 148}, map[int]float32{0: -1, 1: 0, 17: 1, 33: -1, 49: 0, 65: 1, 87: 0, 95: 1, 119: 1, 121: 0, 123: 1, 125: -1, 127: 0}},
		{gguf.TQ1_0, map[int]byte{53: 0x3c, 31: 148, 47: 148, 51: 148}, map[int]float32{31: 0, 63: 1, 159: 1, 175: 0, 239: 1, 243: 0, 255: 0}},
		{gguf.TQ2_0, map[int]byte{65: 0x3c, 63: 0x80}, map[int]float32{255: 1, 254: -1, 223: -1}},
		{gguf.MXFP4, map[int]byte{0: 127, 1: 0x71, 16: 0xf8}, map[int]float32{0: 0.5, 16: 6, 15: 0, 31: -6}},
		{gguf.MXFP4, map[int]byte{0: 0, 1: 0x02}, map[int]float32{0: 0x1p-127}},
		{gguf.NVFP4, map[int]byte{0: 0x38, 3: 0x01, 4: 0x27, 35: 0x70}, map[int]float32{0: 6, 8: 1, 63: 6 * 0x1p-9}},
	} {
		b, x := make([]byte, c.t.BlockBytes()), make([]float32, c.t.BlockSize())
		for at, v := range c.b {
			b[at] = v
		}
		Dequantize(c.t, x, b)
		for i, v := range c.want {
			if x[i] != v {
				t.Errorf("%v: weight %d is %g, not %g", c.t, i, x[i], v)
			}
		}
	}
}

// What is ternary stays so to the last bit, and a weight between has the nearest number.
func TestTernaryIsExact(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ1_0, gguf.TQ2_0} {
		x := make([]float32, 512)
		for i := range x {
			x[i] = float32((i*i+i/7)%3-1) * 0.046875
		}
		b, y := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes()), make([]float32, len(x))
		Quantize(typ, b, x)
		Dequantize(typ, y, b)
		for i, v := range y {
			if v != x[i] {
				t.Fatalf("%v: weight %d, %g, became %g", typ, i, x[i], v)
			}
		}
	}
}

// Whatever the bits of a block, it can be read and multiplied, by all sets alike.
func FuzzBlocks(f *testing.F) {
	for i := range Types() {
		f.Add(uint8(i), []byte("some bits \x00\xff\x7f\x80 of a block"))
	}
	f.Fuzz(func(t *testing.T, which uint8, bits []byte) {
		typ := Types()[int(which)%len(Types())]
		if typ.BlockSize() == 1 || len(bits) == 0 {
			return
		}
		const cols, rows = 512, 9
		b := make([]byte, rows*cols/typ.BlockSize()*typ.BlockBytes())
		for i := range b {
			b[i] = bits[i%len(bits)] + byte(i/len(bits))
		}
		x := make([]float32, cols)
		Dequantize(typ, x, b[:len(b)/rows])
		want, size := make([]float64, rows), 0.0
		for r := range want {
			Dequantize(typ, x, b[r*len(b)/rows:][:len(b)/rows])
			for i, v := range x {
				want[r] += float64(v) * float64(i%5-2)
				size += math.Abs(float64(v))
			}
		}
		if math.IsNaN(size) || size > 1e30 { // scales that are no numbers
			return
		}
		for i := range x {
			x[i] = float32(i%5 - 2)
		}
		for _, name := range Names() {
			s, err := ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			m, err := s.NewMatrix(typ, rows, cols, append([]byte(nil), b...))
			if err != nil {
				t.Fatal(err)
			}
			a, y := s.NewActivations(FormOf(typ), cols, 1), make([]float32, rows)
			a.Set(x, 1)
			for range 2 {
				m.Mul(y, rows, a, 0, rows)
				for r, v := range y {
					if !(math.Abs(float64(v)-want[r]) <= 0.02*size+1e-30) {
						t.Fatalf("%v with %s: row %d is %g, not %g", typ, name, r, v, want[r])
					}
				}
				m.Repack(inTurn)
			}
		}
	})
}
