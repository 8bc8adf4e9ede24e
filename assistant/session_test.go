package assistant

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/knowledge"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/draft"
	"alphaos/llm/gguf"
	"alphaos/llm/sample"
	"alphaos/models"
	"alphaos/models/rules"
	"alphaos/store"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what happens now")

// The sessions in testdata/*.txt are transcripts: what a person types behind
// the prompts, and everything that is shown to them. "· " begins a dim line,
// "! " a notice, "!! " an error, "| " what was said before and is shown again. Lines that begin with "# " direct the world
// around the session:
//
//	# models NAME...      the models on the drive; what they are, the beginning of
//	                      the name tells: see modelFile
//	# model NAME fails    while it is read
//	# guide               the guide is built in
//	# keyboard NAME       what the computer knows of the keyboard: us, if nothing
//	# asked NAME          the keyboard that is asked for at the starts from now on; -: none
//	# plain               models are base models
//	# context N           tokens of the models' context
//	# journal N           bytes of the journal; 0: none
//	# boot                the machine is switched on (again)
//	# sums                beside each model lies its checksum
//	# memory changes      where weights are, until they are loaded again
//	# file NAME changes   on the drive
//	# journal changes     in its second copy
//	# stop at once        the stop key is pressed when the next long step begins
//	# stop after N        the stop key is pressed at the N-th piece of the next answer
//	# cut after N         the plug is pulled there
//	# cut                 the plug is pulled now
//	# drive fails/works   writes to the journal
//	# drive fails after N at the N-th piece of the next answer
//	# drive returns after N the N-th time that it is looked whether it is there
//	# drive never returns   the person gives up waiting
//	# drive out/in          of the machine: its models can't be read either
//	# document NAME TEXT  is among the documents on the drive; \n in TEXT is a new line
//	# document NAME gone
//	# library             the documents are searched
//	# index damaged
//	# files               shows what was written as files
//	# ^C                  Ctrl-C at the prompt
//	# N lines wait        behind the next one that is typed
func TestSessions(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no sessions in testdata")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(b))
			for _, line := range strings.Split(got, "\n") {
				if technical.MatchString(line) && !strings.HasPrefix(line, "#") {
					t.Errorf("a person reads %q", line)
				}
			}
			if got == string(b) {
				return
			}
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			w, g := strings.Split(string(b), "\n"), strings.Split(got, "\n")
			for i := range max(len(w), len(g)) {
				if i >= len(w) || i >= len(g) || w[i] != g[i] {
					t.Fatalf("line %d differs; want\n%s\ngot\n%s", i+1,
						strings.Join(w[min(i, len(w)):min(i+6, len(w))], "\n"), strings.Join(g[min(i, len(g)):min(i+6, len(g))], "\n"))
				}
			}
		})
	}
}

// technical is what belongs into a log.
var technical = regexp.MustCompile(`EFI_|PciRoot|blocks at|\.log\b|: (reading|writing) `)

// world is what outlives a boot.
type world struct {
	machine Machine
	config  func(*Config) context.Context // changes the configuration; nil: it is as usual
	t       testing.TB
	out     strings.Builder
	lines   []string // of the script that are still to come
	models  fstest.MapFS
	wrap    func(engine.Models) engine.Models // the models as the assistant sees them; nil: as they are
	guide   bool                              // is built in
	keys    string                            // the layout that the computer knows; "": another system reads the keys
	asked   string                            // for at the start
	failing string                            // model
	changed bool                              // where weights are in memory
	plain   bool
	context int
	medium  *memory
	state   *memory      // nil: there is no room for it on the drive
	files   fstest.MapFS // that were written, and the documents
	library bool         // the documents are searched
	index   []byte       // of them, on the drive
	prompt  func(string) // is told what is in the context when an answer begins

	mu  sync.Mutex
	now time.Time

	stopAtOnce          bool
	stopAfter, cutAfter int
	failAfter           int
	away                bool          // the drive
	waiting             int           // lines behind the next one
	dropped             []string      // lines that the Up key does not bring back any more
	returns             int           // see "# drive returns"; 0: nobody looks, <0: never
	think               time.Duration // before a line is typed
	cancel              func()        // stops the answer
	ids                 []int         // tokens given to each Eval
	prompted            atomic.Int64  // turns that were made into tokens, each time counted
}

// tick lets time pass and returns it.
func (w *world) tick(d time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	return w.now
}

// setTimezone is the machine's, of whom nobody knows where it is when it is switched on.
func (w *world) setTimezone(text string) error {
	t, err := time.Parse("-07:00", text)
	if text == "" {
		t, err = time.Time{}, nil
	}
	if err != nil {
		return errors.New("is not a time zone")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.In(t.Location())
	return nil
}

type powerCut struct{}

var prompts = []string{Prompt, "Which model? (number or name; Enter looks again) ", "Shut down anyway? (yes or no) ",
	"Which one? (number; Enter: none) ", "Delete it? (yes or no) ", "Forget it? (yes or no) ", "Replace it? (yes or no) "}

func play(t *testing.T, script string) string {
	w := &world{t: t, context: 400, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	// Keep what directs and what is typed; the rest is what is expected.
	for _, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		keep := strings.HasPrefix(line, "#")
		for _, p := range prompts {
			keep = keep || strings.HasPrefix(line, p)
		}
		if keep {
			w.lines = append(w.lines, line)
		}
	}
	for len(w.lines) > 0 {
		line := w.lines[0]
		w.lines = w.lines[1:]
		if !strings.HasPrefix(line, "#") {
			// Typed after the end of a session: this shows as a difference.
			continue
		}
		w.out.WriteString(line + "\n")
		if line == "# boot" {
			w.boot()
		} else {
			w.direct(line)
		}
	}
	return w.out.String()
}

// modelFile is the head of a GGUF file of the kind that its name begins with.
func modelFile(name string) *fstest.MapFile {
	size := 1234
	arch, template, kind, title := "llama", "{{ '<|im_start|>' }}", "model", ""
	switch strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '.' })[0] {
	case "bad": // no GGUF file
		return &fstest.MapFile{Data: make([]byte, size)}
	case "huge": // larger than memory
		size = 4321
	case "cut":
		size = 200
	case "base":
		template = ""
	case "mmproj":
		arch, kind = "clip", "mmproj"
	case "lora":
		kind = "adapter"
	case "embed":
		arch = "nomic-bert"
	case "new":
		arch = "newest"
	case "guide":
		title = rules.Guide + " 2"
	}
	tables := []gguf.KeyValue{
		{Key: "general.architecture", Value: arch}, {Key: "general.type", Value: kind}, {Key: "tokenizer.chat_template", Value: template},
	}
	if title != "" {
		tables = append(tables, gguf.KeyValue{Key: "general.name", Value: title})
	}
	if size > 1000 {
		tables = append(tables, gguf.KeyValue{Key: "test.file", Value: name}) // for paces
	}
	head, err := gguf.Head(tables, []gguf.Tensor{{Name: "token_embd.weight", Type: gguf.F32, Dims: []uint64{8, 8}}})
	if err != nil {
		panic(err)
	}
	return &fstest.MapFile{Data: append(head, make([]byte, size)...)[:size]}
}

// paces are how many tokens a second models give, by their files' names.
type paces map[string]float64

func (p paces) Expect(f *gguf.File, _ int64, _ float64) (llm.Forecast, error) {
	name, _ := f.String("test.file")
	return llm.Forecast{Tokens: p[name]}, nil
}

// Check is llm.Check for files without weights.
func (w *world) Check(f *gguf.File) error {
	if arch, _ := f.String("general.architecture"); arch != "llama" {
		return fmt.Errorf("models of architecture %q are not supported; supported are llama", arch)
	}
	return nil
}

func (w *world) direct(line string) {
	f := strings.Fields(line)
	n := 0
	if len(f) > 2 {
		n, _ = strconv.Atoi(f[len(f)-1])
	}
	switch {
	case len(f) < 2 || strings.HasPrefix(line, "##"):
	case f[len(f)-1] == "wait":
		w.waiting, _ = strconv.Atoi(f[1])
	case f[1] == "library":
		w.library = true
	case f[1] == "index":
		w.index[len(w.index)/2] ^= 1
	case f[1] == "document" && len(f) == 4 && f[3] == "gone":
		delete(w.files, "documents/"+f[2])
	case f[1] == "document":
		w.file("documents/"+f[2], strings.ReplaceAll(strings.Join(f[3:], " "), `\n`, "\n"))
	case f[1] == "files":
		for _, name := range slices.Sorted(maps.Keys(w.files)) {
			fmt.Fprintf(&w.out, "[%s]\n", name)
			for line := range strings.Lines(string(w.files[name].Data)) {
				w.out.WriteString("  " + strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	case f[1] == "models":
		clear(w.models)
		for _, name := range f[2:] {
			w.models["models/"+name] = modelFile(name)
		}
	case f[1] == "model":
		w.failing = f[2]
	case f[1] == "guide":
		w.guide = true
	case f[1] == "keyboard":
		w.keys = f[2]
	case f[1] == "asked":
		if w.asked = f[2]; w.asked == "-" {
			w.asked = ""
		}
	case f[1] == "plain":
		w.plain = true
	case f[1] == "context":
		w.context = n
	case f[1] == "journal" && f[2] == "changes":
		w.medium.data[len(w.medium.data)/2+4096+20] ^= 1
	case f[1] == "journal":
		w.medium = nil
		if n > 0 {
			w.medium = &memory{data: make([]byte, n)}
		}
	case f[1] == "sums":
		for name, file := range maps.Clone(w.models) {
			sum := sha256.Sum256(file.Data)
			w.models[llm.ChecksumPath(name)] = &fstest.MapFile{Data: llm.ChecksumLine(sum[:], path.Base(name))}
		}
	case f[1] == "memory":
		w.changed = true
	case f[1] == "file":
		data := w.models["models/"+f[2]].Data
		data[len(data)-1] ^= 1
	case f[1] == "stop" && f[2] == "at":
		w.stopAtOnce = true
	case f[1] == "stop":
		w.stopAfter = n
	case f[1] == "cut" && len(f) == 2:
		panic(powerCut{})
	case f[1] == "cut":
		w.cutAfter = n
	case f[1] == "drive" && f[2] == "returns":
		w.returns = n
	case f[1] == "drive" && f[2] == "never":
		w.returns = -1
	case f[1] == "drive" && (f[2] == "out" || f[2] == "in"):
		w.away = f[2] == "out"
		w.medium.fails = w.away
	case f[1] == "drive" && n > 0:
		w.failAfter = n
	case f[1] == "drive":
		w.medium.fails = f[2] == "fails"
	default:
		w.t.Fatalf("unknown direction %q", line)
	}
}

// file writes a file on the drive.
func (w *world) file(name, content string) {
	if w.files == nil {
		w.files = fstest.MapFS{}
	}
	w.files[name] = &fstest.MapFile{Data: []byte(content), ModTime: w.tick(0)}
}

func (w *world) saveDocument(now time.Time, name string, content []byte, replace bool) (string, error) {
	name = "documents/" + name
	if w.away {
		return "", fs.ErrRemoved
	}
	if w.files[name] != nil && !replace {
		return "", iofs.ErrExist
	}
	w.file(name, string(content))
	return "/" + name, nil
}

func (w *world) saveExport(now time.Time, name string, content []byte) (string, error) {
	if w.away {
		return "", fs.ErrRemoved
	}
	w.file("backup/"+name, string(content))
	return "/backup/" + name, nil
}

// documents are the files among the documents.
func (w *world) documents() iofs.FS {
	if w.files == nil {
		w.files = fstest.MapFS{}
	}
	dir, err := iofs.Sub(w.files, "documents")
	if err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func (w *world) boot() {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(powerCut); !ok {
				panic(r)
			}
			w.cutAfter, w.stopAfter = 0, 0
			if s := w.out.String(); !strings.HasSuffix(s, "\n") {
				w.out.WriteString("\n")
			}
		}
	}()
	w.tick(time.Hour)
	w.setTimezone("")
	c := Config{UI: ui{w}, Models: engine.DirModels(stick{w}, "/models"), Now: func() time.Time { return w.tick(0) },
		Start: Start{Params: map[string]string{"temperature": "0", "repeat_penalty": "1"}}, Before: models.ByRule, Machine: w.machine, SetTimezone: w.setTimezone, loader: w}
	if w.wrap != nil {
		c.Models = w.wrap(c.Models)
	}
	if w.guide {
		c.Models = engine.WithBuiltIn(c.Models, engine.DirModels(fstest.MapFS{"guide.gguf": modelFile("guide.gguf")}, "."))
	}
	if w.keys != "" {
		l, err := keyboard.Find(cmp.Or(w.asked, w.keys))
		if err != nil {
			w.t.Fatal(err)
		}
		c.Keys, c.Start.Keyboard = &keyboard.Keyboard{}, w.asked
		c.Keys.Use(l)
	}
	if w.medium != nil {
		s, rec, err := store.Open(w.medium, c.Now)
		if err != nil {
			c.Drive.NoStore = err
		}
		c.Drive.Store, c.Drive.Recovery = s, rec
	}
	if w.medium != nil {
		c.Drive.Documents, c.Drive.SaveDocument, c.Drive.SaveExport = w.documents(), w.saveDocument, w.saveExport
		c.Drive.Close = func() error { return nil }
	}
	if w.library {
		c.Drive.Retriever = w.keeper()
	}
	if w.state != nil {
		c.Drive.State = w.state
	}
	if w.returns != 0 {
		c.Drive.Present = w.look
	}
	ctx := context.Background()
	if w.config != nil {
		ctx = w.config(&c)
	}
	out, err := Run(ctx, c)
	fmt.Fprintf(&w.out, "# ends: %v", map[Outcome]string{Shutdown: "shutdown", Restart: "restart", EOF: "end of input", Anew: "anew"}[out])
	if err != nil {
		fmt.Fprintf(&w.out, ", %v", err)
	}
	w.out.WriteString("\n")
	for len(w.lines) > 0 && strings.HasPrefix(w.lines[0], "# ends") {
		w.lines = w.lines[1:]
	}
}

// keeper is the library of the documents.
func (w *world) keeper() *knowledge.Keeper {
	return &knowledge.Keeper{Documents: w.documents(),
		Open: func() (iofs.File, error) {
			if w.index == nil {
				return nil, iofs.ErrNotExist
			}
			return fstest.MapFS{"index": {Data: w.index}}.Open("index")
		},
		Save: func(write func(io.Writer) error) error {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				return err
			}
			w.index = b.Bytes()
			return nil
		}}
}

// look tells whether the drive is there.
func (w *world) look() error {
	switch w.returns--; {
	case w.returns < 0:
		w.cancel()
	case w.returns == 0:
		w.medium.fails, w.away = false, false
	}
	if w.medium.fails {
		return fmt.Errorf("the drive was unplugged: %w", fs.ErrRemoved)
	}
	return nil
}

// stick has the files of a drive, whose folders are remembered.
type stick struct{ *world }

func (s stick) Open(name string) (iofs.File, error) {
	if s.away && path.Ext(name) != "" {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: fmt.Errorf("reading 8 blocks at 99 of PciRoot(0x0)/USB(0x2,0x0): EFI_MEDIA_CHANGED: %w", fs.ErrRemoved)}
	}
	return s.models.Open(name)
}

type memory struct {
	data                []byte
	fails, failsReading bool
}

func (m *memory) Size() int64 { return int64(len(m.data)) }
func (m *memory) Sync() error { return nil }
func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	if m.failsReading {
		return 0, fmt.Errorf("reading 8 blocks at 14078 of PciRoot(0x0)/USB(0x2,0x0): EFI_MEDIA_CHANGED: %w", fs.ErrRemoved)
	}
	return copy(p, m.data[at:]), nil
}
func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if m.fails {
		return 0, fmt.Errorf("writing 8 blocks at 14078 of PciRoot(0x0)/USB(0x2,0x0): EFI_MEDIA_CHANGED: %w", fs.ErrRemoved)
	}
	return copy(m.data[at:], p), nil
}

// ui writes the transcript.
type ui struct{ *world }

func (u ui) Write(p []byte) (int, error) {
	if u.cutAfter > 0 {
		if u.cutAfter--; u.cutAfter == 0 {
			panic(powerCut{})
		}
	}
	if u.failAfter > 0 {
		if u.failAfter--; u.failAfter == 0 {
			u.medium.fails = true
		}
	}
	if u.stopAfter > 0 {
		if u.stopAfter--; u.stopAfter == 0 {
			u.cancel()
		}
	}
	return u.out.Write(p)
}

func (u ui) BeginAnswer() { u.out.WriteString(Speaker) }

func (u ui) line(s string) {
	if t := u.out.String(); !strings.HasSuffix(t, "\n") {
		u.out.WriteString("\n")
	}
	u.out.WriteString(s + "\n")
}

func (u ui) Quiet(s string) { u.line("· " + s) }
func (u ui) Marked(pieces ...string) {
	for i := 1; i < len(pieces); i += 2 {
		pieces[i] = "<" + pieces[i] + ">"
	}
	u.Quiet(strings.Join(pieces, ""))
}
func (u ui) Place(mark, place string) { u.Quiet("<" + mark + "> " + place) }
func (u ui) Notice(s string)          { u.line("! " + s) }
func (u ui) Error(s string)           { u.line("!! " + s) }
func (u ui) Clear()                   { u.line("[clear]") }

func (u ui) AddHistory(...string) {}

func (u ui) DropHistory(lines ...string) { u.dropped = append(u.dropped, lines...) }

// Prefill shows what the next line begins with; the person deletes it.
func (u ui) Prefill(text string) bool {
	u.line("[typed: " + text + "]")
	return true
}

func (u ui) ReplayAnswer(text, note string) { u.Replay(Speaker, text, note) }

func (u ui) Replay(who, text, note string) {
	u.line("| " + who + text)
	if note != "" {
		u.line("| " + note)
	}
}

func (u ui) ReadLine(prompt string) (string, error) {
	time.Sleep(u.think)
	u.tick(10 * time.Second)
	for len(u.lines) > 0 {
		line := u.lines[0]
		switch {
		case line == "# boot" || strings.HasPrefix(line, "# ends"):
			return "", io.EOF
		case line == "# ^C":
			u.lines = u.lines[1:]
			u.line(line)
			return "", console.ErrInterrupted
		case strings.HasPrefix(line, "#"):
			u.lines = u.lines[1:]
			u.line(line)
			u.direct(line)
			continue
		}
		u.lines = u.lines[1:]
		for _, p := range prompts {
			if s, ok := strings.CutPrefix(line, p); ok {
				u.line(prompt + s)
				return s, nil
			}
		}
	}
	return "", io.EOF
}

func (u ui) Ask(question string) (string, error) {
	u.waiting = 0
	return u.ReadLine(question)
}

func (u ui) Waiting() int { return u.waiting }

func (u ui) Drop() {
	if u.waiting > 0 {
		u.line("[drop]")
	}
	u.waiting = 0
}

type progress struct {
	u           ui
	title       string
	done, total int64
}

func (u ui) Progress(title string, total int64) engine.Progress {
	return &progress{u, title, 0, total}
}
func (p *progress) Set(n int64) { p.done = n }
func (p *progress) Done()       { p.u.line(fmt.Sprintf("[%s: %d of %d bytes]", p.title, p.done, p.total)) }

func (u ui) StopContext(ctx context.Context) (context.Context, func()) {
	ctx, u.cancel = context.WithCancel(ctx)
	if u.stopAtOnce {
		u.stopAtOnce = false
		u.cancel()
	}
	return ctx, u.cancel
}

// The model of these tests: bytes are tokens, and its answer tells what it
// sees in its context.
const (
	tokEnd = 256 + iota
	tokUser
	tokAssistant
	tokSystem
	tokBOS
	vocabulary
)

// fake is what takes the place of weights and a chat template.
type fake struct{ *world }

func (w *world) Load(r engine.ModelReader, o engine.Options) (*engine.Model, error) {
	if s, ok := r.(*stoppable); ok {
		r = s.ModelReader
	}
	f, ok := r.(*llm.File)
	if !ok {
		w.t.Fatal("not an open file")
	}
	if gguf.PlainName(f.Name()) == w.failing {
		return nil, fmt.Errorf("reading the weights: %w", fs.ErrIO)
	}
	if r.Size() > 4000 {
		o.LLM.Expect(llm.Expectation{Bytes: 1.3e9, Memory: 600e6, Streamed: 700e6, Rate: 480e6})
	}
	o.LLM.Progress(r.Size(), r.Size())
	info := llm.Info{Architecture: "fake"}
	if r.Size() > 4000 {
		info.Streamed = 700e6
	}
	if gguf.PlainName(f.Name()) == "guide" {
		info.Name = rules.Guide
	}
	w.changed = false
	m := fake{w}
	var warnings []string
	if s := r.Note(); s != "" {
		warnings = append(warnings, s)
	}
	return engine.New(engine.Parts{Info: info, About: []console.Field{{Name: "architecture", Value: "fake"}}, Weights: 27_100_000, Warnings: warnings,
		Sampling: sample.Default(), Text: m, Plain: w.plain, Stops: []string{"<stop>"}, InMemory: m, NewSession: m.session, Now: o.Now}), nil
}

func (f fake) Checkable() int64 { return 27_100_000 }

func (f fake) Recheck(ctx context.Context, progress func(int64)) ([]llm.Damage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progress(f.Checkable())
	if f.changed {
		return []llm.Damage{{Tensor: "token_embd.weight", Address: 0x40201000, Bytes: 1 << 20}}, nil
	}
	return nil, nil
}

func bytesIDs(s string) (ids []int32) {
	for _, b := range []byte(s) {
		ids = append(ids, int32(b))
	}
	return ids
}

func (f fake) Prompt(turns []chat.Turn) []int32 {
	f.prompted.Add(int64(len(turns)))
	ids := []int32{tokBOS}
	for i, t := range turns {
		text := t.IDs
		if text == nil {
			text = bytesIDs(t.Text)
		}
		if f.plain {
			if i > 0 && t.Role == "user" {
				ids = append(ids, '\n')
			}
			ids = append(ids, text...)
			continue
		}
		ids = append(ids, map[string]int32{"user": tokUser, "assistant": tokAssistant, "system": tokSystem}[t.Role])
		ids = append(append(ids, text...), tokEnd)
	}
	if !f.plain {
		ids = append(ids, tokAssistant)
	}
	return ids
}

func (f fake) Answer() engine.Reader { return &fakeAnswer{} }

func (f fake) session(n int) (engine.Session, error) {
	if n == 0 {
		n = f.context
	}
	if n > f.context {
		return nil, fmt.Errorf("num_ctx %d is more than the %d tokens of this model", n, f.context)
	}
	return &fakeSession{w: f.world, cap: n}, nil
}

// fakeAnswer has thoughts {in braces}, which are not for the person.
type fakeAnswer struct {
	ids      []int32
	thinking bool
	thought  string
}

func (f *fakeAnswer) Write(id int32) (string, bool) {
	switch was := f.thinking; {
	case id == tokEnd:
		return "", false
	case id == '{', id == '}':
		f.thinking = !was
		return "", true
	case was:
		f.thought += string([]byte{byte(id)})
		return "", true
	}
	f.ids = append(f.ids, id)
	return string([]byte{byte(id)}), true
}

func (f *fakeAnswer) End() string  { return "" }
func (f *fakeAnswer) IDs() []int32 { return f.ids }

func (f *fakeAnswer) Thinking() bool      { return f.thinking }
func (f *fakeAnswer) Thought() (s string) { s, f.thought = f.thought, ""; return s }
func (f *fakeAnswer) Conclude() []int32   { return []int32{'}'} }

type fakeSession struct {
	w   *world
	ids []int32
	cap int
}

func (s *fakeSession) Cap() int              { return s.cap }
func (s *fakeSession) Memory() int64         { return int64(s.cap) * 1000 }
func (s *fakeSession) StateSize(n int) int64 { return int64(n) * 1000 }
func (s *fakeSession) Truncate(n int)        { s.ids = s.ids[:n] }
func (s *fakeSession) View() []int32         { return s.ids }

// A state is a letter, the number of tokens and the tokens.
func (s *fakeSession) StateTokens(r io.Reader) ([]int32, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil || head[0] != 'S' {
		return nil, errors.New("no state")
	}
	ids := make([]int32, binary.LittleEndian.Uint32(head[1:]))
	return ids, binary.Read(r, binary.LittleEndian, ids)
}

func (s *fakeSession) ReadFrom(r io.Reader) (n int64, err error) {
	s.ids = nil
	ids, err := s.StateTokens(r)
	if err == nil {
		s.ids = ids
	}
	return 0, err
}

func (s *fakeSession) Save(w io.Writer, limit int64) (int, error) {
	n := min(len(s.ids), int(limit-5)/4)
	if n <= 0 || limit < 5 {
		return 0, nil
	}
	b := binary.LittleEndian.AppendUint32([]byte("S"), uint32(n))
	for _, id := range s.ids[:n] {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	_, err := w.Write(b)
	return n, err
}

func (s *fakeSession) Generate(c *sample.Sampler) engine.Generator { return &fakeGenerator{s: s, c: c} }

// fakeGenerator evaluates one token after the other.
type fakeGenerator struct {
	s      *fakeSession
	c      draft.Chooser
	logits []float32
	last   int32
}

func (g *fakeGenerator) Begin(logits []float32) { g.logits = logits }
func (g *fakeGenerator) Settle()                {}
func (g *fakeGenerator) Drafted() (int, int)    { return 0, 0 }

func (g *fakeGenerator) Next(ctx context.Context) (int32, error) {
	if g.logits == nil {
		if len(g.s.ids) >= g.s.cap {
			return -1, llm.ErrContextFull
		}
		var err error
		if g.logits, err = g.s.Eval(ctx, []int32{g.last}); err != nil {
			return -1, err
		}
	}
	g.last = g.c.Sample(g.logits, g.s.ids)
	g.logits = nil
	return g.last, nil
}

func (s *fakeSession) Eval(ctx context.Context, ids []int32) ([]float32, error) {
	if len(ids) == 0 {
		s.w.t.Error("Eval of nothing")
	}
	if len(s.ids)+len(ids) > s.cap {
		return nil, errors.New("more tokens than the context holds")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.w.tick(100 * time.Millisecond)
	s.ids = append(s.ids, ids...)
	s.w.ids = append(s.w.ids, len(ids))
	l := make([]float32, vocabulary)
	l[s.next()] = 1
	return l, nil
}

// next is the token that comes next.
func (s *fakeSession) next() int32 {
	if s.w.prompt != nil && len(s.ids) > 0 && s.ids[len(s.ids)-1] == tokAssistant {
		b := make([]byte, len(s.ids))
		for i, id := range s.ids {
			b[i] = byte(min(id, 255))
		}
		s.w.prompt(string(b))
	}
	if s.w.plain {
		return int32("la la, "[len(s.ids)%7])
	}
	var users, at int
	for i, id := range s.ids {
		switch id {
		case tokUser:
			users++
		case tokAssistant:
			at = i
		}
	}
	user := ""
	for i := at - 2; i > 0 && s.ids[i] < 256; i-- {
		user = string(rune(s.ids[i])) + user
	}
	reply := fmt.Sprintf("You said %q. I see %d.", user, users)
	if len(s.ids) > 1 && s.ids[1] == tokSystem {
		reply += " I obey."
	}
	if n, ok := strings.CutPrefix(user, "count to "); ok {
		n, _ := strconv.Atoi(n)
		reply = ""
		for i := 1; i <= n; i++ {
			reply += fmt.Sprint(i, " ")
		}
	}
	if _, question, ok := strings.Cut(user, "language of the question.\n\n"); ok {
		_, passages, _ := strings.Cut(user, "[1] ")
		first, _, _ := strings.Cut(passages, "\n\nAnswer from these")
		first, _, _ = strings.Cut(first, "\n\n[2]")
		first = first[strings.LastIndex(first, "\n")+1:]
		reply = fmt.Sprintf("{There are %d.}%s [7] That is all.", strings.Count(passages, "\n["), first)
		if strings.HasPrefix(question, "ignore") {
			reply = "I like tea [1]."
		}
	}
	switch user {
	case "code":
		reply = "Here:\n```go\nfmt.Println(1)\n```\nor\n~~~\none\n  two\n~~~\n"
	case "more code":
		reply = "```\nls -l\n```"
	case "think":
		reply = "{Hm. Well.}" + reply
	case "only think":
		reply = "{Hm. Well.}"
	}
	if facts, question, ok := strings.Cut(strings.TrimPrefix(user, "I told you to remember:\n"), "\n\n"); ok && strings.HasPrefix(user, "I told you to remember:") && !strings.Contains(user, "Passages from") {
		reply = fmt.Sprintf("To %q: %s.", question, strings.ReplaceAll(facts, "\n", ", "))
	}
	if user == "stop string" {
		reply = "before <sto <stop> after"
	}
	if n := len(s.ids) - at - 1; n < len(reply) {
		return int32(reply[n])
	}
	return tokEnd
}
