package main

// model tokenizer, model train: make models of text.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"alphaos/llm/gguf"
	"alphaos/tools/train"
)

func modelTokenizerCommand() *cobra.Command {
	var corpus string
	var size int
	cmd := &cobra.Command{
		Use:   "tokenizer --corpus DIR OUT.gguf",
		Short: "Make a vocabulary from a corpus",
		Long: `Make a vocabulary from the training texts of a corpus and write it as a GGUF file
without weights: byte-pair encoding with scores and a token for every byte, as
the llama architecture has it, and control tokens for chat.`,
		Example: `  alphaos model corpus build/corpus
  alphaos model tokenizer --corpus build/corpus --vocab 2048 build/vocabulary.gguf`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the file to write, for example: alphaos model tokenizer --corpus build/corpus build/vocabulary.gguf")
			}
			c, err := train.ReadCorpus(corpus)
			if err != nil {
				return err
			}
			v, err := train.TrainVocabulary(c.Train, size)
			if err != nil {
				return err
			}
			head, err := gguf.Head(append([]gguf.KeyValue{{Key: "general.architecture", Value: "llama"}}, v.Metadata()...), nil)
			if err != nil {
				return err
			}
			if err := os.WriteFile(args[0], head, 0o666); err != nil {
				return fmt.Errorf("cannot write the vocabulary: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d tokens\n", args[0], len(v.Tokens))
			return nil
		},
	}
	cmd.Flags().StringVar(&corpus, "corpus", "build/corpus", "folder with train.jsonl and valid.jsonl")
	cmd.Flags().IntVar(&size, "vocab", train.Default().Vocabulary, "tokens")
	return cmd
}

func modelTrainCommand() *cobra.Command {
	var corpus, vocabulary string
	o := train.Guide()
	var run train.Run
	s := &o.Shape
	cmd := &cobra.Command{
		Use:   "train --corpus DIR OUT.gguf",
		Short: "Train a small model from scratch",
		Long: `Train a small model of the llama architecture from scratch on the texts of a
corpus, and write it in F32; alphaos model quantize makes it smaller.

The same corpus and options give the same model to the bit on processors with
AVX2 and FMA, whatever the number of threads. With --checkpoint, training that
was interrupted goes on where it was when the same command is given again.`,
		Example: `  alphaos model corpus build/corpus
  alphaos model train --corpus build/corpus --checkpoint build/guide.checkpoint build/guide.gguf
  alphaos model quantize build/guide.gguf build/guide-q8_0.gguf Q8_0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the file to write, for example: alphaos model train --corpus build/corpus build/guide.gguf")
			}
			run.Log = cmd.OutOrStdout()
			return trainModel(cmd.Context(), args[0], corpus, vocabulary, o, run)
		},
	}
	f := cmd.Flags()
	f.StringVar(&corpus, "corpus", "build/corpus", "folder with train.jsonl and valid.jsonl")
	f.StringVar(&vocabulary, "tokenizer", "", "file by alphaos model tokenizer (default: made from the corpus)")
	f.StringVar(&o.Name, "name", o.Name, "the model's name")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "of the random numbers")
	f.IntVar(&o.Steps, "steps", o.Steps, "steps of training")
	f.Float64Var(&o.Rate, "rate", o.Rate, "peak of the learning rate")
	f.IntVar(&o.Warmup, "warmup", o.Warmup, "steps in which the learning rate rises")
	f.IntVar(&o.Fall, "fall", o.Fall, "steps at the end in which it comes down")
	f.Float64Var(&o.Decay, "decay", o.Decay, "decay of weights")
	f.IntVar(&s.Vocabulary, "vocab", s.Vocabulary, "tokens of the vocabulary, where none is given")
	f.IntVar(&s.Context, "context", s.Context, "context length in tokens")
	f.IntVar(&s.Embedding, "embedding", s.Embedding, "embedding length")
	f.IntVar(&s.FeedForward, "feed-forward", s.FeedForward, "feed-forward length")
	f.IntVar(&s.Layers, "layers", s.Layers, "layers")
	f.IntVar(&s.Heads, "heads", s.Heads, "query heads")
	f.IntVar(&s.KVHeads, "kv-heads", s.KVHeads, "key and value heads")
	f.IntVar(&s.Head, "head", s.Head, "length of a head")
	f.IntVarP(&run.Threads, "threads", "t", runtime.GOMAXPROCS(0), "threads to compute with")
	f.StringVar(&run.Checkpoint, "checkpoint", "", "file to save to now and then, and to go on from")
	f.DurationVar(&run.Every, "every", 2*time.Minute, "time between two checkpoints")
	f.IntVar(&run.LogEvery, "log", 10, "steps between two lines of progress")
	f.IntVar(&run.CheckEvery, "check", 200, "steps between two validations")
	return cmd
}

func trainModel(ctx context.Context, name, corpus, vocabulary string, o train.Options, run train.Run) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := train.ReadCorpus(corpus)
	if err != nil {
		return err
	}
	var v *train.Vocabulary
	if vocabulary == "" {
		v, err = train.TrainVocabulary(c.Train, o.Shape.Vocabulary)
	} else {
		v, err = readVocabulary(vocabulary)
	}
	if err != nil {
		return err
	}
	m, err := train.Train(ctx, c, v, o, run)
	if errors.Is(err, context.Canceled) && run.Checkpoint != "" {
		return fmt.Errorf("interrupted; the same command goes on from %s", run.Checkpoint)
	}
	if m == nil {
		return err
	}
	return errors.Join(err, writeWhole(name, func(w io.Writer) error {
		_, err := m.WriteTo(w)
		return err
	}))
}

func readVocabulary(name string) (*train.Vocabulary, error) {
	return fromModel(name, func(m *modelFile) (*train.Vocabulary, error) { return train.ReadVocabulary(m.tables) })
}

// writeWhole writes a model file that appears under its name only when it is
// complete and on the disk.
func writeWhole(name string, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".model-*")
	if err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	err = w.Flush()
	for _, step := range []func() error{
		func() error { return f.Chmod(0o644) },
		f.Sync,
		f.Close,
		func() error { return os.Rename(f.Name(), name) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	return nil
}
