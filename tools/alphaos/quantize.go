package main

// model quantize: makes a smaller model of a larger one. The new file appears
// under its name only when it is complete, so neither an error nor a pulled
// plug leaves half a model, and the original is never touched.

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"alphaos/llm/gguf"
	"alphaos/llm/quantize"
)

func modelQuantizeCommand() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:   "quantize IN.gguf OUT.gguf TYPE",
		Short: "Make a smaller model of a larger one",
		Long: fmt.Sprintf(`Make a smaller model of a larger one by keeping its weights with fewer bits.
The types of the tensors are those that llama-quantize would choose.

Types, from the largest to the smallest: %s.
Q8_0 is as good as the original for most purposes, Q4_K_M the usual compromise.`, strings.Join(quantize.Names(), ", ")),
		Example: `  alphaos model quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return errors.New("name the model, the file to write and the type, for example: alphaos model quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M")
			}
			mix, err := quantize.Find(args[2])
			if err != nil {
				return err
			}
			m, err := openModel(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			if err := quantizeFile(m, args[1], mix, quantize.Options{Again: again}); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			out, err := openModel(args[1])
			if err != nil {
				return err
			}
			defer out.Close()
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, %s\n%s: %d bytes, %s\n", args[0], m.Size(), m.tables.Summary(), args[1], out.Size(), out.tables.Summary())
			return nil
		},
	}
	cmd.Flags().BoolVar(&again, "requantize", false, "quantize also what is quantized already")
	return cmd
}

func quantizeFile(m *modelFile, name string, mix quantize.Mix, o quantize.Options) error {
	if _, split := gguf.Parts(filepath.Base(name)); split {
		return fmt.Errorf("%s is the name of one part of a split model, but the whole is written to one file: choose another name", name)
	}
	return writeWhole(name, func(w io.Writer) error {
		if err := quantize.File(w, m, m.tables, mix, o); err != nil {
			return err
		}
		// The original may have a checksum; all of it has been read now.
		return m.Verify()
	})
}
