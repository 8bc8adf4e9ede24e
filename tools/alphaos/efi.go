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
		Short: "Make UEFI applications, and sign them for Secure Boot",
	}
	efi.AddCommand(efiSignCommand(), efiVerifyCommand(), efiEnrollCommand())
	efi.AddCommand(&cobra.Command{
		Use:   "pack IN.elf [SECOND.elf] OUT.EFI",
		Short: "Pack a Go program into a UEFI application",
		Long: `Pack turns a Linux executable, built from a program that imports alphaos/amd64
with

	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -buildmode=pie

into a PE32+ image that UEFI firmware can load anywhere in memory.

A toolchain that does not link position-independent executables, such as TamaGo, links
the program twice, for addresses more than 4 GiB apart:

	go build -trimpath -ldflags "-buildid= -R 0x1000 -T 0x401000"
	go build -trimpath -ldflags "-buildid= -R 0x1000 -T 0x110401000"`,
		Example: `  alphaos efi pack hello.elf BOOTX64.EFI`,
		Args:    cobra.RangeArgs(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			var in []*os.File
			for _, name := range args[:len(args)-1] {
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				defer f.Close()
				in = append(in, f)
			}
			var image []byte
			var err error
			if len(in) == 1 {
				image, err = pe.Pack(in[0])
			} else {
				image, err = pe.PackTwo(in[0], in[1])
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return os.WriteFile(args[len(args)-1], image, 0o644)
		},
	})
	return efi
}
