package llm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Weights in a rotated basis, as PrismML's files declare them with metadata prism.hadamard.*,
// version 1: what such a matrix is multiplied with has to be rotated first, and rows of such
// embeddings have to be rotated back. A file whose declaration was not understood would load and
// talk nonsense, so everything in it that is not known is refused.
//
// The rotation changes signs, and then applies the normalized Walsh-Hadamard transform, in Sylvester's
// order, to each block of numbers. Which signs depends on how many numbers there are.

const hadamard = "prism.hadamard."

// rotation is that of vectors of one length.
type rotation struct {
	block int
	signs []float32 // nil: none
	// The numbers of heads of a gated delta net, which come as repeats x groups, are first brought to the order
	// groups x repeats, each with its number of values; 0: as they are.
	groups, repeats int
}

// rotations is what a file declares; nil: nothing.
type rotations struct {
	names    map[string]*rotation // of what matrices are multiplied with
	inverse  *rotation            // of rows of the embeddings; nil: they are as they are
	ofMatrix map[*kernel.Matrix]*rotation
}

// readRotations reads the declaration. An error is one sentence.
func readRotations(f *gguf.File) (*rotations, error) {
	var declared []string
	for _, key := range f.Keys() {
		if name, ok := strings.CutPrefix(key, hadamard); ok {
			declared = append(declared, name)
		}
	}
	if declared == nil {
		return nil, nil
	}
	for _, name := range declared {
		if !slices.Contains([]string{"version", "block_size", "transform", "axis", "sign_mode", "sign_widths", "sign_values", "weight_names", "inverse_weight_names", "gdn_v_grouped"}, name) {
			return nil, fmt.Errorf("the model's weights are rotated, and its %s%s is not known here: it would talk nonsense", hadamard, name)
		}
	}
	for key, want := range map[string]string{"transform": "normalized-sylvester-walsh-hadamard", "axis": "input-last-dimension"} {
		if v := f.Value(hadamard + key); v != want {
			return nil, fmt.Errorf("the model's weights are rotated with %s%s %v, and only %q is known here: it would talk nonsense", hadamard, key, v, want)
		}
	}
	if v, _ := f.Uint(hadamard + "version"); v != 1 {
		return nil, fmt.Errorf("the model's weights are rotated with %sversion %v, and only 1 is known here: it would talk nonsense", hadamard, f.Value(hadamard+"version"))
	}
	block, _ := f.Uint(hadamard + "block_size")
	if block < 2 || block > 1<<16 || block&(block-1) != 0 {
		return nil, fmt.Errorf("the model's weights are rotated in blocks of %v, which is no power of two from 2 to 65536: the file is damaged or was converted wrongly", f.Value(hadamard+"block_size"))
	}
	signs, err := readSigns(f)
	if err != nil {
		return nil, err
	}
	r := &rotations{names: map[string]*rotation{}, ofMatrix: map[*kernel.Matrix]*rotation{}}
	grouped, _ := f.Bool(hadamard + "gdn_v_grouped")
	made := map[string]*rotation{}
	of := func(list, name string) (*rotation, error) {
		t, ok := f.Tensor(name)
		if !ok || len(t.Dims) != 2 {
			return nil, fmt.Errorf("the model's %s%s has %q, which is no matrix of it: the file is damaged or was converted wrongly", hadamard, list, name)
		}
		width := int(t.Dims[0])
		w := rotation{block: int(block)}
		if signs != nil {
			if w.signs = signs[width]; w.signs == nil {
				return nil, fmt.Errorf("the model tells no signs for %q, whose rows have %d numbers: the file is damaged or was converted wrongly", name, width)
			}
		}
		if width%w.block != 0 {
			return nil, fmt.Errorf("the rows of %q have %d numbers, which is no multiple of the %d that are rotated together: the file is damaged or was converted wrongly", name, width, w.block)
		}
		if grouped && strings.HasSuffix(name, ".ssm_out.weight") {
			arch, _ := f.String("general.architecture")
			groups, _ := f.Uint(arch + ".ssm.group_count")
			heads, _ := f.Uint(arch + ".ssm.time_step_rank")
			if groups == 0 || heads == 0 || heads > uint64(width) || heads%groups != 0 || width%int(heads) != 0 {
				return nil, fmt.Errorf("%q cannot belong to %d heads in %d groups: the file is damaged or was converted wrongly", name, heads, groups)
			}
			w.groups, w.repeats = int(groups), int(heads/groups)
		}
		key := fmt.Sprint(width, w.groups)
		if made[key] == nil { // matrices that share vectors share what is made of these
			made[key] = &w
		}
		return made[key], nil
	}
	for _, name := range f.Strings(hadamard + "weight_names") {
		if r.names[name], err = of("weight_names", name); err != nil {
			return nil, err
		}
	}
	for _, name := range f.Strings(hadamard + "inverse_weight_names") {
		if name != "token_embd.weight" {
			return nil, fmt.Errorf("the model's %sinverse_weight_names has %q, and only embeddings of tokens can be rotated back", hadamard, name)
		}
		if r.inverse, err = of("inverse_weight_names", name); err != nil {
			return nil, err
		}
	}
	_, untied := f.Tensor("output.weight")
	if !untied && (r.inverse == nil) != (r.names["token_embd.weight"] == nil) {
		return nil, fmt.Errorf("the model's embeddings, which are its output too, are declared as rotated for only one of both: it would talk nonsense")
	}
	return r, nil
}

// readSigns reads the signs for each length of vectors, nil if all are plus.
func readSigns(f *gguf.File) (map[int][]float32, error) {
	switch mode, _ := f.String(hadamard + "sign_mode"); mode {
	case "identity":
		return nil, nil
	case "explicit":
	default:
		return nil, fmt.Errorf("the model's weights are rotated with %ssign_mode %v, which is not known here: it would talk nonsense", hadamard, f.Value(hadamard+"sign_mode"))
	}
	values := f.Ints(hadamard + "sign_values")
	wrong := func() error {
		return fmt.Errorf("the model's %ssign_values and sign_widths do not go together: the file is damaged or was converted wrongly", hadamard)
	}
	signs := map[int][]float32{}
	for _, width := range f.Ints(hadamard + "sign_widths") {
		if width < 1 || int(width) > len(values) || signs[int(width)] != nil {
			return nil, wrong()
		}
		row := make([]float32, width)
		for i, v := range values[:width] {
			if v != 1 && v != -1 {
				return nil, wrong()
			}
			row[i] = float32(v)
		}
		signs[int(width)], values = row, values[width:]
	}
	if len(values) != 0 || len(signs) == 0 {
		return nil, wrong()
	}
	return signs, nil
}

// apply makes y of x, which is as long.
func (r *rotation) apply(y, x []float32) {
	if r.groups > 0 {
		n := len(x) / (r.groups * r.repeats)
		for g := range r.groups {
			for k := range r.repeats {
				copy(y[(g*r.repeats+k)*n:][:n], x[(k*r.groups+g)*n:])
			}
		}
	} else {
		copy(y, x)
	}
	for i, s := range r.signs {
		y[i] *= s
	}
	r.transform(y)
}

// undo rotates a row of embeddings back.
func (r *rotation) undo(x []float32) {
	r.transform(x)
	for i, s := range r.signs {
		x[i] *= s
	}
}

// transform is the normalized Walsh-Hadamard transform of each block, which undoes itself.
func (r *rotation) transform(x []float32) {
	scale := float32(1 / math.Sqrt(float64(r.block)))
	for ; len(x) > 0; x = x[r.block:] {
		b := x[:r.block]
		for i := 0; i < len(b); i += 2 {
			u, v := b[i]*scale, b[i+1]*scale
			b[i], b[i+1] = u+v, u-v
		}
		for step := 2; step < len(b); step *= 2 {
			for at := 0; at < len(b); at += 2 * step {
				low, high := b[at:][:step], b[at+step:][:step]
				for i, u := range low {
					v := high[i]
					low[i], high[i] = u+v, u-v
				}
			}
		}
	}
}

// rotate notes the rotation of what a matrix is multiplied with.
func (m *Model) rotate(name string, w *kernel.Matrix) {
	if m.rotations != nil && m.rotations.names[name] != nil {
		m.rotations.ofMatrix[w] = m.rotations.names[name]
	}
}

// mul multiplies the n vectors in x with several matrices at once, some of which may be rotated.
func (s *Session) mul(x []float32, n int, products ...product) {
	r := s.model.rotations
	if r == nil {
		s.multiply(x, n, products...)
		return
	}
	k := &s.task
	k.rotated, k.straight = k.rotated[:0], k.straight[:0]
	var turn *rotation
	for _, p := range products {
		if t := r.ofMatrix[p.m]; t != nil {
			turn, k.rotated = t, append(k.rotated, p)
		} else {
			k.straight = append(k.straight, p)
		}
	}
	if len(k.straight) > 0 {
		s.multiply(x, n, k.straight...)
	}
	if turn == nil {
		return
	}
	k.turn, k.from, k.cols = turn, x, k.rotated[0].m.Cols
	k.turned = slices.Grow(k.turned[:0], n*k.cols)[:n*k.cols]
	s.model.pool.run(n, n*k.cols*16, s.jobs.turn)
	s.multiply(k.turned, n, k.rotated...)
}

func (s *Session) turnPart(_, t int) {
	k := &s.task
	k.turn.apply(k.turned[t*k.cols:(t+1)*k.cols], k.from[t*k.cols:(t+1)*k.cols])
}

// embed writes the embeddings of ids to x.
func (m *Model) embed(w *kernel.Matrix, x []float32, ids []int32) error {
	if err := m.weights.rows(w, x, ids); err != nil || m.rotations == nil || m.rotations.inverse == nil {
		return err
	}
	for n := len(x) / len(ids); len(x) > 0; x = x[n:] {
		m.rotations.inverse.undo(x[:n])
	}
	return nil
}
