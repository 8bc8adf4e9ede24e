package gguf

import (
	"bytes"
	"reflect"
	"testing"
)

// What Head writes, Read reads.
func TestHead(t *testing.T) {
	meta := []KeyValue{
		{"general.architecture", "llama"}, {"u8", uint8(200)}, {"i8", int8(-3)}, {"u16", uint16(60000)}, {"i16", int16(-300)},
		{"u32", uint32(1 << 31)}, {"i32", int32(-5)}, {"u64", uint64(1 << 40)}, {"i64", int64(-1 << 40)}, {"f32", float32(0.5)}, {"f64", 0.25},
		{"yes", true}, {"no", false}, {"words", []string{"a", "", "ccc"}}, {"flags", []bool{true, false}}, {"bytes", []uint8{1, 2}},
		{"ints", []int32{-1, 7}}, {"longs", []int64{-1, 1 << 40}}, {"floats", []float32{1.5, -2}}, {"doubles", []float64{1e300}},
		{"shorts", []uint16{1}}, {"none", []string{}},
	}
	tensors := []Tensor{{Name: "a", Type: Q8_0, Dims: []uint64{64, 3}}, {Name: "b", Type: F32, Dims: []uint64{5}}}
	b, err := Head(append(meta, KeyValue{"general.alignment", uint32(64)}), tensors)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != tensors[0].Offset || tensors[1].Offset != tensors[0].Offset+224 {
		t.Fatalf("tensors %+v after a head of %d bytes", tensors, len(b))
	}
	b = append(b, make([]byte, 224+20)...)
	f, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Tensors, tensors) {
		t.Errorf("read the tensors %+v, not %+v", f.Tensors, tensors)
	}
	if len(f.Keys()) != len(meta) {
		t.Errorf("read the keys %q", f.Keys())
	}
	for _, kv := range meta {
		if got := f.Value(kv.Key); !reflect.DeepEqual(got, kv.Value) {
			t.Errorf("%s is %#v, not %#v", kv.Key, got, kv.Value)
		}
	}
	if _, err := Head([]KeyValue{{"x", struct{}{}}}, nil); err == nil {
		t.Error("a value of no GGUF type was written")
	}
	if _, err := Head(nil, []Tensor{{Name: "a", Type: Q8_0, Dims: []uint64{33}}}); err == nil {
		t.Error("a tensor with a part of a block was written")
	}
}
