//go:build provoke

package main

import (
	"io/fs"
	"strings"
	"time"

	"alphaos/amd64"
)

var nowhere *int
var hoard [][]byte

// provoke makes the fault that the drive's file /provoke names, some time after the start,
// for tests of what a person sees then.
func provoke(drive fs.FS) {
	text, err := fs.ReadFile(drive, "provoke")
	if err != nil {
		return
	}
	go func() {
		time.Sleep(300 * time.Millisecond)
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
		}
	}()
}
