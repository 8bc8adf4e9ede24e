// Package quantize makes smaller models of larger ones: it rewrites a GGUF file
// with its matrices in other types.
//
// Which matrix gets which type is the choice of llama.cpp's llama-quantize
// without an importance matrix (mix.go), so that a file made here is what its
// name says everywhere; how numbers become blocks is kernel.Quantize.
package quantize

import (
	"fmt"
	"strconv"
	"strings"

	"alphaos/llm/gguf"
)

// Mix is a mixture of types, one for most matrices and others for those where
// more bits help most.
type Mix struct {
	Name     string    // "Q4_K_M"
	FileType uint32    // general.file_type, in llama.cpp's numbering
	Base     gguf.Type // of most matrices
}

var mixes = []Mix{
	{"F32", 0, gguf.F32}, {"F16", 1, gguf.F16}, {"BF16", 32, gguf.BF16}, {"Q8_0", 7, gguf.Q8_0},
	{"Q6_K", 18, gguf.Q6_K}, {"Q5_K_M", 17, gguf.Q5_K}, {"Q5_K_S", 16, gguf.Q5_K}, {"Q5_1", 9, gguf.Q5_1}, {"Q5_0", 8, gguf.Q5_0},
	{"Q4_K_M", 15, gguf.Q4_K}, {"Q4_K_S", 14, gguf.Q4_K}, {"IQ4_NL", 25, gguf.IQ4_NL}, {"IQ4_XS", 30, gguf.IQ4_XS}, {"Q4_1", 3, gguf.Q4_1}, {"Q4_0", 2, gguf.Q4_0},
	{"Q3_K_L", 13, gguf.Q3_K}, {"Q3_K_M", 12, gguf.Q3_K}, {"Q3_K_S", 11, gguf.Q3_K}, {"Q2_K", 10, gguf.Q2_K}, {"Q2_K_S", 21, gguf.Q2_K},
	{"MXFP4", 38, gguf.MXFP4}, {"Q2_0", 41, gguf.Q2_0}, {"TQ2_0", 37, gguf.TQ2_0},
}

// aliases are names that llama-quantize takes too.
var aliases = map[string]string{"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

// Names lists the mixtures, each kind from the largest to the smallest.
func Names() []string {
	var names []string
	for _, m := range mixes {
		names = append(names, m.Name)
	}
	return names
}

// Find finds a mixture by its name, in upper or lower case.
func Find(name string) (Mix, error) {
	upper := strings.ToUpper(name)
	if full, ok := aliases[upper]; ok {
		upper = full
	}
	for _, m := range mixes {
		if m.Name == upper {
			return m, nil
		}
	}
	return Mix{}, fmt.Errorf("there is no type %q; there are %s", name, strings.Join(Names(), ", "))
}

// model is what the choice of types depends on.
type model struct {
	arch   string
	layers int
	group  int // query heads that share keys and values
	tied   bool
}

func modelOf(f *gguf.File) model {
	var m model
	m.arch, _ = f.String("general.architecture")
	layers, _ := f.Uint(m.arch + ".block_count")
	first := func(key string) uint64 { // of the first layer, where layers differ
		n, _ := f.Uint(m.arch + key)
		if layers := f.Ints(m.arch + key); len(layers) > 0 {
			n = uint64(max(layers[0], 0))
		}
		return n
	}
	heads, kvHeads := first(".attention.head_count"), first(".attention.head_count_kv")
	m.layers, m.group = int(min(layers, 1<<20)), 1
	if kvHeads > 0 {
		m.group = int(min(heads/kvHeads, 1<<20))
	}
	_, untied := f.Tensor("output.weight")
	m.tied = !untied
	return m
}

// Type is the type that tensor t of the model in f gets.
func (x Mix) Type(f *gguf.File, t *gguf.Tensor) gguf.Type { return x.choose(modelOf(f), t) }

func (x Mix) choose(m model, t *gguf.Tensor) gguf.Type {
	if !matrix(t) {
		return t.Type
	}
	switch x.Base {
	case gguf.F32, gguf.F16, gguf.BF16:
		return x.Base
	}
	typ := x.Base
	cols := t.Dims[0]
	layer, part := split(t.Name)
	// The first and last eighth of the layers matter more; of the others
	// every third does for the sake of the rest.
	n, eighth := m.layers, m.layers/8
	more := layer < eighth || layer >= 7*n/8 || (layer-eighth)%3 == 2
	pick := func(name string, when bool, choice gguf.Type) {
		if x.Name == name && when {
			typ = choice
		}
	}
	switch {
	case t.Name == "output.weight" || t.Name == "token_embd.weight" && m.tied:
		if cols%uint64(x.Base.BlockSize()) != 0 {
			typ = gguf.Q8_0
		} else if x.Base != gguf.Q8_0 {
			typ = gguf.Q6_K
		}
	case t.Name == "token_embd.weight":
		pick("Q2_0", true, gguf.Q4_K) // looked up a row at a time, so that its size costs no time
		pick("TQ2_0", true, gguf.Q4_K)
	case part == "attn_v.weight":
		shared := m.group >= 4
		pick("Q2_K", true, gguf.Q3_K)
		pick("Q2_K", shared, gguf.Q4_K)
		pick("Q2_K_S", shared, gguf.Q4_K)
		pick("Q3_K_M", true, gguf.Q4_K)
		pick("Q3_K_M", layer < 2, gguf.Q5_K)
		pick("Q3_K_L", true, gguf.Q5_K)
		pick("IQ4_NL", shared, gguf.Q5_K)
		pick("IQ4_XS", shared, gguf.Q5_K)
		pick("Q4_K_S", layer < 4, gguf.Q5_K)
		pick("Q4_K_M", more, gguf.Q6_K)
		pick("Q5_K_M", more, gguf.Q6_K)
		if m.arch == "llama" && n == 80 && (typ == gguf.Q3_K || typ == gguf.Q4_K) {
			typ = gguf.Q5_K // 70 billion parameters, of which these are few
		}
	case part == "ffn_down.weight":
		pick("Q2_K", true, gguf.Q3_K)
		pick("Q2_K_S", layer < eighth, gguf.Q4_K)
		pick("Q3_K_M", true, gguf.Q4_K)
		pick("Q3_K_M", layer < n/16, gguf.Q5_K)
		pick("Q3_K_L", true, gguf.Q5_K)
		pick("IQ4_NL", layer < eighth, gguf.Q5_K)
		pick("IQ4_XS", layer < eighth, gguf.Q5_K)
		pick("Q4_K_S", layer < eighth, gguf.Q5_K)
		pick("Q4_K_M", more, gguf.Q6_K)
		pick("Q5_K_M", more, gguf.Q6_K)
	case part == "attn_output.weight":
		pick("Q2_K", true, gguf.Q3_K)
		pick("Q3_K_M", true, gguf.Q4_K)
		pick("Q3_K_L", true, gguf.Q5_K)
	}
	return fitting(typ, cols)
}

// fitting is the type, or one near to it whose blocks fit rows of cols numbers.
func fitting(t gguf.Type, cols uint64) gguf.Type {
	if cols%uint64(t.BlockSize()) == 0 {
		return t
	}
	switch t {
	case gguf.IQ4_XS:
		t = gguf.IQ4_NL
	case gguf.TQ2_0:
		return fitting(gguf.Q2_0, cols)
	case gguf.Q2_K, gguf.Q3_K, gguf.Q2_0:
		t = gguf.Q4_0
	case gguf.Q4_K:
		t = gguf.Q5_0
	case gguf.Q5_K:
		t = gguf.Q5_1
	case gguf.Q6_K:
		t = gguf.Q8_0
	}
	if cols%uint64(t.BlockSize()) != 0 {
		return gguf.F16
	}
	return t
}

// matrix reports whether a tensor is one of those that are quantized.
func matrix(t *gguf.Tensor) bool {
	dims := len(t.Dims)
	for dims > 1 && t.Dims[dims-1] == 1 {
		dims--
	}
	return dims >= 2 && strings.HasSuffix(t.Name, "weight") && !strings.Contains(t.Name, "_norm.weight") &&
		!strings.Contains(t.Name, "ffn_gate_inp.weight") && t.Name != "position_embd.weight" && t.Name != "token_types.weight"
}

// split cuts "blk.3.attn_v.weight" into 3 and "attn_v.weight"; other names have
// no layer.
func split(name string) (layer int, part string) {
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return 0, ""
	}
	number, part, _ := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	if err != nil {
		return 0, ""
	}
	return layer, part
}
