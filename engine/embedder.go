package engine

import (
	"context"
	"errors"
	"io"

	"alphaos/llm"
	"alphaos/llm/gguf"
)

// Embedder is a loaded model for embeddings. Its EmbedTexts makes texts comparable by what they mean.
type Embedder struct {
	*llm.Model
	Name string // of its file
}

// largestEmbedder is how large the file of a model for embeddings may be, in bytes: larger ones are not looked into.
const largestEmbedder = 1 << 30

// LoadEmbedder loads the largest model for embeddings among models that fits in room bytes, together with what it computes
// with: longer texts are cut for that. It is nil if there is none. The
// error is ctx's, or tells why the last one that was tried can't be used.
func LoadEmbedder(ctx context.Context, models Models, o llm.Options, room int64) (*Embedder, error) {
	list, err := models.List()
	for {
		var best ModelFile
		at := -1
		for i, m := range list {
			if m.Size+m.Size/8 <= room && m.Size <= largestEmbedder && m.Size > best.Size {
				best, at = m, i
			}
		}
		if at < 0 {
			return nil, err
		}
		list = append(list[:at:at], list[at+1:]...)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		own := o
		if own.SessionLimit = room - best.Size; o.SessionLimit > 0 {
			own.SessionLimit = min(own.SessionLimit, o.SessionLimit)
		}
		m, e := loadEmbedder(ctx, models, best.Name, own)
		if m != nil || ctx.Err() != nil {
			return m, ctx.Err()
		}
		err = errors.Join(err, e)
	}
}

// loadEmbedder loads a model; it is nil when it is one for something else.
func loadEmbedder(ctx context.Context, models Models, name string, o llm.Options) (*Embedder, error) {
	r, err := models.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := gguf.Read(r, r.Size())
	if err != nil || llm.KindOf(f) != llm.Embedding || llm.Check(f) != nil {
		return nil, nil // told where models are listed
	}
	o.Tables = f
	m, err := llm.Load(&ended{ctx, r}, r.Size(), o)
	if err != nil {
		return nil, err
	}
	if err := r.Verify(); err != nil || !m.Embedder() || ctx.Err() != nil {
		m.Close()
		return nil, err
	}
	return &Embedder{m, name}, nil
}

// ended is a file that can't be read any more when ctx has ended.
type ended struct {
	ctx context.Context
	io.ReaderAt
}

func (e *ended) ReadAt(p []byte, at int64) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.ReaderAt.ReadAt(p, at)
}
