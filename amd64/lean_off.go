//go:build !lean

package amd64

// memoryLimit is how much memory is taken at most, in bytes.
const memoryLimit = 1 << 62
