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
	// Of its rows there are those in [from, to), a stack's counted through.
	matrix(t *gguf.Tensor, from, to int) (*kernel.Matrix, error)
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

	// bindExperts prepares to have the experts of layer i read when they are asked for, and
	// returns false if they are in memory.
	bindExperts(e *experts, i int, c *config) bool
	// takeExperts sorts the experts needed, for n tokens, so that the first of them are in memory
	// until dropExperts, and returns how many those are, at least one. It is to be called again
	// for the others, and first says that it was not.
	takeExperts(e *experts, needed []int32, n int, first bool) (int, error)
	dropExperts(e *experts, taken []int32)
	// guesses tells whether guessExperts is of use: it has experts read that may be needed soon. If they are
	// those that the router would choose, the likeliest first, ranked is how many that is for each token, else 0.
	guesses() bool
	guessExperts(e *experts, list []int32, ranked int)

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

func (w *resident) matrix(t *gguf.Tensor, from, to int) (*kernel.Matrix, error) {
	return w.set.NewMatrix(t.Type, to-from, int(t.Dims[0]), rowsOf(t, w.bytes(t), from, to))
}

// rowsOf is rows [from, to) of the tensor's bytes.
func rowsOf(t *gguf.Tensor, data []byte, from, to int) []byte {
	row := rowBytes(t)
	return data[int64(from)*row : int64(to)*row]
}

func rowBytes(t *gguf.Tensor) int64 { return t.Bytes / (t.Elements() / int64(t.Dims[0])) }

func (w *resident) repack(each func(n, size int, f func(i int)), list ...*kernel.Matrix) {
	for _, m := range list {
		if !w.inPlace && m != nil {
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

func (w *resident) sample(*identity) error                  { return nil }
func (w *resident) bindExperts(*experts, int, *config) bool { return false }
func (w *resident) takeExperts(_ *experts, needed []int32, _ int, _ bool) (int, error) {
	return len(needed), nil
}
func (w *resident) dropExperts(*experts, []int32)                             {}
func (w *resident) guesses() bool                                             { return false }
func (w *resident) guessExperts(*experts, []int32, int)                       {}
func (w *resident) begin(context.Context, bool)                               {}
func (w *resident) mul(_ *Session, _ []float32, _ int, p []product) []product { return p }
func (w *resident) batch(*config) int                                         { return defaultBatch }
func (w *resident) streamed() int64                                           { return 0 }
func (w *resident) close()                                                    { w.stop() }
