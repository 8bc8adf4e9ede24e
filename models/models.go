// Package models holds the model that AlphaOS comes with: a small guide to
// AlphaOS itself, trained from scratch by make model. docs/guide-model.md tells
// what it can do.
package models

import "embed"

// Files holds the guide model under the name Guide.
//
//go:embed alphaos-guide-q8_0.gguf
var Files embed.FS

// Guide is the name of the guide model's file.
const Guide = "alphaos-guide-q8_0.gguf"
