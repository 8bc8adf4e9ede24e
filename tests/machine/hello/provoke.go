//go:build provoke

package main

import (
	"fmt"

	"alphaos/amd64"
)

func init() {
	provoke = tell
}

func tell() {
	fmt.Printf("provoke: a register's refusal was survived: %v; the PAT is new on %d processors\n", amd64.ProvokeRefusal(), amd64.PATsChanged())
}
