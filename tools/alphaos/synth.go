package main

// model synth: writes models of random weights.

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"alphaos/llm/synth"
)

func modelSynthCommand() *cobra.Command {
	var shape, mix string
	var seed uint64
	var shapes, mixes []string
	for _, s := range synth.Shapes {
		shapes = append(shapes, s.Name)
	}
	for _, m := range synth.Mixtures {
		mixes = append(mixes, m.Name)
	}
	cmd := &cobra.Command{
		Use:   "synth --shape SHAPE --type TYPE OUT.gguf",
		Short: "Write a model of random weights, to measure speed with",
		Long: fmt.Sprintf(`Write a model of random weights in the shape of a well-known model, with the
types that llama-quantize would give its tensors. Speed does not depend on what
weights say, so such a file serves to measure it. Only for mixtures of experts it
matters which are needed: their routers have favourites, as trained ones do.

Shapes: %s.
Types: %s.`, strings.Join(shapes, ", "), strings.Join(mixes, ", ")),
		Example: `  alphaos model synth --shape llama-3.2-1b --type Q4_K_M 1b.gguf`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the file to write, for example: alphaos model synth --shape llama-3.2-1b --type Q4_K_M 1b.gguf")
			}
			s := slices.IndexFunc(synth.Shapes, func(s synth.Shape) bool { return s.Name == shape })
			if s < 0 {
				return fmt.Errorf("there is no shape %q; there are %s", shape, strings.Join(shapes, ", "))
			}
			m := slices.IndexFunc(synth.Mixtures, func(m synth.Mixture) bool { return strings.EqualFold(m.Name, mix) })
			if m < 0 {
				return fmt.Errorf("there is no type %q; there are %s", mix, strings.Join(mixes, ", "))
			}
			return synthesize(args[0], synth.Shapes[s], synth.Mixtures[m], seed)
		},
	}
	cmd.Flags().StringVar(&shape, "shape", "llama-3.2-1b", "shape of the model")
	cmd.Flags().StringVar(&mix, "type", "Q4_K_M", "types of the weights")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the random numbers")
	return cmd
}

func synthesize(name string, s synth.Shape, m synth.Mixture, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = synth.Write(w, s, m, seed)
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(name)
		return fmt.Errorf("cannot write the model: %w", err)
	}
	return nil
}
