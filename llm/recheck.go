package llm

import (
	"cmp"
	"context"
	"errors"
	"hash/crc32"
	"maps"
	"slices"
	"unsafe"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Whether the weights in memory are still what was loaded. On some machines something else
// writes there, or the memory itself is bad, and a model with a wrong weight does not stop: it
// only answers worse.
//
// A matrix is summed once it is in its last order, while those behind it are still being read:
// a model comes no later from a drive that gives 2 GB/s, and takes 1.2 times as long where all of
// it is in memory already. Vectors, and whatever else is copied out of that memory, are
// left out: they are thousandths of it.

// partBytes is how much memory has one checksum.
const partBytes = 1 << 20

// part is a stretch of a matrix in memory, with its CRC-32C.
type part struct {
	tensor *gguf.Tensor
	data   []byte
	sum    uint32
}

// Damage is a stretch of memory that is not what was loaded.
type Damage struct {
	Tensor  string
	Address uintptr
	Bytes   int64
}

// sum makes checksums of matrices that do not change from here on.
func (b *binder) sum(list ...*kernel.Matrix) {
	m := b.model
	first, work := len(m.parts), 0
	for _, w := range list {
		t := b.unsummed[w]
		if t == nil {
			continue
		}
		delete(b.unsummed, w)
		for _, data := range m.weights.inMemory(t) {
			for work += len(data); len(data) > 0; {
				n := min(partBytes, len(data))
				m.parts = append(m.parts, part{tensor: t, data: data[:n]})
				data = data[n:]
			}
		}
	}
	parts := m.parts[first:]
	m.pool.run(len(parts), work, func(_, i int) { parts[i].sum = crc32.Checksum(parts[i].data, castagnoli) })
}

// sumRest is sum for all matrices that are left, in the order of the file.
func (b *binder) sumRest() {
	offset := func(w *kernel.Matrix) int64 { return b.unsummed[w].Offset }
	b.sum(slices.SortedFunc(maps.Keys(b.unsummed), func(v, w *kernel.Matrix) int { return cmp.Compare(offset(v), offset(w)) })...)
}

// Checkable is how many bytes of weights Recheck looks at: those that stay in memory.
func (m *Model) Checkable() (n int64) {
	for i := range m.parts {
		n += int64(len(m.parts[i].data))
	}
	return n
}

// Recheck compares the weights in memory with what they were when they were loaded, and tells
// what differs. An error says that it was not done to the end; what was found until then is
// told nevertheless.
func (m *Model) Recheck(ctx context.Context, progress func(done int64)) (bad []Damage, err error) {
	m.busy.Lock()
	defer m.busy.Unlock()
	if m.closed {
		return nil, errors.New("the model is closed")
	}
	const together = 16 // parts between two looks at ctx
	var differs [together]bool
	done := int64(0)
	for left := m.parts; len(left) > 0; {
		if err := ctx.Err(); err != nil {
			return bad, err
		}
		parts := left[:min(together, len(left))]
		left = left[len(parts):]
		m.pool.run(len(parts), len(parts)*partBytes, func(_, i int) {
			differs[i] = crc32.Checksum(parts[i].data, castagnoli) != parts[i].sum
		})
		for i, p := range parts {
			if done += int64(len(p.data)); differs[i] {
				bad = append(bad, Damage{p.tensor.Name, uintptr(unsafe.Pointer(unsafe.SliceData(p.data))), int64(len(p.data))})
			}
		}
		progress(done)
	}
	return bad, nil
}
