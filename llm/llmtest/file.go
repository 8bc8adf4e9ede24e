// Package llmtest makes up GGUF files for tests: vocabularies, small models of
// random weights, and files that are wrong in one respect. A File is metadata and
// tensors that a test can change before Bytes makes a file of them. Llama makes
// the model of a Shape, and Naive computes what it says in float64, token by
// token, as the mathematics are written down: what the engine says must agree.
//
// Package gguf writes the files, package synth the weights.
package llmtest

import (
	"bytes"
	"slices"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// File is a GGUF file to be.
type File struct {
	Keys    []gguf.KeyValue
	Tensors []Tensor
}

// Tensor is a tensor and its data.
type Tensor struct {
	Name string
	Type gguf.Type
	Dims []uint64 // as of gguf.Tensor: the first is contiguous
	Data []byte
}

// New returns a file with the given metadata and no tensors.
func New(keys ...gguf.KeyValue) *File { return &File{Keys: keys} }

// Parse is the file in b, which gguf.Read accepts, to be changed.
func Parse(b []byte) *File {
	tables, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	f := New()
	for _, key := range tables.Keys() {
		f.Set(key, tables.Value(key))
	}
	for i := range tables.Tensors {
		t := &tables.Tensors[i]
		f.Add(t.Name, t.Type, slices.Clone(b[t.Offset:][:t.Bytes]), t.Dims...)
	}
	return f
}

// Set adds an entry to the metadata or changes it.
func (f *File) Set(key string, value any) {
	i := slices.IndexFunc(f.Keys, func(kv gguf.KeyValue) bool { return kv.Key == key })
	if i < 0 {
		f.Keys = append(f.Keys, gguf.KeyValue{Key: key, Value: value})
	} else {
		f.Keys[i].Value = value
	}
}

// Add adds a tensor. Without data it is one of zeros. It returns f.
func (f *File) Add(name string, t gguf.Type, data []byte, dims ...uint64) *File {
	if data == nil {
		n := uint64(1)
		for _, d := range dims {
			n *= d
		}
		data = make([]byte, n/uint64(t.BlockSize())*uint64(t.BlockBytes()))
	}
	f.Tensors = append(f.Tensors, Tensor{name, t, dims, data})
	return f
}

// Tensor returns a tensor, to be changed, or nil.
func (f *File) Tensor(name string) *Tensor {
	if i := f.index(name); i >= 0 {
		return &f.Tensors[i]
	}
	return nil
}

// Put makes values the tensor's data.
func (t *Tensor) Put(values []float32) {
	kernel.Quantize(t.Type, t.Data, values)
}

// Remove takes a tensor out.
func (f *File) Remove(name string) {
	if i := f.index(name); i >= 0 {
		f.Tensors = slices.Delete(f.Tensors, i, i+1)
	}
}

func (f *File) index(name string) int {
	return slices.IndexFunc(f.Tensors, func(t Tensor) bool { return t.Name == name })
}

// Bytes returns the file. It panics where gguf.Head fails, and where the data of
// a tensor is not as long as its type and dimensions say.
func (f *File) Bytes() []byte {
	table := make([]gguf.Tensor, len(f.Tensors))
	for i, t := range f.Tensors {
		table[i] = gguf.Tensor{Name: t.Name, Type: t.Type, Dims: t.Dims}
	}
	b, err := gguf.Head(f.Keys, table)
	if err != nil {
		panic(err)
	}
	for i, t := range f.Tensors {
		if int64(len(t.Data)) != table[i].Bytes {
			panic("llmtest: " + t.Name + " has data of another length")
		}
		b = append(b, make([]byte, table[i].Offset-int64(len(b)))...)
		b = append(b, t.Data...)
	}
	return b
}

// Tables returns what package gguf reads of the file.
func (f *File) Tables() *gguf.File {
	b := f.Bytes()
	tables, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	return tables
}
