package main

// model embed: the embedding of each line of text, for programs. Output is in
// the order of input and is flushed before more of that is waited for, so that
// another program can ask and wait for the answer.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"alphaos/llm"
)

func modelEmbedCommand() *cobra.Command {
	var model, kernel string
	var threads int
	cmd := &cobra.Command{
		Use:   "embed -m FILE < LINES",
		Short: "Print the embedding of each line of text as a JSON array",
		Long: `Print the embedding of each line of the text on standard input: a JSON array of
numbers on a line, scaled to length 1, so that the similarity of two texts is
the sum of the products of their numbers.

The model must be one for embeddings, such as all-MiniLM-L6-v2. Of lines that
are longer than it can take, the beginning counts.`,
		Example: `  printf 'hello\nworld\n' | alphaos model embed -m all-MiniLM-L6-v2-Q8_0.gguf`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openModel(model)
			if err != nil {
				return err
			}
			defer m.Close()
			loaded, err := m.load(llm.Options{Threads: threads, Kernel: kernel})
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			defer loaded.Close()
			in, out := bufio.NewReaderSize(cmd.InOrStdin(), 1<<16), json.NewEncoder(cmd.OutOrStdout())
			for {
				lines, err := readLines(in)
				vectors, e := loaded.EmbedTexts(cmd.Context(), lines)
				if e != nil {
					return e
				}
				for _, v := range vectors {
					if e := out.Encode(v); e != nil {
						return e
					}
				}
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("cannot read the text: %w", err)
				}
			}
		},
	}
	cmd.Flags().StringVarP(&model, "model", "m", "", "the model's GGUF file")
	cmd.Flags().IntVarP(&threads, "threads", "t", 0, "threads to compute with (0: choose)")
	kernelFlag(cmd, &kernel)
	return cmd
}

// readLines reads a line, and as many after it as have come already. Those that
// came before an error are returned with it.
func readLines(in *bufio.Reader) (lines []string, err error) {
	for len(lines) < 256 {
		line, err := in.ReadString('\n')
		if line != "" {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
		if err != nil {
			return lines, err
		}
		if ready, _ := in.Peek(in.Buffered()); bytes.IndexByte(ready, '\n') < 0 {
			break
		}
	}
	return lines, nil
}
