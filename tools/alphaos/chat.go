package main

// chat: the assistant and engine of the machine, on the host. With -p the
// model answers once. Without it a conversation runs: on a terminal as on the
// machine's screen (screen.go), or in plain lines as on its serial line; when a
// program is at the other end, answers alone go to standard output and
// everything else to standard error.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/engine"
	"alphaos/knowledge"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
	"alphaos/models"
	"alphaos/store"
)

type chatOptions struct {
	model   string
	prompt  string
	system  string
	tokens  int
	raw     bool
	journal string
	folder  string // of documents
	context int
	plain   bool // one token at a time
	lines   bool // no screen
	llm     llm.Options
	set     map[string]string // parameters that were given, by name
}

func chatCommand() *cobra.Command {
	var o chatOptions
	var check func() error
	cmd := &cobra.Command{
		Use:   "chat [-m FILE] [-p PROMPT]",
		Short: "Talk to a model here, with the machine's own assistant and engine",
		Long: `Talk to a model here, with the machine's own assistant and engine; without -m to
the small guide model, which knows AlphaOS.

On a terminal a conversation begins that looks as it does on the machine. Type /
for its commands. Ctrl-C stops an answer, and a second one leaves. What was said
is in the terminal's own scrollback then. --lines has plain lines in place of a
screen, which suit a screen reader or a log. Colours are those that TERM and
COLORTERM promise; NO_COLOR=1 has none.

With --prompt the model answers once. When input comes from a file or a pipe,
each line is a message. In both cases answers go to standard output, each with a
line end behind it, and everything else to standard error.

With --documents answers come from what is in a folder, as far as it tells: /search,
/sources. A model for embeddings beside the model finds by meaning as well.

With --journal conversations are kept: /conversations lists them, /open N goes on
with one. What /export and /save write goes into the working directory.

A model without a chat template is a base model: it continues the text. --raw
treats any model as one.`,
		Example: `  alphaos chat
  alphaos chat -m model.gguf
  alphaos chat -m model.gguf --journal conversations.log
  alphaos chat -m model.gguf -p 'Why is the sky blue?' >answer.md
  git diff | alphaos chat -m model.gguf --system 'Review this change.' -p -
  alphaos chat -m stories260K-F32.gguf -p 'Once upon a time' --temp 0 -n 100`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("chat does not know what %q is: a question stands behind -p, a model behind -m", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := check(); err != nil {
				return err
			}
			if o.prompt == "-" {
				text, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return fmt.Errorf("cannot read the prompt: %w", err)
				}
				o.prompt = strings.TrimRight(string(text), "\r\n")
			}
			if cmd.Flags().Changed("prompt") {
				return complete(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return converse(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	check = chatFlags(cmd, &o)
	cmd.Flags().StringVarP(&o.model, "model", "m", "", "the model's GGUF file (default: the guide model)")
	cmd.Flags().StringVarP(&o.prompt, "prompt", "p", "", "answer this and end; -: what standard input holds")
	cmd.Flags().BoolVar(&o.plain, "no-draft", false, "with -p: never draft tokens from the context")
	return cmd
}

// chatFlags adds the flags that say how a model is talked to; check looks at what they were given.
func chatFlags(cmd *cobra.Command, o *chatOptions) (check func() error) {
	var temperature string
	var budget int
	var set []string
	f := cmd.Flags()
	f.StringVar(&o.system, "system", "", "what the assistant is told to be")
	f.IntVarP(&o.tokens, "tokens", "n", 0, "tokens of an answer at most (0: until it ends)")
	f.StringVar(&temperature, "temp", "", "temperature; 0: always the likeliest token (default: the model's own, or 0.8)")
	f.StringArrayVar(&set, "set", nil, "another parameter, as in --set top_k=20")
	completeWith(cmd, "set", func(text string) (list []string) {
		for _, name := range sample.Names() {
			list = append(list, name+"=")
		}
		return list
	})
	f.IntVarP(&o.llm.Threads, "threads", "t", 0, "threads to compute with (0: choose)")
	kernelFlag(cmd, &o.llm.Kernel)
	f.StringVar(&o.llm.Cache, "kv", "", "keys and values as f32, f16 or q8_0 (default: f32, or f16 where that takes more than 512 MiB)")
	completeWith(cmd, "kv", func(string) []string { return []string{"f32", "f16", "q8_0"} })
	f.IntVar(&budget, "budget", 0, "MiB of memory for the weights; what is beyond is streamed from the file (0: any)")
	f.IntVar(&o.context, "context", 0, "context length in tokens (0: the model's own)")
	f.BoolVar(&o.raw, "raw", false, "continue the text, without a chat template")
	f.StringVar(&o.journal, "journal", "", "keep the conversation in this file, and go on with the one it holds")
	f.StringVar(&o.folder, "documents", "", "find answers in the documents in this `folder`; its index is kept there")
	f.BoolVar(&o.lines, "lines", false, "plain lines, and no screen")
	o.set = map[string]string{}
	return func() error {
		if temperature != "" {
			set = append(set, "temperature="+temperature)
		}
		tried := sample.Default()
		for _, s := range set {
			name, value, ok := strings.Cut(s, "=")
			if !ok {
				return fmt.Errorf("--set wants NAME=VALUE, not %q", s)
			}
			if err := tried.Set(name, value); err != nil {
				return fmt.Errorf("%w (parameters are %s)", err, strings.Join(sample.Names(), ", "))
			}
			o.set[name] = value
		}
		if budget < 0 {
			return errors.New("--budget counts MiB and cannot be negative")
		}
		o.llm.Budget, o.llm.Requests = int64(budget)<<20, 4
		if processors := runtime.GOMAXPROCS(0); budget > 0 { // what reads must not wait for goroutines that compute, which keep a P for 10 ms
			o.llm.Processors = min(processors, runtime.NumCPU())
			runtime.GOMAXPROCS(processors + o.llm.Requests)
		}
		o.llm.Alloc, o.llm.Free = weightMemory(true)
		if o.tokens < 0 || o.context < 0 {
			return errors.New("-n and --context count tokens and cannot be negative")
		}
		return nil
	}
}

// complete answers o.prompt once.
func complete(ctx context.Context, o chatOptions, out, notes io.Writer) error {
	if o.journal != "" {
		return errors.New("--journal keeps conversations and does not go with -p")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	file, err := openModelOrGuide(o.model)
	if err != nil {
		return err
	}
	defer file.Close()
	if t := terminal(notes); t != nil {
		o.llm.Progress = func(done, total int64) {
			fmt.Fprintf(t, "\rloading %3d %%", 100*done/max(total, 1))
			if done >= total {
				fmt.Fprint(t, "\r             \r")
			}
		}
	}
	o.llm.Expect = func(e llm.Expectation) {
		fmt.Fprintf(notes, "note: %s of the weights are read from the file for each token, at %s a second: at most %.2f tokens/s\n",
			console.Bytes(e.Streamed), console.Bytes(int64(e.Rate)), e.TokensPerSecond())
	}
	m, err := file.engine(engine.Options{LLM: o.llm, Raw: o.raw, NoDraft: o.plain})
	if err != nil {
		return err
	}
	defer m.Close()
	params := engine.Params{Params: m.Sampling, Predict: -1}
	if o.tokens > 0 {
		params.Predict = o.tokens
	}
	for name, value := range o.set {
		if err := params.Set(name, value); err != nil {
			return err
		}
	}
	for _, s := range m.Warnings {
		fmt.Fprintln(notes, "note:", s)
	}
	ended := true // the last line has its end
	write := func(text string) error {
		if text != "" {
			ended = strings.HasSuffix(text, "\n")
		}
		_, err := io.WriteString(out, text)
		return err
	}
	if answer, ok := models.ByRule(m.Info, o.prompt); ok {
		if err := write(strings.TrimRight(answer, "\n") + "\n"); err != nil {
			return fmt.Errorf("cannot write the answer: %w", err)
		}
		return nil
	}
	if err := m.Begin(o.context); err != nil {
		return err
	}
	c := &engine.Conversation{System: o.system, Turns: []chat.Turn{{Role: "user", Text: o.prompt}}}
	_, size := m.Context()
	switch n := m.Tokens(c); {
	case n == 0:
		return errors.New("the prompt is empty and this model has no token to begin a text with; add -p TEXT")
	case n >= size:
		return fmt.Errorf("the prompt has %d tokens, too many for a context of %d; shorten it", n, size)
	}
	r := m.Answer(ctx, c, params, write)
	if r.End == engine.Unwritten {
		return fmt.Errorf("cannot write the answer: %w", r.Err)
	}
	if !ended {
		if err := write("\n"); err != nil {
			return fmt.Errorf("cannot write the answer: %w", err)
		}
	}
	if r.End == engine.Full {
		fmt.Fprintf(notes, "note: the context of %d tokens is full\n", size)
	}
	used, _ := m.Context()
	if r.Tokens > 0 || !r.Partial() {
		fmt.Fprintf(notes, "prompt: %d tokens, %.1f tokens/s; answer: %d tokens, %.1f tokens/s; context: %d of %d\n",
			r.Prompt, float64(r.Prompt)/r.Reading.Seconds(), r.Tokens, float64(r.Tokens)/r.Writing.Seconds(), used, size)
	}
	if r.Drafted > 0 {
		fmt.Fprintf(notes, "drafts: %d tokens, %d of them right\n", r.Drafted, r.Confirmed)
	}
	if r.End == engine.Stopped {
		return errors.New("interrupted")
	}
	return r.Err
}

// converse runs the assistant with whoever is at the other end: a person at a terminal, or a program.
func converse(ctx context.Context, o chatOptions, in io.Reader, out, errs io.Writer) (err error) {
	files, err := newHostModels(o.model)
	if err != nil {
		return err
	}
	if o.tokens > 0 {
		o.set["num_predict"] = strconv.Itoa(o.tokens)
	}
	if o.context > 0 {
		o.set["num_ctx"] = strconv.Itoa(o.context)
	}
	c := assistant.Config{
		Models: files,
		Engine: engine.Options{LLM: o.llm, Raw: o.raw},
		Start:  assistant.Start{Model: files.name, Params: o.set, System: o.system},
		Before: models.ByRule,
		Drive:  assistant.Drive{SaveDocument: saveDocument, SaveExport: saveExport},
	}
	if o.folder != "" {
		if info, err := os.Stat(o.folder); err != nil || !info.IsDir() {
			return fmt.Errorf("--documents wants a folder, and %s is none", o.folder)
		}
		s := folderShelf(o.folder)
		c.Drive.Documents = s.documents
		c.Drive.Retriever = &knowledge.Keeper{Documents: s.documents, Open: s.open, Save: s.save,
			Embedder: func(ctx context.Context) (knowledge.Embedder, string, func(), error) {
				e, err := engine.LoadEmbedder(ctx, files, o.llm, math.MaxInt64/2)
				if e == nil {
					return nil, "", nil, err
				}
				return e, e.Name, e.Close, nil
			}}
	}
	stdin, typed := in.(*os.File)
	typed = typed && term.IsTerminal(int(stdin.Fd()))
	shown := terminal(out)
	colour, screen := terminalColour(os.Getenv)
	screen = screen && hasScreen && typed && shown != nil && !o.lines
	if screen && os.Getenv(inScreen) == "" {
		return superviseScreen(stdin, shown, errs)
	}
	if o.journal != "" {
		medium, err := openJournal(o.journal)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, medium.Close()) }()
		if c.Drive.Store, c.Drive.Recovery, err = store.Open(medium, time.Now); err != nil {
			return fmt.Errorf("%s: %w", o.journal, err)
		}
	}

	switch {
	case screen:
		return converseOnScreen(ctx, c, stdin, shown, colour)
	case typed && shown != nil:
		return converseInLines(ctx, c, stdin, shown)
	}
	c.UI = &pipeUI{in: bufio.NewReader(in), answers: out, notes: errs, together: shown != nil && terminal(errs) != nil}
	_, err = assistant.Run(ctx, c)
	return err
}

// converseInLines is a conversation as on the machine's serial line.
func converseInLines(ctx context.Context, c assistant.Config, in, out *os.File) error {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("cannot use this terminal: %w", err)
	}
	defer term.Restore(int(in.Fd()), state)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	p := &person{}
	cols, _, err := term.GetSize(int(out.Fd()))
	if err != nil {
		cols = 0
	}
	// The console cleans what it shows.
	con, err := console.New(console.Options{Serial: out, Cols: cols, Keys: p.watch(console.DecodeKeys(ctx, in)), Complete: assistant.Complete})
	if err != nil {
		return err
	}
	defer con.Close()
	p.UI = assistant.Terminal(con)
	c.UI = p
	_, err = assistant.Run(ctx, c)
	return err
}

// hostModels is the models in the directory of the one that was named, and
// that one, whatever its name ends with; or the guide model, where none was.
type hostModels struct {
	engine.Models
	dir, name string
}

func newHostModels(file string) (*hostModels, error) {
	if file == "" {
		return &hostModels{engine.DirModels(models.Files, "."), "", models.Guide}, nil
	}
	m, err := openModel(file)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if err = llm.KindOf(m.tables).Talks(); err == nil {
		err = llm.Check(m.tables)
	}
	if err != nil { // and not another model that lies beside it
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	dir := filepath.Dir(file)
	return &hostModels{engine.DirModels(os.DirFS(dir), "."), dir, m.Name()}, nil
}

func (h *hostModels) List() ([]engine.ModelFile, error) {
	list, err := h.Models.List()
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.Name == h.name {
			return list, nil
		}
	}
	st, err := os.Stat(filepath.Join(h.dir, h.name))
	if err != nil {
		return nil, err
	}
	return append(list, engine.ModelFile{Name: h.name, Size: st.Size()}), nil
}

// pipeUI is the assistant's user interface when a program is at one end at
// least: lines in, answers out, and all else as notes. Whoever has both on one
// terminal sees a conversation.
type pipeUI struct {
	in             *bufio.Reader
	answers, notes io.Writer
	together       bool // both are seen in one terminal
	answering      bool
	inner          bool // what was written last did not end its line
}

func (u *pipeUI) Write(p []byte) (int, error) {
	if len(p) > 0 {
		u.inner = p[len(p)-1] != '\n'
	}
	if u.answering {
		return u.answers.Write(p)
	}
	return u.notes.Write(p)
}

// note ends what was said, with its line, and writes a note.
func (u *pipeUI) note(format string, args ...any) {
	if u.inner {
		io.WriteString(u, "\n")
	}
	u.answering = false
	fmt.Fprintf(u, format, args...)
}

func (u *pipeUI) ReadLine(prompt string) (string, error) {
	line, err := u.in.ReadString('\n')
	if err != nil && line == "" {
		u.note("")
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	u.note("%s%s\n", prompt, line) // as a terminal would show it
	return line, nil
}

// A program that answers a question has written the answer already.
func (u *pipeUI) Ask(question string) (string, error) { return u.ReadLine(question) }
func (u *pipeUI) Waiting() int                        { return 0 }
func (u *pipeUI) Drop()                               {}

func (u *pipeUI) BeginAnswer() {
	u.note("")
	if u.together {
		u.note(assistant.Speaker)
	}
	u.answering, u.inner = true, false
}

func (u *pipeUI) Quiet(text string)        { u.note("%s\n", text) }
func (u *pipeUI) Marked(pieces ...string)  { u.Quiet(strings.Join(pieces, "")) }
func (u *pipeUI) Place(mark, place string) { u.Quiet(mark + " " + place) }
func (u *pipeUI) Notice(text string)       { u.Quiet(text) }
func (u *pipeUI) Error(text string)        { u.Quiet(text) }

func (u *pipeUI) Progress(string, int64) engine.Progress { return noProgress{} }

func (u *pipeUI) StopContext(ctx context.Context) (context.Context, func()) {
	return signal.NotifyContext(ctx, os.Interrupt)
}

func (u *pipeUI) Clear()                {}
func (u *pipeUI) AddHistory(...string)  {}
func (u *pipeUI) DropHistory(...string) {}
func (u *pipeUI) Prefill(string) bool   { return false }

func (u *pipeUI) ReplayAnswer(text, note string) { u.Replay(assistant.Speaker, text, note) }

func (u *pipeUI) Replay(who, text, note string) {
	u.note("  %s: %s\n", strings.TrimRight(who, "> "), text)
	if note != "" {
		u.note("  %s\n", note)
	}
}

type noProgress struct{}

func (noProgress) Set(int64) {}
func (noProgress) Done()     {}

// journalFile is a file of fixed size that holds a journal.
type journalFile struct {
	*os.File
	size int64
}

func (f *journalFile) Size() int64 { return f.size }

const newJournalSize = 16 << 20

// openJournal opens the journal of that name, or makes one, for this process
// alone.
func openJournal(name string) (*journalFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	fail := func(err error) (*journalFile, error) {
		f.Close()
		return nil, fmt.Errorf("journal %s: %w", name, err)
	}
	if err := lock(f); err != nil {
		return fail(errors.New("another chat uses it; end that one or name another file"))
	}
	st, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	size := st.Size()
	if size == 0 {
		size = newJournalSize
		if err := f.Truncate(size); err != nil {
			return fail(err)
		}
	}
	return &journalFile{f, size}, nil
}
