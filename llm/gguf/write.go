package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// KeyValue is an entry of the metadata: see (*File).Value for the types.
type KeyValue struct {
	Key   string
	Value any
}

// Head makes the beginning of a GGUF file of version 3, up to the tensors'
// data: metadata and the table of tensors, of which Name, Type and Dims count;
// their Offset and Bytes are set. Data must follow in the order of tensors,
// each padded with zeros to a multiple of 32 bytes, the alignment; a
// general.alignment in meta is left out. Of a tensor whose type is not known,
// Bytes counts, too.
func Head(meta []KeyValue, tensors []Tensor) ([]byte, error) {
	return head(meta, tensors, nil)
}

const alignment = 32 // of what is written

// head is Head with tensors at given offsets from the end of the head, if not
// nil. Its length does not depend on them.
func head(meta []KeyValue, tensors []Tensor, place []int64) ([]byte, error) {
	le := binary.LittleEndian
	meta = slices.DeleteFunc(slices.Clone(meta), func(kv KeyValue) bool { return kv.Key == "general.alignment" })
	b := le.AppendUint32([]byte(Magic), 3)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(tensors))), uint64(len(meta)))
	var err error
	for _, kv := range meta {
		b = appendString(b, kv.Key)
		if b, err = appendValue(b, kv.Value); err != nil {
			return nil, fmt.Errorf("metadata %q: %w", kv.Key, err)
		}
	}
	offset := int64(0)
	for i := range tensors {
		t := &tensors[i]
		if len(t.Dims) == 0 || t.Type.Known() && t.Dims[0]%uint64(t.Type.BlockSize()) != 0 {
			return nil, fmt.Errorf("tensor %q cannot have the type %v and the shape %v", t.Name, t.Type, t.Dims)
		}
		b = le.AppendUint32(appendString(b, t.Name), uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		if place != nil {
			offset = place[i]
		}
		b = le.AppendUint64(le.AppendUint32(b, uint32(t.Type)), uint64(offset))
		t.Offset = offset
		if t.Type.Known() {
			t.Bytes = t.Elements() / int64(t.Type.BlockSize()) * int64(t.Type.BlockBytes())
		}
		offset += (t.Bytes + alignment - 1) &^ (alignment - 1)
	}
	b = append(b, make([]byte, -len(b)&(alignment-1))...)
	for i := range tensors {
		tensors[i].Offset += int64(len(b))
	}
	return b, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendValue(b []byte, v any) ([]byte, error) {
	le := binary.LittleEndian
	kind := func(k uint32) []byte { return le.AppendUint32(b, k) }
	switch v := v.(type) {
	case uint8:
		return append(kind(kindUint8), v), nil
	case int8:
		return append(kind(kindInt8), byte(v)), nil
	case uint16:
		return le.AppendUint16(kind(kindUint16), v), nil
	case int16:
		return le.AppendUint16(kind(kindInt16), uint16(v)), nil
	case uint32:
		return le.AppendUint32(kind(kindUint32), v), nil
	case int32:
		return le.AppendUint32(kind(kindInt32), uint32(v)), nil
	case uint64:
		return le.AppendUint64(kind(kindUint64), v), nil
	case int64:
		return le.AppendUint64(kind(kindInt64), uint64(v)), nil
	case float32:
		return le.AppendUint32(kind(kindFloat32), math.Float32bits(v)), nil
	case float64:
		return le.AppendUint64(kind(kindFloat64), math.Float64bits(v)), nil
	case bool:
		if v {
			return append(kind(kindBool), 1), nil
		}
		return append(kind(kindBool), 0), nil
	case string:
		return appendString(kind(kindString), v), nil
	case []string:
		b = le.AppendUint64(le.AppendUint32(kind(kindArray), kindString), uint64(len(v)))
		for _, s := range v {
			b = appendString(b, s)
		}
		return b, nil
	case []bool:
		b = le.AppendUint64(le.AppendUint32(kind(kindArray), kindBool), uint64(len(v)))
		for _, x := range v {
			if x {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
		return b, nil
	case []uint8:
		return appendArray(b, kindUint8, v)
	case []int8:
		return appendArray(b, kindInt8, v)
	case []uint16:
		return appendArray(b, kindUint16, v)
	case []int16:
		return appendArray(b, kindInt16, v)
	case []uint32:
		return appendArray(b, kindUint32, v)
	case []int32:
		return appendArray(b, kindInt32, v)
	case []uint64:
		return appendArray(b, kindUint64, v)
	case []int64:
		return appendArray(b, kindInt64, v)
	case []float32:
		return appendArray(b, kindFloat32, v)
	case []float64:
		return appendArray(b, kindFloat64, v)
	case []any:
		b = le.AppendUint64(le.AppendUint32(kind(kindArray), kindArray), uint64(len(v)))
		for _, x := range v {
			at := len(b)
			var err error
			if b, err = appendValue(b, x); err != nil {
				return nil, err
			}
			if le.Uint32(b[at:]) != kindArray {
				return nil, fmt.Errorf("a %T among arrays cannot be written", x)
			}
			b = slices.Delete(b, at, at+4) // that it is an array is said once, before all
		}
		return b, nil
	}
	return nil, fmt.Errorf("a %T cannot be written", v)
}

func appendArray[T number](b []byte, kind uint32, v []T) ([]byte, error) {
	le := binary.LittleEndian
	b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, kindArray), kind), uint64(len(v)))
	return binary.Append(b, le, v)
}
