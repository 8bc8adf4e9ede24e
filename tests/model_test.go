package tests

// A small generator of GGUF models (version 3, llama architecture), so that the
// tests mean something without reference models: random but fixed weights, a
// SentencePiece vocabulary of bytes, letters and a few words. The output matrix
// is zero for every token but letters and words, so what such a model says
// is readable text, never a control character and never an end of text.
// Specification: docs/gguf.md in the ggml sources.

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/internal/vmtest"
	"alphaos/llm/gguf"
	"alphaos/llm/tokenizer"
)

// modelShape is a llama's dimensions. Half stores matrices as F16, else F32.
type modelShape struct {
	name                            string
	dim, layers, heads, kvHeads, ff int
	context                         int
	half                            bool
}

var (
	tinyShape = modelShape{name: "tiny", dim: 64, layers: 2, heads: 4, kvHeads: 2, ff: 160, context: 1024}
	// bigShape is a file of 256 MiB.
	bigShape = modelShape{name: "big", dim: 1024, layers: 11, heads: 16, kvHeads: 8, ff: 3072, context: 256, half: true}
)

// vocabulary returns the tokens, their scores (the higher the earlier merged)
// and their types as llama.cpp numbers them.
func vocabulary() (tokens []string, scores []float32, types []int32) {
	add := func(token string, score float32, kind int32) {
		tokens, scores, types = append(tokens, token), append(scores, score), append(types, kind)
	}
	const normal, unknown, control, byteToken = 1, 2, 3, 6
	add("<unk>", 0, unknown)
	add("<s>", 0, control)
	add("</s>", 0, control)
	const hex = "0123456789ABCDEF"
	for b := range 256 {
		add("<0x"+string(hex[b>>4])+string(hex[b&15])+">", 0, byteToken)
	}
	add("\u2581", -100, normal)
	for r := 'a'; r <= 'z'; r++ {
		add(string(r), -101, normal)
		add(string(r-'a'+'A'), -102, normal)
	}
	for i, piece := range []string{"th", "he", "in", "er", "an", "on", "\u2581t", "\u2581a", "\u2581s", "\u2581th", "the", "\u2581the", "and"} {
		add(piece, float32(-1-i), normal)
	}
	return
}

// writeModel writes a model of the given shape to a new file and returns its
// path. The same shape gives the same bytes.
func writeModel(t testing.TB, shape modelShape) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), shape.name+".gguf")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	shape.write(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// ggufWriter counts what it writes. Errors stay in the bufio.Writer, whose
// Flush returns them.
type ggufWriter struct {
	w *bufio.Writer
	n int64
}

func (g *ggufWriter) Write(p []byte) (int, error) {
	g.n += int64(len(p))
	return g.w.Write(p)
}

func (g *ggufWriter) put(v any) { _ = binary.Write(g, binary.LittleEndian, v) }

func (g *ggufWriter) str(s string) {
	g.put(uint64(len(s)))
	_, _ = io.WriteString(g, s)
}

func (g *ggufWriter) align(to int64) {
	for g.n%to != 0 {
		g.put(byte(0))
	}
}

func (shape modelShape) write(w *bufio.Writer) {
	const (
		alignment                    = 32
		typeU32, typeI32, typeF32    = 4, 5, 6
		typeBool, typeStr, typeArray = 7, 8, 9
		tensorF32, tensorF16         = 0, 1
	)
	tokens, scores, types := vocabulary()
	vocab := len(tokens)
	headDim := shape.dim / shape.heads
	type tensor struct {
		name string
		dims []uint64 // the first is contiguous
	}
	tensors := []tensor{
		{"token_embd.weight", []uint64{uint64(shape.dim), uint64(vocab)}},
		{"output_norm.weight", []uint64{uint64(shape.dim)}},
		{"output.weight", []uint64{uint64(shape.dim), uint64(vocab)}},
	}
	for l := range shape.layers {
		p := "blk." + string(rune('0'+l/10)) + string(rune('0'+l%10)) + "."
		if l < 10 {
			p = "blk." + string(rune('0'+l)) + "."
		}
		d, kv, ff := uint64(shape.dim), uint64(shape.kvHeads*headDim), uint64(shape.ff)
		tensors = append(tensors,
			tensor{p + "attn_norm.weight", []uint64{d}},
			tensor{p + "attn_q.weight", []uint64{d, d}},
			tensor{p + "attn_k.weight", []uint64{d, kv}},
			tensor{p + "attn_v.weight", []uint64{d, kv}},
			tensor{p + "attn_output.weight", []uint64{d, d}},
			tensor{p + "ffn_norm.weight", []uint64{d}},
			tensor{p + "ffn_gate.weight", []uint64{d, ff}},
			tensor{p + "ffn_up.weight", []uint64{d, ff}},
			tensor{p + "ffn_down.weight", []uint64{ff, d}},
		)
	}

	g := &ggufWriter{w: w}
	meta := []func(){
		func() { g.str("general.architecture"); g.put(uint32(typeStr)); g.str("llama") },
		func() { g.str("general.name"); g.put(uint32(typeStr)); g.str(shape.name) },
		func() { g.str("general.alignment"); g.put(uint32(typeU32)); g.put(uint32(alignment)) },
		func() { g.str("llama.attention.layer_norm_rms_epsilon"); g.put(uint32(typeF32)); g.put(float32(1e-5)) },
		func() { g.str("tokenizer.ggml.model"); g.put(uint32(typeStr)); g.str("llama") },
		func() { g.str("tokenizer.ggml.add_bos_token"); g.put(uint32(typeBool)); g.put(byte(1)) },
		func() {
			g.str("tokenizer.ggml.tokens")
			g.put(uint32(typeArray))
			g.put(uint32(typeStr))
			g.put(uint64(vocab))
			for _, s := range tokens {
				g.str(s)
			}
		},
		func() {
			g.str("tokenizer.ggml.scores")
			g.put(uint32(typeArray))
			g.put(uint32(typeF32))
			g.put(uint64(vocab))
			g.put(scores)
		},
		func() {
			g.str("tokenizer.ggml.token_type")
			g.put(uint32(typeArray))
			g.put(uint32(typeI32))
			g.put(uint64(vocab))
			g.put(types)
		},
	}
	for _, u := range []struct {
		key   string
		value int
	}{
		{"llama.context_length", shape.context},
		{"llama.embedding_length", shape.dim},
		{"llama.block_count", shape.layers},
		{"llama.feed_forward_length", shape.ff},
		{"llama.attention.head_count", shape.heads},
		{"llama.attention.head_count_kv", shape.kvHeads},
		{"llama.rope.dimension_count", headDim},
		{"llama.vocab_size", vocab},
		{"tokenizer.ggml.bos_token_id", 1},
		{"tokenizer.ggml.eos_token_id", 2},
		{"tokenizer.ggml.unknown_token_id", 0},
	} {
		meta = append(meta, func() { g.str(u.key); g.put(uint32(typeU32)); g.put(uint32(u.value)) })
	}

	g.put([]byte("GGUF"))
	g.put(uint32(3))
	g.put(uint64(len(tensors)))
	g.put(uint64(len(meta)))
	for _, m := range meta {
		m()
	}
	kind := func(t tensor) (id uint32, bytes int64) {
		n := int64(1)
		for _, d := range t.dims {
			n *= int64(d)
		}
		if shape.half && len(t.dims) > 1 {
			return tensorF16, 2 * n
		}
		return tensorF32, 4 * n
	}
	var offset int64
	for _, t := range tensors {
		id, size := kind(t)
		g.str(t.name)
		g.put(uint32(len(t.dims)))
		g.put(t.dims)
		g.put(id)
		g.put(uint64(offset))
		offset += (size + alignment - 1) / alignment * alignment
	}
	g.align(alignment)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, t := range tensors {
		id, _ := kind(t)
		row := int(t.dims[0])
		rows := 1
		if len(t.dims) > 1 {
			rows = int(t.dims[1])
		}
		scale := float32(1 / math.Sqrt(float64(row)))
		for r := range rows {
			silent := t.name == "output.weight" && types[r] != 1
			switch {
			case id == tensorF16:
				// Random signs and fractions under one small exponent.
				p := make([]byte, 2*row)
				for i := 0; i < row && !silent; i += 4 {
					var b [8]byte
					binary.LittleEndian.PutUint64(b[:], rng.Uint64()&0x83ff83ff83ff83ff|0x2400240024002400)
					copy(p[2*i:], b[:])
				}
				g.put(p)
			case len(t.dims) == 1:
				p := make([]float32, row)
				for i := range p {
					p[i] = 1
				}
				g.put(p)
			default:
				p := make([]float32, row)
				for i := range p {
					if !silent {
						p[i] = (rng.Float32()*2 - 1) * 2 * scale
					}
				}
				g.put(p)
			}
		}
		g.align(alignment)
	}
}

// reference returns a model of the reference data, or "" where that is absent.
func reference(name string) string {
	path := filepath.Join(vmtest.Root(), "..", "shared", "data", "models", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// TestGeneratedModel checks that what the generator writes is a model.
func TestGeneratedModel(t *testing.T) {
	name := writeModel(t, tinyShape)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := gguf.Read(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.Tensors); n != 3+9*tinyShape.layers {
		t.Errorf("%d tensors", n)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		t.Fatal(err)
	}
	const text = "The hen and the Ant, ä"
	ids := tok.Encode(text, tokenizer.EncodeOptions{AddBOS: true})
	if got := tok.Decode(ids...); strings.TrimSpace(got) != text {
		t.Errorf("%q became %v and then %q", text, ids, got)
	}
	if ids[0] != 1 || len(ids) >= len(text) {
		t.Errorf("%q became %v: no start, or nothing merged", text, ids)
	}
}
