package assistant

import (
	"strings"
	"testing"
	"testing/fstest"

	"alphaos/llm/sample"
)

// What is built in is there without a drive, once, and instead of a file of its name.
func TestBuiltIn(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	builtIn := DirModels(fstest.MapFS{"Guide.gguf": file("new guide")}, ".")
	for _, c := range []struct {
		drive Models
		names string
		fails bool
	}{
		{DirModels(fstest.MapFS{"models/a.gguf": file("a"), "models/guide.GGUF": file("old"), "models/z.gguf": file("z")}, "models"), "a.gguf z.gguf Guide.gguf", false},
		{DirModels(fstest.MapFS{}, "models"), "Guide.gguf", false},
		{DirModels(fstest.MapFS{"models": file("no folder")}, "models"), "Guide.gguf", true},
	} {
		m := WithBuiltIn(c.drive, builtIn)
		list, err := m.List()
		var names []string
		for _, f := range list {
			names = append(names, f.Name)
			if f.BuiltIn != (f.Name == "Guide.gguf") {
				t.Errorf("%+v", f)
			}
		}
		if got := strings.Join(names, " "); got != c.names || (err != nil) != c.fails {
			t.Errorf("listed are %s, %v; want %s", got, err, c.names)
		}
		r, err := m.Open("guide.gguf")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, r.Size())
		if _, err := r.ReadAt(b, 0); err != nil || string(b) != "new guide" {
			t.Errorf("the built-in file is %q, %v", b, err)
		}
		r.Close()
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
