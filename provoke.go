//go:build provoke

package main

import (
	"io/fs"
	"strings"

	"alphaos/amd64"
)

var nowhere *int
var hoard [][]byte

// provoke returns a function that makes the fault that the drive's file /provoke names, for
// tests of what a person sees then.
func provoke(drive fs.FS) func() {
	text, err := fs.ReadFile(drive, "provoke")
	if err != nil {
		return func() {}
	}
	return func() {
		switch strings.TrimSpace(string(text)) {
		case "panic":
			panic("provoked")
		case "nil":
			*nowhere = 1
		case "memory":
			for {
				b := make([]byte, 16<<20)
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				hoard = append(hoard, b)
			}
		case "kernel":
			amd64.ProvokeFault()
		case "overflow":
			amd64.ProvokeOverflow()
		case "firmware":
			amd64.Call(0xdead_0000_0000_0000) // no address at all
		}
	}
}
