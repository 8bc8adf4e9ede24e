package llm

import (
	"context"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// weights is where a model's weights lie: all of them in memory (resident), or, when they
// are larger than that, in part on the drive (stream). The graphs do not know which.
type weights interface {
	// matrix is the matrix of a tensor, to be used once it was waited for. Of one that is
	// not in memory only the shape may be used, mul and rows.
	matrix(t *gguf.Tensor) (*kernel.Matrix, error)
	// bytes are those of a tensor that is in memory.
	bytes(t *gguf.Tensor) []byte
	// inMemory is the stretches of a matrix that stay in memory.
	inMemory(t *gguf.Tensor) [][]byte
	// wait returns when all that stays in memory of the file's bytes before end is there, or
	// will never be.
	wait(end int64) error
	// repack rearranges matrices, which nothing else uses, for speed, if they stay in memory.
	repack(each func(n, size int, f func(i int)), list ...*kernel.Matrix)
	// sample hashes what of the model's identity was not seen on the way to memory.
	sample(id *identity) error

	// begin prepares for a pass; logits: it needs the output matrix.
	begin(ctx context.Context, logits bool)
	// mul does those of products whose matrices are not in memory, and returns the others.
	mul(s *Session, x []float32, n int, products []product) []product
	// rows writes rows of the embeddings w to x.
	rows(w *kernel.Matrix, x []float32, ids []int32) error

	batch(c *config) int // tokens of a prompt that are best computed together
	streamed() int64     // bytes read from the drive for each token
	close()
}

// resident is weights in memory, as the file has them from byte start on until they are
// repacked.
type resident struct {
	*reading
	set     *kernel.Set
	data    []byte
	start   int64
	inPlace bool // they are not repacked
}

func (w *resident) bytes(t *gguf.Tensor) []byte { return w.data[t.Offset-w.start:][:t.Bytes] }

func (w *resident) inMemory(t *gguf.Tensor) [][]byte { return [][]byte{w.bytes(t)} }

func (w *resident) matrix(t *gguf.Tensor) (*kernel.Matrix, error) {
	return w.set.NewMatrix(t.Type, int(t.Dims[1]), int(t.Dims[0]), w.bytes(t))
}

func (w *resident) repack(each func(n, size int, f func(i int)), list ...*kernel.Matrix) {
	for _, m := range list {
		if !w.inPlace {
			m.Repack(each)
		}
	}
}

func (w *resident) rows(m *kernel.Matrix, x []float32, ids []int32) error {
	for i, id := range ids {
		m.Row(x[i*m.Cols:(i+1)*m.Cols], int(id))
	}
	return nil
}

func (w *resident) sample(*identity) error                                    { return nil }
func (w *resident) begin(context.Context, bool)                               {}
func (w *resident) mul(_ *Session, _ []float32, _ int, p []product) []product { return p }
func (w *resident) batch(*config) int                                         { return defaultBatch }
func (w *resident) streamed() int64                                           { return 0 }
func (w *resident) close()                                                    { w.stop() }
