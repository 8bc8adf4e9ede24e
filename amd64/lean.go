//go:build lean

package amd64

// memoryLimit leaves most memory to the firmware in a program that starts another one.
const memoryLimit = 128 << 20
