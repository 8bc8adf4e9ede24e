package llm

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"
)

// rotated is a file whose matrices are folded: each row times the signs, then times the Walsh-Hadamard matrix
// of blocks of 64, here by its definition. What it computes stays what it was.
func rotated(f *llmtest.File, to gguf.Type) *llmtest.File {
	const block = 64
	signs, widths, values := map[int][]int8{}, []int32{}, []int8{}
	var names []string
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if len(t.Dims) != 2 {
			continue
		}
		width := int(t.Dims[0])
		if signs[width] == nil {
			for k := range width {
				signs[width] = append(signs[width], int8(1-2*(k*k/3%2)))
			}
			widths, values = append(widths, int32(width)), append(values, signs[width]...)
		}
		x := make([]float32, width*int(t.Dims[1]))
		kernel.Dequantize(t.Type, x, t.Data)
		for row := 0; row < len(x); row += width {
			for at := 0; at < width; at += block {
				var folded [block]float64
				for r := range folded {
					for c := range block {
						sign := 1 - 2*(bits.OnesCount(uint(r&c))%2)
						folded[r] += float64(sign) * float64(signs[width][at+c]) * float64(x[row+at+c]) / 8
					}
				}
				for r, v := range folded {
					x[row+at+r] = float32(v)
				}
			}
		}
		t.Type, t.Data = to, make([]byte, len(x)/to.BlockSize()*to.BlockBytes())
		t.Put(x)
		names = append(names, t.Name)
	}
	f.Set("prism.hadamard.version", uint32(1))
	f.Set("prism.hadamard.block_size", uint32(block))
	f.Set("prism.hadamard.transform", "normalized-sylvester-walsh-hadamard")
	f.Set("prism.hadamard.axis", "input-last-dimension")
	f.Set("prism.hadamard.sign_mode", "explicit")
	f.Set("prism.hadamard.sign_widths", widths)
	f.Set("prism.hadamard.sign_values", values)
	f.Set("prism.hadamard.weight_names", names)
	f.Set("prism.hadamard.inverse_weight_names", []string{"token_embd.weight"})
	return f
}

func TestRotatedWeights(t *testing.T) {
	shape := llmtest.Quantized(gguf.F32)
	want := llmtest.Llama(shape).Naive(shape, testIDs)
	relative := func(f *llmtest.File, o Options) float64 {
		s := newSession(t, load(t, f, o))
		got := eval(t, s, testIDs...)
		var d, size float64
		for i, v := range want {
			d += (v - float64(got[i])) * (v - float64(got[i]))
			size += v * v
		}
		return math.Sqrt(d / size)
	}
	if d := relative(rotated(llmtest.Llama(shape), gguf.F32), Options{Threads: 2}); !(d < 5e-6) {
		t.Errorf("folded weights give logits %g away", d)
	}
	// Some matrices that are multiplied with the same vectors rotated, others not.
	some := rotated(llmtest.Llama(shape), gguf.F32)
	plain := llmtest.Llama(shape)
	var names []string
	for i := range some.Tensors {
		switch t := &some.Tensors[i]; {
		case strings.Contains(t.Name, "attn_k") || strings.Contains(t.Name, "ffn_up"):
			*t = *plain.Tensor(t.Name)
		case len(t.Dims) == 2:
			names = append(names, t.Name)
		}
	}
	some.Set("prism.hadamard.weight_names", names)
	if d := relative(some, Options{Threads: 2}); !(d < 5e-6) {
		t.Errorf("partly folded weights give logits %g away", d)
	}
	// From the drive, with quantized activations.
	eight := rotated(llmtest.Llama(shape), gguf.Q8_0)
	if d := relative(eight, Options{Threads: 2}); !(d < 0.06) {
		t.Errorf("folded weights in Q8_0 give logits %g away", d)
	}
	s := newSession(t, load(t, eight, Options{Threads: 2, inPlace: true}))
	whole := append([]float32(nil), eval(t, s, testIDs...)...)
	b := eight.Bytes()
	m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 2, Budget: int64(len(b)) * 2 / 3})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Info().Streamed == 0 {
		t.Error("the model is not streamed")
	}
	if _, most := distance(t, eval(t, newSession(t, m), testIDs...), whole); most != 0 {
		t.Errorf("streamed, logits differ by %g", most)
	}
}

// A declaration that is not understood is refused.
func TestRotationRefuses(t *testing.T) {
	good := rotated(llmtest.Llama(llmtest.Quantized(gguf.F32)), gguf.F32)
	for _, c := range []struct {
		spoil func(f *llmtest.File)
		want  string
	}{
		{func(f *llmtest.File) { f.Set("prism.hadamard.version", uint32(2)) }, "version 2, and only 1 is known"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.transform", "dct") }, "transform dct"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.axis", "rows") }, "axis rows"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.sign_mode", "random") }, "sign_mode random"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.order", "dyadic") }, "prism.hadamard.order is not known"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.block_size", uint32(96)) }, "blocks of 96"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.block_size", uint32(1024)) }, "no multiple of the 1024"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.sign_values", []int8{1, -1}) }, "do not go together"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.weight_names", []string{"blk.9.attn_q.weight"}) }, `"blk.9.attn_q.weight", which is no matrix`},
		{func(f *llmtest.File) { f.Set("prism.hadamard.inverse_weight_names", []string{"blk.0.attn_q.weight"}) }, "only embeddings of tokens"},
		{func(f *llmtest.File) { f.Set("prism.hadamard.inverse_weight_names", []string{}) }, "only one of both"},
	} {
		f := &llmtest.File{Keys: slices.Clone(good.Keys), Tensors: good.Tensors}
		c.spoil(f)
		err := Check(f.Tables())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.want, err)
		}
	}
}

// The values of a gated delta net's heads change places before they are rotated.
func TestRotationOfGroups(t *testing.T) {
	r := rotation{block: 2, groups: 2, repeats: 3}
	x := make([]float32, 12) // three repeats of two groups of two values
	for i := range x {
		x[i] = float32(i)
	}
	y := make([]float32, 12)
	r.apply(y, x)
	r.transform(y)
	for i, v := range []float32{0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11} {
		if math.Abs(float64(y[i]-v)) > 1e-5 {
			t.Fatalf("the order became %v", y)
		}
	}
}

func FuzzRotations(f *testing.F) {
	f.Add(uint32(64), "explicit", []byte{1, 255}, uint8(2), "token_embd.weight")
	f.Fuzz(func(t *testing.T, block uint32, mode string, values []byte, width uint8, name string) {
		file := llmtest.New(gguf.KeyValue{Key: "prism.hadamard.version", Value: uint32(1)}).Add("token_embd.weight", gguf.F32, nil, 128, 2)
		file.Set("general.architecture", "llama")
		signs := make([]int8, len(values))
		for i, v := range values {
			signs[i] = int8(v)
		}
		for key, value := range map[string]any{"block_size": block, "transform": "normalized-sylvester-walsh-hadamard", "axis": "input-last-dimension",
			"sign_mode": mode, "sign_widths": []int32{int32(width)}, "sign_values": signs, "weight_names": []string{name}, "inverse_weight_names": []string{name}} {
			file.Set("prism.hadamard."+key, value)
		}
		r, err := readRotations(file.Tables())
		if err != nil {
			return
		}
		x, y := make([]float32, 128), make([]float32, 128)
		x[5] = 1
		r.names[name].apply(y, x)
		r.inverse.undo(y)
		for i, v := range y {
			if math.Abs(float64(v-x[i])) > 1e-5 {
				t.Fatalf("there and back, number %d is %g", i, v)
			}
		}
	})
}
