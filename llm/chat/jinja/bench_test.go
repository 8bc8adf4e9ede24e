package jinja

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// A prompt is rendered at each turn: the time must grow with the conversation
// and no faster.
func BenchmarkRender(b *testing.B) {
	source, err := os.ReadFile("../testdata/templates/qwen-3.jinja")
	if err != nil {
		b.Fatal(err)
	}
	tmpl, err := Parse(string(source))
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 100, 1000} {
		var messages []any
		for i := range n {
			role := []string{"user", "assistant"}[i%2]
			messages = append(messages, map[string]any{"role": role, "content": Data("Some words, as they are said.\n", i+1)})
		}
		b.Run(fmt.Sprint(n, " messages"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.Render(map[string]any{"messages": messages, "add_generation_prompt": true}, Options{Now: time.Now}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
