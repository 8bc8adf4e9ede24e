package assistant

import (
	"testing"

	"alphaos/engine"
	"alphaos/llm/sample"
)

// What a model recommends holds where the person set nothing.
func TestRecommendedParameters(t *testing.T) {
	recommended := sample.Default()
	recommended.Temperature, recommended.RepeatPenalty = 0.25, 1
	a := &assistant{model: engine.New(engine.Parts{Sampling: recommended}), params: defaultParams(), chosen: map[string]string{}}
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
