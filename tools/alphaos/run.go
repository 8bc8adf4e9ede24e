package main

// run: a model by its name, as people know it from ollama.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"alphaos/engine"
	"alphaos/llm/gguf"
)

// modelFolders are where models have names: here, in ./models, and in the folders that $ALPHAOS_MODELS lists.
func modelFolders() []string {
	return append([]string{".", "models"}, filepath.SplitList(os.Getenv("ALPHAOS_MODELS"))...)
}

const guideName = "guide"

func runCommand() *cobra.Command {
	var o chatOptions
	var check func() error
	cmd := &cobra.Command{
		Use:   "run MODEL [PROMPT]",
		Short: "Talk to a model by its name, or have it answer once",
		Long: `Talk to a model, or with a PROMPT have it answer once. What comes from a file or
a pipe stands before the PROMPT, or is the prompt. It answers as alphaos chat does.

MODEL is a GGUF file, or the name of one, without .gguf, in this folder, in
./models, or in a folder of $ALPHAOS_MODELS, a list as PATH is. The beginning of
a name will do if there is only one of that kind. "guide" is the small guide
model, which is part of this program.`,
		Example: `  alphaos run guide
  alphaos run llama-3.2-1b
  alphaos run ./llama-3.2-1b-q8.gguf 'Why is the sky blue?'
  alphaos run llama-3.2-1b 'What does this say?' <letter.txt
  ALPHAOS_MODELS=~/models alphaos run qwen3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name a model: " + strings.Join(append(modelNames(), guideName), ", "))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(modelNames(), guideName), cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			err := check()
			if err != nil {
				return err
			}
			if o.model, err = findModel(args[0]); err != nil {
				return err
			}
			o.prompt = strings.Join(args[1:], " ")
			if f, ok := cmd.InOrStdin().(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
				text, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return fmt.Errorf("cannot read the prompt: %w", err)
				}
				o.prompt = strings.TrimSpace(strings.TrimRight(string(text), "\r\n") + "\n" + o.prompt)
			} else if len(args) == 1 {
				return converse(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			if o.prompt == "" {
				return errors.New("there is nothing to answer: standard input is empty; add a PROMPT")
			}
			return complete(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	check = chatFlags(cmd, &o)
	return cmd
}

// namedModels lists the model files in a folder.
func namedModels(folder string) []engine.ModelFile {
	list, err := engine.DirModels(os.DirFS(folder), ".").List()
	if err != nil {
		return nil // who looks for a model there is told where it was looked for
	}
	return list
}

func modelNames() (names []string) {
	for _, folder := range modelFolders() {
		for _, m := range namedModels(folder) {
			names = append(names, gguf.PlainName(m.Name))
		}
	}
	return names
}

// findModel returns the file of a model; "" is the guide.
func findModel(name string) (string, error) {
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		return name, nil
	}
	if strings.EqualFold(name, guideName) || name == "alphaos-guide" {
		return "", nil
	}
	if strings.ContainsAny(name, `/\`) || engine.Listed(name) {
		return "", fmt.Errorf("there is no file %s", name)
	}
	var like []string
	for _, folder := range modelFolders() {
		for _, m := range namedModels(folder) {
			file, plain := filepath.Join(folder, m.Name), gguf.PlainName(m.Name)
			if strings.EqualFold(plain, name) {
				return file, nil
			}
			if len(plain) > len(name) && strings.EqualFold(plain[:len(name)], name) {
				like = append(like, file)
			}
		}
	}
	switch len(like) {
	case 1:
		return like[0], nil
	case 0:
		err := fmt.Errorf("no model is called %s: there is no such file, and none of that name in the folders %s", name, strings.Join(modelFolders(), ", "))
		if os.Getenv("ALPHAOS_MODELS") == "" {
			err = fmt.Errorf("%w (ALPHAOS_MODELS can name more)", err)
		}
		return "", meant(err, "", name, append(modelNames(), guideName))
	}
	return "", fmt.Errorf("more than one model is called %s: %s; type more of its name", name, strings.Join(like, ", "))
}
