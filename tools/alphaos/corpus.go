package main

// model corpus: writes the text that the guide model is trained on; see tools/guide.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"alphaos/tools/guide"
)

func modelCorpusCommand() *cobra.Command {
	var o guide.Options
	cmd := &cobra.Command{
		Use:   "corpus OUTDIR",
		Short: "Write the text that the guide model is trained on",
		Long: `Write the text that the guide model is trained on: train.jsonl and valid.jsonl in
OUTDIR, one document on each line, which is either a dialogue
{"messages":[{"role":"user","content":"..."},{"role":"assistant","content":"..."}]}
or plain text {"text":"..."}. The same seed gives the same bytes.`,
		Example: `  alphaos model corpus build/corpus`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one directory to write to, for example: alphaos model corpus build/corpus")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCorpus(cmd.OutOrStdout(), args[0], o)
		},
	}
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "where the random choices begin")
	cmd.Flags().IntVar(&o.Size, "size", guide.DefaultSize, "bytes of text for training, about")
	return cmd
}

func writeCorpus(out io.Writer, dir string, o guide.Options) error {
	if o.Size <= 0 {
		return errors.New("--size counts bytes of text and must be positive")
	}
	train, valid, err := guide.Build(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("cannot make the directory: %w", err)
	}
	for _, set := range []struct {
		name string
		docs []guide.Document
	}{{"train.jsonl", train}, {"valid.jsonl", valid}} {
		name := filepath.Join(dir, set.name)
		f, err := os.Create(name)
		if err != nil {
			return fmt.Errorf("cannot write the corpus: %w", err)
		}
		if err := errors.Join(guide.Write(f, set.docs), f.Close()); err != nil {
			return fmt.Errorf("cannot write the corpus: %w", err)
		}
		fmt.Fprintf(out, "%s: %s\n", name, guide.Summary(set.docs))
	}
	return nil
}
