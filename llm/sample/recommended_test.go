package sample

import (
	"bytes"
	"testing"

	"alphaos/llm/gguf"
)

func TestRecommended(t *testing.T) {
	file := func(meta ...gguf.KeyValue) *gguf.File {
		head, err := gguf.Head(meta, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Read(bytes.NewReader(head), int64(len(head)))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if got := Recommended(file()); got != Default() {
		t.Errorf("a model that recommends nothing gets %+v", got)
	}
	want := Default()
	want.Temperature, want.TopK, want.RepeatPenalty = 0.25, 7, 1
	got := Recommended(file(
		gguf.KeyValue{Key: "general.sampling.temp", Value: float32(0.25)},
		gguf.KeyValue{Key: "general.sampling.top_k", Value: int32(7)},
		gguf.KeyValue{Key: "general.sampling.penalty_repeat", Value: float32(1)},
		gguf.KeyValue{Key: "general.sampling.top_p", Value: float32(-3)},
		gguf.KeyValue{Key: "general.sampling.min_p", Value: "much"},
	))
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
