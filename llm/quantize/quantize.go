package quantize

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Options of File. The zero value is good.
type Options struct {
	// Again allows what is quantized already to be quantized once more, which
	// loses more than going from the original weights.
	Again    bool
	Progress func(done, total int64) // bytes of the original's tensors, or nil
}

// piece is about how many numbers are converted at a time.
const piece = 1 << 20

// File writes the model in r, whose tables are f, as a mixture of types. The
// result is a function of the model and the mixture alone. An error is one
// sentence.
func File(w io.Writer, r io.ReaderAt, f *gguf.File, m Mix, o Options) error {
	to := slices.Clone(f.Tensors)
	about := modelOf(f)
	var total int64
	for i := range to {
		t := &to[i]
		total += t.Bytes
		t.Type = m.choose(about, t)
		from := f.Tensors[i].Type
		switch {
		case from == t.Type && from.Known():
		case !kernel.Supported(from):
			return fmt.Errorf("tensor %q has type %v, which cannot be read", t.Name, from)
		case from != gguf.F32 && from != gguf.F16 && from != gguf.BF16 && !o.Again:
			return fmt.Errorf("tensor %q is quantized already, to %v; begin with a model in F32, F16 or BF16, or allow the greater loss with --requantize", t.Name, from)
		}
	}
	head, err := gguf.Head(metadata(f, m), to)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	at, done := int64(len(head)), int64(0)
	for i := range to {
		if err := pad(w, to[i].Offset-at); err != nil {
			return err
		}
		at = to[i].Offset + to[i].Bytes
		if err := convert(w, r, &f.Tensors[i], to[i].Type); err != nil {
			return err
		}
		if done += f.Tensors[i].Bytes; o.Progress != nil {
			o.Progress(done, total)
		}
	}
	return pad(w, -at&31)
}

func pad(w io.Writer, n int64) error {
	_, err := w.Write(make([]byte, n))
	return err
}

// metadata is that of the original with the mixture's name.
func metadata(f *gguf.File, m Mix) []gguf.KeyValue {
	var meta []gguf.KeyValue
	for _, key := range f.Keys() {
		if key != "general.file_type" && key != "general.quantization_version" && !strings.HasPrefix(key, "split.") {
			meta = append(meta, gguf.KeyValue{Key: key, Value: f.Value(key)})
		}
	}
	return append(meta, gguf.KeyValue{Key: "general.quantization_version", Value: uint32(2)}, gguf.KeyValue{Key: "general.file_type", Value: m.FileType})
}

// convert writes tensor t with type to, as many pieces at a time as there are
// processors.
func convert(w io.Writer, r io.ReaderAt, t *gguf.Tensor, to gguf.Type) error {
	cols := int64(t.Dims[0])
	rows := t.Elements() / cols
	step := max(1, piece/cols)
	results := make([][]byte, runtime.GOMAXPROCS(0))
	errs := make([]error, len(results))
	for row := int64(0); row < rows; {
		var wait sync.WaitGroup
		n := 0
		for i := range results {
			from, count := row, min(step, rows-row)
			if count == 0 {
				break
			}
			row, n = row+count, n+1
			wait.Go(func() { results[i], errs[i] = convertRows(r, t, to, from, count) })
		}
		wait.Wait()
		for i := range n {
			if errs[i] != nil {
				return errs[i]
			}
			if _, err := w.Write(results[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func convertRows(r io.ReaderAt, t *gguf.Tensor, to gguf.Type, row, count int64) ([]byte, error) {
	size := func(t gguf.Type, n int64) int64 { return n / int64(t.BlockSize()) * int64(t.BlockBytes()) }
	cols := int64(t.Dims[0])
	in := make([]byte, size(t.Type, cols*count))
	if n, err := r.ReadAt(in, t.Offset+size(t.Type, cols*row)); n < len(in) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading tensor %q: %w", t.Name, err)
	}
	if t.Type == to {
		return in, nil
	}
	x := make([]float32, cols*count)
	kernel.Dequantize(t.Type, x, in)
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("tensor %q holds %v in row %d: the model is damaged or was converted wrongly", t.Name, v, row+int64(i)/cols)
		}
	}
	out := make([]byte, size(to, cols*count))
	kernel.Quantize(to, out, x)
	return out, nil
}
