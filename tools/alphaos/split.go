package main

// model split: cuts a model into parts, as llama-gguf-split does, for file
// systems that keep no file of 4 GiB, such as a drive's FAT32. Invariant: the
// parts together are the model, tensor by tensor, in the same order; they
// appear under their names only when all are complete.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"alphaos/llm/gguf"
)

// largestFile is what FAT32 can keep, less a little.
const largestFile = 4<<30 - 1<<20

func modelSplitCommand() *cobra.Command {
	var most int64
	cmd := &cobra.Command{
		Use:   "split IN.gguf",
		Short: "Cut a model into parts that FAT32 can keep",
		Long: `Cut a model into parts, named like the model with -00001-of-00003.gguf at the
end, beside it. A drive's FAT32 keeps no file of 4 GiB or more. Copy all parts to
the models folder: there they are one model again.`,
		Example: `  alphaos model split llama-3.1-8b-Q4_K_M.gguf`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one model, for example: alphaos model split model.gguf")
			}
			m, err := openModel(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			names, err := splitModel(m, strings.TrimSuffix(args[0], filepath.Ext(args[0])), most)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, name := range names {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
	cmd.Flags().Int64Var(&most, "max-bytes", largestFile, "of a part")
	return cmd
}

func splitModel(m *modelFile, prefix string, most int64) (names []string, err error) {
	if m.Parts() > 1 {
		return nil, errors.New("it is one part of a model that is split already")
	}
	parts, err := partition(m.tables, most)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
			if err != nil {
				os.Remove(f.Name())
			}
		}
	}()
	for i, tensors := range parts {
		f, err := os.CreateTemp(filepath.Dir(prefix), ".split-*")
		if err != nil {
			return nil, fmt.Errorf("cannot write a part: %w", err)
		}
		files = append(files, f)
		names = append(names, fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, i+1, len(parts)))
		if err := writePart(f, m, tensors, i, len(parts)); err != nil {
			return nil, fmt.Errorf("cannot write %s: %w", names[i], err)
		}
	}
	if err := m.Verify(); err != nil {
		return nil, err
	}
	for i, f := range files {
		if err := errors.Join(f.Chmod(0o644), f.Close(), os.Rename(f.Name(), names[i])); err != nil {
			return nil, fmt.Errorf("cannot write %s: %w", names[i], err)
		}
	}
	return names, nil
}

// partition hands the tensors to parts of at most so many bytes.
func partition(f *gguf.File, most int64) ([][]gguf.Tensor, error) {
	// The head of the first part is not larger than that of the model with
	// three more keys.
	head := f.DataOffset + 1<<10
	parts := [][]gguf.Tensor{nil}
	size := head
	for _, t := range f.Tensors {
		n := (t.Bytes + 31) &^ 31
		if head+n > most {
			return nil, fmt.Errorf("tensor %q and the metadata alone have more than %d bytes", t.Name, most)
		}
		if size+n > most {
			parts, size = append(parts, nil), head
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], t)
		size += n
	}
	if len(parts) == 1 {
		return nil, fmt.Errorf("it fits one file of %d bytes as it is", most)
	}
	return parts, nil
}

func writePart(f *os.File, m *modelFile, tensors []gguf.Tensor, part, parts int) error {
	var meta []gguf.KeyValue
	if part == 0 {
		for _, key := range m.tables.Keys() {
			if !strings.HasPrefix(key, "split.") {
				meta = append(meta, gguf.KeyValue{Key: key, Value: m.tables.Value(key)})
			}
		}
	}
	meta = append(meta, gguf.KeyValue{Key: "split.no", Value: uint16(part)}, gguf.KeyValue{Key: "split.count", Value: uint16(parts)},
		gguf.KeyValue{Key: "split.tensors.count", Value: int32(len(m.tables.Tensors))})
	to := slices.Clone(tensors)
	head, err := gguf.Head(meta, to)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for i := range tensors {
		if _, err := io.Copy(w, io.NewSectionReader(m, tensors[i].Offset, tensors[i].Bytes)); err != nil {
			return err
		}
		if _, err := w.Write(make([]byte, -tensors[i].Bytes&31)); err != nil {
			return err
		}
	}
	return w.Flush()
}
