// Package machine tests what amd64/ promises the Go runtime, with programs that
// ask more of it than a conversation does: Go's own standard library tests,
// a torture that mixes everything a kernel can get wrong, a matrix of machine
// sizes, and measurements. They boot in QEMU under OVMF like those of the
// package above, need nothing but this repository and a Go toolchain, and come
// in two lengths:
//
//	go test ./tests/machine                                     under two minutes
//	go test ./tests/machine -soak -timeout 0 -v                 all of it
//	go test ./tests/machine -run '^$' -bench . -benchtime 1x    measurements
//
// A program says on the serial port what it does; it is killed when it has
// said nothing for too long, which is how a hang shows.
package machine
