// Command churn is a UEFI application that keeps changing documents on the drive, step by step as
// package steps says, and tells of each step when it is done, until the plug is pulled.
package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"alphaos/tests/churn/steps"
	"alphaos/tests/guest"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("churn: FAILED:", err)
		os.Exit(1)
	}
}

func run() error {
	v, _, err := guest.Mount()
	if err != nil {
		return err
	}
	round := 1
	for ; ; round++ {
		if _, err := v.Stat(steps.Dir(round)); errors.Is(err, iofs.ErrNotExist) {
			break
		}
	}
	fmt.Printf("churn: round %d\n", round)
	for s := steps.New(round); ; {
		if err := s.Next()(v); err != nil {
			return fmt.Errorf("step %d: %w", s.Steps, err)
		}
		if s.Steps%20 == 0 { // between, the volume is in use
			if err := v.Sync(); err != nil {
				return fmt.Errorf("sync after step %d: %w", s.Steps, err)
			}
		}
		fmt.Printf("churn: did %d\n", s.Steps)
	}
}
