package assistant

import (
	"testing"

	"alphaos/llm/sample"
)

// What a model recommends holds where the person set nothing.
func TestRecommendedParameters(t *testing.T) {
	recommended := sample.Default()
	recommended.Temperature, recommended.RepeatPenalty = 0.25, 1
	s := defaultSettings()
	for _, set := range [][2]string{{"repeat_penalty", "1.3"}, {"num_predict", "50"}} {
		if err := s.set(set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.set("top_k", "many"); err == nil {
		t.Error("top_k was set to \"many\"")
	}
	s.recommend(recommended)
	for name, want := range map[string]string{"temperature": "0.25", "repeat_penalty": "1.3", "num_predict": "50", "top_k": "40"} {
		if got := s.get(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}
