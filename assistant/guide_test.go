package assistant

import (
	"testing"
	"testing/fstest"

	"alphaos/llm/gguf"
	"alphaos/llm/sample"
)

// The guide model talks only where there is no other that can.
func TestGuideComesLast(t *testing.T) {
	file := func(name, arch string) *fstest.MapFile {
		head, err := gguf.Head([]gguf.KeyValue{{Key: "general.architecture", Value: arch}, {Key: "general.name", Value: name}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: head}
	}
	files := fstest.MapFS{
		"alphaos-guide-q8_0.gguf": file(guide, "llama"),
		"minilm.gguf":             file("MiniLM", "bert"),
		"zephyr.gguf":             file("Zephyr", "llama"),
	}
	for _, want := range []string{"zephyr.gguf", "alphaos-guide-q8_0.gguf"} {
		a := &assistant{Config: Config{Models: DirModels(files, ".")}}
		list, err := a.Models.List()
		if err != nil {
			t.Fatal(err)
		}
		if got := a.usual(list).Name; got != want {
			t.Errorf("of %v the usual one is %s, not %s", list, got, want)
		}
		delete(files, "zephyr.gguf")
	}
}

// recommending is an engine that recommends a temperature and a penalty.
type recommending struct{ engine }

func (recommending) Sampling() sample.Params {
	p := sample.Default()
	p.Temperature, p.RepeatPenalty = 0.25, 1
	return p
}

// What a model recommends holds where the person set nothing.
func TestRecommendedParameters(t *testing.T) {
	a := &assistant{model: recommending{}, params: defaultParams(), chosen: map[string]string{}}
	for _, set := range [][2]string{{"repeat_penalty", "1.3"}, {"num_predict", "50"}} {
		if err := a.choose(set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.choose("top_k", "many"); err == nil {
		t.Error("top_k was set to \"many\"")
	}
	a.recommend()
	for name, want := range map[string]string{"temperature": "0.25", "repeat_penalty": "1.3", "num_predict": "50", "top_k": "40"} {
		if got := a.params.get(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}
