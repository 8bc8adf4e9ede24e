package llm

import (
	"context"
	"errors"
	"hash/crc32"
	"unsafe"
)

// Whether the weights in memory are still what was loaded. On some machines something else
// writes there, or the memory itself is bad, and a model with a wrong weight does not stop: it
// only answers worse.
//
// Checksums are made when the model is loaded, between its computations, so nobody waits for
// them: on a processor that has CRC-32C it is over in a second, and an emulator takes longer for
// it than for loading. Vectors are left out, which are copied out of that memory: they are
// thousandths of it.

// partBytes is how much memory has one checksum.
const partBytes = 1 << 20

// part is a stretch of a matrix in memory, with its CRC-32C.
type part struct {
	tensor string
	data   []byte
	sum    uint32
}

// Damage is a stretch of memory that is not what was loaded.
type Damage struct {
	Tensor  string
	Address uintptr
	Bytes   int64
}

// startSums begins to make checksums of all matrices that stay in memory.
func (m *Model) startSums() {
	for i := range m.file.Tensors {
		t := &m.file.Tensors[i]
		if len(t.Dims) < 2 {
			continue
		}
		for _, data := range m.weights.inMemory(t) {
			for len(data) > 0 {
				n := min(partBytes, len(data))
				m.parts = append(m.parts, part{tensor: t.Name, data: data[:n]})
				data = data[n:]
			}
		}
	}
	parts, summed := m.parts, make(chan struct{})
	m.summed = summed
	go func() {
		defer close(summed)
		for i := range parts {
			m.busy.Lock()
			if !m.closed {
				parts[i].sum = crc32.Checksum(parts[i].data, castagnoli)
			}
			m.busy.Unlock()
		}
	}()
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
	select {
	case <-m.summed:
	case <-ctx.Done():
	}
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
				bad = append(bad, Damage{p.tensor, uintptr(unsafe.Pointer(unsafe.SliceData(p.data))), int64(len(p.data))})
			}
		}
		progress(done)
	}
	return bad, nil
}
