package sample

import (
	"fmt"

	"alphaos/llm/gguf"
)

// recommended are the parameters that a model's file may recommend, by the
// metadata's names for them.
var recommended = []struct{ key, name string }{
	{"temp", "temperature"},
	{"top_k", "top_k"},
	{"top_p", "top_p"},
	{"min_p", "min_p"},
	{"penalty_repeat", "repeat_penalty"},
	{"penalty_last_n", "repeat_last_n"},
}

// Recommended returns the parameters that the model in f recommends in its
// metadata (general.sampling.*), and Default's where it says nothing, or nothing
// possible.
func Recommended(f *gguf.File) Params {
	p := Default()
	for _, r := range recommended {
		if v := f.Value("general.sampling." + r.key); v != nil {
			_ = p.Set(r.name, fmt.Sprint(v)) // what is impossible leaves p as it is
		}
	}
	return p
}
