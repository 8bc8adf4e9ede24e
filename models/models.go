// Package models holds the model that AlphaOS comes with: a small guide to
// AlphaOS itself, trained from scratch by make model. docs/guide-model.md tells
// what it can do. It is part of every program that imports this package, so that
// somebody talks where there is no other model, or none that can be read. Its
// weights are copied from there into the memory for weights, as from a file: the
// engine rearranges them, and five megabytes twice do no harm.
package models

import (
	"embed"

	"alphaos/llm"
	"alphaos/models/rules"
)

// Files holds the guide model under the name Guide.
//
//go:embed alphaos-guide-q8_0.gguf
var Files embed.FS

// Guide is the name of the guide model's file.
const Guide = "alphaos-guide-q8_0.gguf"

// ByRule answers what a model must not answer itself: where that is a guide, see
// [rules.Answer]. Other models answer everything.
func ByRule(m llm.Info, message string) (answer string, ok bool) {
	if !rules.IsGuide(m.Name) {
		return "", false
	}
	return rules.Answer(message)
}
