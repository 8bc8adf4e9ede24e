package main

// model: looks into GGUF files: what a model is, what tokens it makes of a
// text, and what it computes for given tokens. Nothing is changed; what the
// commands print is for people (info) or for programs (tokenize, logits).

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"alphaos/engine"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
	"alphaos/models"
)

// modelFile is an opened model, of one file or several, and its tables.
type modelFile struct {
	*llm.File
	tables *gguf.File
}

func openModel(name string) (*modelFile, error) {
	if name == "" {
		return nil, errors.New("no model was named; add -m FILE.gguf")
	}
	return openModelIn(os.DirFS(filepath.Dir(name)), filepath.Base(name))
}

// openModelOrGuide opens the guide model where none is named.
func openModelOrGuide(name string) (*modelFile, error) {
	if name == "" {
		return openModelIn(models.Files, models.Guide)
	}
	return openModel(name)
}

func openModelIn(fsys fs.FS, name string) (*modelFile, error) {
	f, err := llm.Open(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("cannot open the model: %w", err)
	}
	m := &modelFile{File: f}
	if m.tables, err = gguf.Read(f, m.Size()); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// load loads the opened model and checks it.
func (m *modelFile) load(o llm.Options) (*llm.Model, error) {
	if o.Alloc == nil {
		o.Alloc, o.Free = weightMemory(true)
	}
	model, err := llm.Load(m, m.Size(), o)
	if err != nil {
		return nil, err
	}
	if err := m.Verify(); err != nil {
		model.Close()
		return nil, err
	}
	if s := m.Note(); s != "" {
		fmt.Fprintln(os.Stderr, "note:", s)
	}
	return model, nil
}

// engine loads the opened model to answer.
func (m *modelFile) engine(o engine.Options) (*engine.Model, error) {
	if o.LLM.Alloc == nil {
		o.LLM.Alloc, o.LLM.Free = weightMemory(true)
	}
	o.LLM.Tables = m.tables
	model, err := engine.Load(m, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name(), err)
	}
	return model, nil
}

func modelInfoCommand() *cobra.Command {
	var metadata, tensors bool
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Tell what a model is",
		Example: `  alphaos model info stories260K-Q8_0.gguf
  alphaos model info --metadata --tensors stories260K-Q8_0.gguf`,
		Args: oneModel,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := openModel(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			return modelInfo(cmd.OutOrStdout(), args[0], m, metadata, tensors)
		},
	}
	cmd.Flags().BoolVar(&metadata, "metadata", false, "list all metadata")
	cmd.Flags().BoolVar(&tensors, "tensors", false, "list all tensors")
	return cmd
}

func oneModel(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one model, for example: alphaos model info model.gguf")
	}
	return nil
}

func modelInfo(out io.Writer, name string, m *modelFile, metadata, tensors bool) error {
	f := m.tables
	arch, _ := f.String("general.architecture")
	var elements int64
	for i := range f.Tensors {
		elements += f.Tensors[i].Elements()
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(title string, value any) { fmt.Fprintf(w, "%s\t%v\n", title, value) }
	number := func(title, key string) {
		if v, ok := f.Uint(arch + "." + key); ok {
			line(title, v)
		} else if layers := slices.Compact(slices.Clone(f.Ints(arch + "." + key))); len(layers) == 1 {
			line(title, layers[0])
		} else if len(layers) > 1 {
			line(title, fmt.Sprintf("%d to %d, by layer", slices.Min(layers), slices.Max(layers)))
		}
	}
	line("file", filepath.Base(name))
	if s, ok := f.String("general.name"); ok && s != "" {
		line("name", printable(s))
	}
	line("format", fmt.Sprintf("GGUF version %d, %d bytes", f.Version, m.Size()))
	line("architecture", printable(arch))
	line("parameters", count(elements))
	line("tensors", fmt.Sprintf("%d (%s)", len(f.Tensors), f.Summary()))
	number("context length", "context_length")
	number("embedding length", "embedding_length")
	number("layers", "block_count")
	number("heads", "attention.head_count")
	number("key-value heads", "attention.head_count_kv")
	number("feed-forward length", "feed_forward_length")
	if v, ok := f.Float(arch + ".rope.freq_base"); ok {
		line("rope frequency base", v)
	}
	var warnings []string
	if tok, err := tokenizer.New(f); err != nil {
		warnings = append(warnings, err.Error())
	} else {
		kind, _ := f.String("tokenizer.ggml.model")
		if pre, ok := f.String("tokenizer.ggml.pre"); ok && kind == "gpt2" {
			kind += ", pre-tokenizer " + printable(pre)
		}
		line("vocabulary", fmt.Sprintf("%d tokens (%s)", tok.Size(), kind))
		line("begins with", special(tok, tok.BOS()))
		line("ends with", special(tok, tok.EOS()))
		warnings = append(warnings, tok.Warnings()...)
	}
	template := chat.Detect(f)
	if template.Plain() {
		line("chat template", "none: continues text")
	} else {
		line("chat template", template.Name())
	}
	if s := template.Warning(); s != "" {
		warnings = append(warnings, s)
	}
	if s := m.Note(); s != "" {
		warnings = append(warnings, s)
	}
	for _, s := range warnings {
		line("note", s)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if metadata {
		fmt.Fprintln(out, "\nmetadata:")
		for _, key := range f.Keys() {
			line("  "+printable(key), brief(f.Value(key)))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if tensors {
		fmt.Fprintln(out, "\ntensors:")
		for i := range f.Tensors {
			t := &f.Tensors[i]
			fmt.Fprintf(w, "  %s\t%v\t%v\t%d bytes at %d\n", printable(t.Name), t.Type, t.Dims, t.Bytes, t.Offset)
		}
	}
	return w.Flush()
}

// printable makes text from a file safe for a terminal.
func printable(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func special(tok *tokenizer.Tokenizer, id int32) string {
	if id < 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s (%d)", printable(tok.Text(id)), id)
}

// count writes a number of parameters as people do: 260 thousand, 1.24 billion.
func count(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "billion"}, {1e6, "million"}, {1e3, "thousand"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.3g %s (%d)", float64(n)/float64(unit.size), unit.name, n)
		}
	}
	return strconv.FormatInt(n, 10)
}

// brief writes a metadata value on one line.
func brief(v any) string {
	const most = 72
	var s string
	switch v := v.(type) {
	case string:
		s = printable(v)
	case []string:
		s = fmt.Sprintf("%d texts: %q", len(v), v[:min(len(v), 12)])
	case []any:
		s = fmt.Sprintf("%d arrays: %v", len(v), v[:min(len(v), 12)])
		s = printable(s)
	default:
		s = fmt.Sprint(v)
		if strings.HasPrefix(s, "[") {
			s = fmt.Sprintf("%d numbers: %s", strings.Count(s, " ")+1, s)
		}
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return s
}

// fromModel opens a model for read, which makes something of it.
func fromModel[T any](name string, read func(*modelFile) (T, error)) (v T, err error) {
	m, err := openModel(name)
	if err != nil {
		return v, err
	}
	defer m.Close()
	if v, err = read(m); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

func modelTokenizeCommand() *cobra.Command {
	var model string
	var noBOS, special bool
	cmd := &cobra.Command{
		Use:   "tokenize -m FILE < TEXT",
		Short: "Print the token ids of a text as a JSON array",
		Long: `Print the token ids of the text on standard input as a JSON array, on one line.

The text is taken as it is, with the line break at its end if there is one. The
token that begins a text is added if the model wants it. As in a conversation,
the text never becomes a control token or a marker of the model's chat template,
unless --special is given.`,
		Example: `  printf 'Once upon a time' | alphaos model tokenize -m model.gguf
  alphaos model tokenize -m model.gguf --no-bos < story.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tok, err := fromModel(model, func(m *modelFile) (*tokenizer.Tokenizer, error) {
				tok, err := tokenizer.New(m.tables)
				if err != nil {
					return nil, err
				}
				for _, s := range tok.Warnings() {
					fmt.Fprintln(cmd.ErrOrStderr(), "note:", s)
				}
				return chat.Detect(m.tables).Vocabulary(tok), nil
			})
			if err != nil {
				return err
			}
			text, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("cannot read the text: %w", err)
			}
			ids := tok.Encode(string(text), tokenizer.EncodeOptions{AddBOS: !noBOS, AddEOS: !noBOS, ParseSpecial: special})
			if ids == nil {
				ids = []int32{}
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(ids)
		},
	}
	cmd.Flags().StringVarP(&model, "model", "m", "", "the model's GGUF file")
	cmd.Flags().BoolVar(&noBOS, "no-bos", false, "do not add the tokens that begin and end a text")
	cmd.Flags().BoolVar(&special, "special", false, "find control tokens and markers, such as <s>, by their text")
	return cmd
}

func modelLogitsCommand() *cobra.Command {
	var model, ids, out, kernel string
	var threads int
	cmd := &cobra.Command{
		Use:   "logits -m FILE --ids 1,2,3 -o OUT.f32",
		Short: "Compute the logits that follow some tokens",
		Long: `Compute the logits that follow some tokens and write those of the last position
to a file: one float32, little endian, for each token of the vocabulary.`,
		Example: `  alphaos model logits -m model.gguf --ids 1,403,407,261,378 -o logits.f32`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, err := parseIDs(ids)
			if err != nil {
				return err
			}
			if out == "" {
				return errors.New("no file to write to was named; add -o OUT.f32")
			}
			m, err := openModel(model)
			if err != nil {
				return err
			}
			defer m.Close()
			logits, err := computeLogits(cmd.Context(), m, llm.Options{Threads: threads, Kernel: kernel}, tokens)
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			data := make([]byte, 0, 4*len(logits))
			for _, l := range logits {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(l))
			}
			if err := os.WriteFile(out, data, 0o666); err != nil {
				return fmt.Errorf("cannot write the logits: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&model, "model", "m", "", "the model's GGUF file")
	cmd.Flags().StringVar(&ids, "ids", "", "token ids, separated by commas")
	cmd.Flags().StringVarP(&out, "out", "o", "", "the file to write")
	cmd.Flags().IntVarP(&threads, "threads", "t", 0, "threads to compute with (0: choose)")
	kernelFlag(cmd, &kernel)
	return cmd
}

// kernelFlag lets people choose how a command computes, once for all by the environment.
func kernelFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "kernel", os.Getenv("ALPHAOS_KERNEL"), "compute kernel, also $ALPHAOS_KERNEL (default: measure and choose)")
	completeWith(cmd, "kernel", func(string) []string { return kernel.Names() })
}

func parseIDs(s string) ([]int32, error) {
	fields := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", []\n\t", r) })
	if len(fields) == 0 {
		return nil, errors.New("no token ids were given; add --ids 1,2,3 (alphaos model tokenize prints those of a text)")
	}
	ids := make([]int32, len(fields))
	for i, field := range fields {
		v, err := strconv.ParseInt(field, 10, 32)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("--ids: %q is not a token id", field)
		}
		ids[i] = int32(v)
	}
	return ids, nil
}

func computeLogits(ctx context.Context, m *modelFile, o llm.Options, ids []int32) ([]float32, error) {
	model, err := m.load(o)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	if n := model.Tokenizer().Size(); slices.Max(ids) >= int32(n) {
		return nil, fmt.Errorf("token id %d is not in the vocabulary of %d tokens", slices.Max(ids), n)
	}
	s, err := model.NewSession(0)
	if err != nil {
		return nil, err
	}
	if len(ids) > s.Cap() {
		return nil, fmt.Errorf("%d tokens do not fit the context of %d", len(ids), s.Cap())
	}
	logits, err := s.Eval(ctx, ids)
	return slices.Clone(logits), err // they are the session's
}
