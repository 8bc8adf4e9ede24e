package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"alphaos/tools/pe"
)

func efiCommand() *cobra.Command {
	efi := &cobra.Command{
		Use:   "efi",
		Short: "Make UEFI applications",
	}
	efi.AddCommand(&cobra.Command{
		Use:   "pack IN.elf OUT.EFI",
		Short: "Pack a Go program into a UEFI application",
		Long: `Pack turns a Linux executable, built from a program that imports alphaos/amd64
with

	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -buildmode=pie

into a PE32+ image that UEFI firmware can load anywhere in memory.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			image, err := pe.Pack(in)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return os.WriteFile(args[1], image, 0o644)
		},
	})
	return efi
}
