package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"alphaos/console"
	drivefs "alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// Models is where models are found.
type Models interface {
	List() ([]ModelFile, error) // sorted by name, those built in last; what could be listed, even with an error
	Open(name string) (ModelReader, error)
}

// ModelFile is one model of the list.
type ModelFile struct {
	Name    string // of the file, without directory; of a split model that of its first part there
	Size    int64  // bytes, of all parts together
	BuiltIn bool   // part of the program, not of the drive
}

// ModelReader is an open model file. It may also have a method Verify() error,
// which is called when the model has been loaded, unless it is streamed, and
// tells if it must not be used, and a method Note() string, which tells what
// else a person should know of it.
type ModelReader interface {
	io.ReaderAt
	Size() int64 // bytes
	Close() error
}

// DirModels lists the *.gguf files in a directory of fsys, whose files must
// implement io.ReaderAt. The parts of a split model are one model, and are
// listed even if some are missing, so that Open can tell. A file is checked
// against its checksum in NAME.sha256, if that exists. A missing directory has
// no models.
func DirModels(fsys fs.FS, dir string) Models {
	dir = strings.Trim(path.Clean(dir), "/")
	if dir == "" {
		dir = "."
	}
	return dirModels{fsys, dir}
}

type dirModels struct {
	fsys fs.FS
	dir  string
}

// Listed reports whether a file of that name is taken for a model: it ends in
// .gguf, and is not hidden. (macOS leaves "._name" beside each file on FAT.)
func Listed(name string) bool {
	return !strings.HasPrefix(name, ".") && strings.EqualFold(path.Ext(name), ".gguf")
}

func (d dirModels) List() ([]ModelFile, error) {
	entries, err := fs.ReadDir(d.fsys, d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("can't read the folder %s: %w", d.dir, err)
	}
	var list []ModelFile
	split := map[string]int{} // where in the list, by the first part's name
	for _, e := range entries {
		if e.IsDir() || !Listed(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		name := e.Name()
		if parts, ok := gguf.Parts(name); ok {
			first := strings.ToLower(parts[0])
			if at, seen := split[first]; seen {
				list[at].Size += info.Size()
				list[at].Name = min(list[at].Name, name)
				continue
			}
			split[first] = len(list)
		}
		list = append(list, ModelFile{Name: name, Size: info.Size()})
	}
	slices.SortFunc(list, func(a, b ModelFile) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, nil
}

func (d dirModels) Open(name string) (ModelReader, error) {
	f, err := llm.Open(d.fsys, path.Join(d.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the model's %w: %s", fs.ErrNotExist, name)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// WithBuiltIn adds to the models on a drive those that are part of the program.
// They are there whatever state the drive is in, and come with the program when
// that is replaced: so a file on the drive that has the name of one, as an older
// program put it there, is not listed.
func WithBuiltIn(drive, builtIn Models) Models { return withBuiltIn{drive, builtIn} }

type withBuiltIn struct{ drive, builtIn Models }

func (w withBuiltIn) List() ([]ModelFile, error) {
	list, err := w.drive.List()
	own, ownErr := w.builtIn.List()
	for _, m := range own {
		m.BuiltIn = true
		list = slices.DeleteFunc(list, func(o ModelFile) bool { return strings.EqualFold(o.Name, m.Name) })
		list = append(list, m)
	}
	return list, errors.Join(err, ownErr)
}

func (w withBuiltIn) Open(name string) (ModelReader, error) {
	own, err := w.builtIn.List()
	if err != nil {
		return nil, err
	}
	for _, m := range own {
		if strings.EqualFold(m.Name, name) {
			return w.builtIn.Open(m.Name)
		}
	}
	return w.drive.Open(name)
}

// plainName is a model's name as people write it.
func plainName(file string) string { return gguf.PlainName(file) }

// find finds the model that a person means: by its name, its number in the
// list, or an unambiguous beginning of the name.
func find(list []ModelFile, want string) (ModelFile, error) {
	w := strings.ToLower(plainName(want))
	var begin []ModelFile
	for _, m := range list {
		name := strings.ToLower(plainName(m.Name))
		if name == w {
			return m, nil
		}
		if w != "" && strings.HasPrefix(name, w) {
			begin = append(begin, m)
		}
	}
	if n, err := strconv.Atoi(want); err == nil && n >= 1 && n <= len(list) {
		return list[n-1], nil
	}
	switch len(begin) {
	case 0:
		return ModelFile{}, fmt.Errorf("there is no model %q; /models lists those there are", want)
	case 1:
		return begin[0], nil
	}
	return ModelFile{}, fmt.Errorf("%q could be %s or %s; write more of the name", want, plainName(begin[0].Name), plainName(begin[1].Name))
}

// show lists the models with their numbers, and what is to be known of each.
func (a *assistant) show(list []ModelFile) {
	names, sizes := 0, 0
	for _, m := range list {
		names = max(names, len(plainName(m.Name)))
		sizes = max(sizes, len(console.Bytes(m.Size)))
	}
	for i, m := range list {
		line := fmt.Sprintf("%3d  %-*s  %-*s  %s", i+1, names, plainName(m.Name), sizes, console.Bytes(m.Size), a.remark(m))
		a.say(strings.TrimRight(line, " "))
	}
}

// remark says in a few words what is to be known of a model before it is
// chosen: nothing, if it is one to talk with.
func (a *assistant) remark(m ModelFile) string {
	var words []string
	if m.BuiltIn {
		words = append(words, "built in")
	}
	if m.Name == a.name {
		words = append(words, "in use")
	}
	what, known := a.remarks[m]
	if !known {
		if what, known = a.describe(m); known {
			if a.remarks == nil {
				a.remarks = map[ModelFile]string{}
			}
			a.remarks[m] = what
		}
	}
	if what != "" {
		words = append(words, what)
	}
	return strings.Join(words, ", ")
}

// describe says it from the model's file; known tells that this proves it for good.
func (a *assistant) describe(m ModelFile) (what string, known bool) {
	var f *gguf.File
	r, err := a.Models.Open(m.Name)
	if err == nil {
		defer r.Close()
		f, err = gguf.Read(r, r.Size())
	}
	switch {
	case errors.Is(err, drivefs.ErrRemoved), errors.Is(err, drivefs.ErrIO), errors.Is(err, fs.ErrNotExist):
		return "can't be read now", false
	case errors.Is(err, errors.ErrUnsupported):
		return "not supported", true
	case err != nil:
		return "damaged", true
	case llm.KindOf(f) != llm.Language:
		return string(llm.KindOf(f)), true
	case a.check(f) != nil:
		return "not supported", true
	case a.Raw || chat.Detect(f).Plain():
		return "continues text", true
	}
	return "", true
}

// chooseFirst loads the model to begin with, and asks the person as long as
// there is none. ended tells that the conversation is over instead.
func (a *assistant) chooseFirst(ctx context.Context) (out Outcome, err error, ended bool) {
	if a.loadFirst(ctx) {
		return 0, nil, false
	}
	listed := false
	for ctx.Err() == nil {
		list, lerr := a.Models.List()
		switch {
		case listed:
		case lerr != nil:
			a.UI.Error(sentence(lerr))
		case len(list) == 0:
			a.UI.Error(noModel)
		default:
			a.say("Models on this drive:")
			a.show(list)
		}
		line, rerr := a.UI.Ask("Which model? (number or name; Enter looks again) ")
		if errors.Is(rerr, console.ErrInterrupted) {
			continue
		}
		if rerr == io.EOF {
			rerr = nil
			return EOF, nil, true
		}
		if rerr != nil {
			return EOF, rerr, true
		}
		text := strings.TrimSpace(line)
		listed = text != ""
		switch _, leaves := Leaves(text); {
		case text == "":
		case leaves || strings.HasPrefix(text, "/"):
			if out, err, ended := a.command(ctx, text); ended {
				return out, err, true
			}
		default:
			a.loadCommand(ctx, text)
		}
		if a.model != nil {
			return 0, nil, false
		}
	}
	return EOF, nil, true
}

const (
	noModel   = "There is no model on this drive. " + copyModel
	copyModel = `Copy a model, a file whose name ends in .gguf, into its folder "models".`
)

// loadFirst loads the model that was asked for or used last, or else the first
// that answers, or else the first that continues text, or else the guide, which
// knows little but AlphaOS: a person who starts for the first time need not know
// what a model is. What is passed over is told. A drive that is pulled out meanwhile is waited for.
func (a *assistant) loadFirst(ctx context.Context) bool {
	for tries := 0; ; tries++ {
		guides, err := a.loadBest(ctx)
		if err == nil {
			return true
		}
		advice := copyModel
		if errors.Is(err, drivefs.ErrRemoved) {
			const most = 10 // a drive may say each time that it is there, and not be
			if a.Drive != nil && tries < most {
				a.UI.Quiet("Its models are looked for again then.")
				if a.await(ctx, func() error { return nil }) == nil {
					a.UI.Quiet("The drive is there again.")
					continue
				}
			}
			advice = "When it is plugged in again, /models lists its models."
		}
		for _, m := range guides {
			a.UI.Notice("Note: " + drivefs.Reason(err) + ", so the guide talks, which is part of AlphaOS and knows little else. " + advice)
			if ctx.Err() == nil && a.load(ctx, m) == nil {
				return true
			}
		}
		return false
	}
}

// loadBest loads what loadFirst does, but no guide: it returns those there are. The
// error says, as a clause, why there is nothing better.
func (a *assistant) loadBest(ctx context.Context) (guides []ModelFile, err error) {
	list, lerr := a.Models.List()
	var others []ModelFile
	for _, m := range list {
		if m.BuiltIn {
			guides = append(guides, m)
		} else {
			others = append(others, m)
		}
	}
	if lerr != nil {
		a.UI.Error(sentence(lerr))
		if errors.Is(lerr, drivefs.ErrRemoved) {
			return guides, lerr
		}
	}
	want := a.Default
	if want == "" && a.Store != nil {
		want = a.Store.Setting("model")
	}
	var wanted ModelFile
	if want != "" {
		wanted, err = find(list, want)
		switch {
		case err == nil: // load tells
			if err = a.load(ctx, wanted); err == nil {
				a.prefer(wanted)
				return nil, nil
			}
			if errors.Is(err, drivefs.ErrRemoved) {
				return guides, err
			}
		case want == a.Default:
			a.UI.Error(fmt.Sprintf("The model %s is not in the models folder.", want))
		default:
			a.UI.Error(fmt.Sprintf("The model %s, used last, is not in the models folder any more.", plainName(want)))
		}
	}
	begun := func(m ModelFile) ([]ModelFile, error) {
		if want != "" {
			a.UI.Quiet("Going on with " + plainName(m.Name) + ".")
		}
		if wanted.Name == "" { // one that only failed stays the one used last
			a.prefer(m)
		}
		return nil, nil
	}
	var plain []ModelFile
	for _, m := range others {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if m.Name == wanted.Name {
			continue
		}
		c, err := a.candidate(m)
		switch {
		case errors.Is(err, drivefs.ErrRemoved):
			a.refuse(m, err)
			return guides, err
		case err != nil:
			a.UI.Notice(fmt.Sprintf("Note: %s is passed over: %s", plainName(m.Name), drivefs.Explain(err)))
			continue
		}
		name, _ := c.tables.String("general.name")
		switch {
		case rules.IsGuide(name):
			guides = append(guides, m)
			c.r.Close()
		case !a.Raw && chat.Detect(c.tables).Plain():
			plain = append(plain, m)
			c.r.Close()
		default:
			if err = a.use(ctx, c); err == nil {
				return begun(m)
			}
			if errors.Is(err, drivefs.ErrRemoved) {
				return guides, err
			}
		}
	}
	for _, m := range plain {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err = a.load(ctx, m); err == nil {
			return begun(m)
		}
		if errors.Is(err, drivefs.ErrRemoved) {
			return guides, err
		}
	}
	if len(others) > 0 || lerr != nil {
		return guides, errors.New("no model on this drive can be used")
	}
	return guides, errors.New("there is no model on this drive")
}

// prefer has the next session begin with the model in use; not with the guide,
// which would hide a better one that comes.
func (a *assistant) prefer(m ModelFile) {
	if !m.BuiltIn && !rules.IsGuide(a.model.Info().Name) {
		a.keep("model", m.Name)
	}
}

// candidate is an open model file that may be talked with, as far as its tables
// say.
type candidate struct {
	ModelFile
	r      ModelReader
	tables *gguf.File
	opened time.Time
}

// candidate opens a model file. An error says, as a clause, why nobody can talk
// with it.
func (a *assistant) candidate(m ModelFile) (*candidate, error) {
	opened := time.Now()
	r, err := a.Models.Open(m.Name)
	if err != nil {
		return nil, err
	}
	f, err := gguf.Read(r, r.Size())
	if err == nil {
		err = llm.KindOf(f).Talks()
	}
	if err == nil {
		err = a.check(f)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return &candidate{m, r, f, opened}, nil
}

// load loads a model and begins a session with it. The model in use is kept
// when the other one can't be loaded. The person was told of an error.
func (a *assistant) load(ctx context.Context, file ModelFile) error {
	c, err := a.candidate(file)
	if err != nil {
		a.refuse(file, err)
		return err
	}
	return a.use(ctx, c)
}

func (a *assistant) refuse(file ModelFile, err error) {
	what := "can't be used"
	if errors.Is(err, drivefs.ErrRemoved) {
		what = "can't be read now"
	}
	a.UI.Error(fmt.Sprintf("The model %s %s: %s", plainName(file.Name), what, drivefs.Explain(err)))
}

// use is load for a model that is open, and closes it.
func (a *assistant) use(ctx context.Context, c *candidate) error {
	file, r := c.ModelFile, c.r
	kept := false // a model that is streamed from its file needs it
	defer func() {
		if !kept {
			r.Close()
		}
	}()
	old := ModelFile{Name: a.name}
	if a.model != nil {
		a.unload() // there may not be memory for both
	}
	o := a.LLM
	o.Tables = c.tables
	var p Progress
	o.Progress = func(done, total int64) {
		if p == nil { // not before what is expected was told
			p = a.UI.Progress("Loading "+plainName(file.Name), total)
		}
		p.Set(done)
	}
	o.Expect = func(e llm.Expectation) {
		a.UI.Notice(fmt.Sprintf("Note: %s takes %s and there is memory for %s, so %s are read from the drive for each token. The drive reads %s a second: expect %s.",
			plainName(file.Name), console.Bytes(e.Bytes), console.Bytes(e.Memory), console.Bytes(e.Streamed), console.Bytes(int64(e.Rate)), pace(e.TokensPerSecond())))
	}
	draft := a.chooseDraft(c, o.Budget)
	if o.Budget > 0 {
		o.Budget -= draft.Size
	}
	m, err := a.open(r, o, a.Raw)
	if err != nil && draft.Size > 0 && o.Budget > 0 { // what was meant for it may have been missing
		o.Budget, draft = o.Budget+draft.Size, ModelFile{}
		m, err = a.open(r, o, a.Raw)
	}
	if p != nil {
		p.Done()
	}
	if err == nil {
		a.loadDraft(m, draft)
		a.model, a.name, a.file, kept = m, file.Name, r, true
		a.recommend()
		if err = a.newSession(); err != nil && a.params.numCtx > 0 {
			// It was set for another model.
			old := a.params.numCtx
			a.params.numCtx = 0
			if err = a.newSession(); err == nil {
				a.UI.Quiet(fmt.Sprintf("num_ctx %d does not suit this model: its context is %d tokens.", old, a.session.Cap()))
			}
		}
		if err != nil {
			a.unload()
		}
	}
	if err != nil {
		a.refuse(file, err)
		if old.Name != "" && old.Name != file.Name {
			a.UI.Quiet("Loading " + plainName(old.Name) + " again.")
			return a.load(ctx, old)
		}
		return err
	}
	if a.Loaded != nil {
		a.Loaded(Load{m.Info(), time.Since(c.opened)})
	}
	for _, w := range m.Warnings() {
		a.UI.Quiet(w)
	}
	if n, ok := r.(interface{ Note() string }); ok && n.Note() != "" {
		a.UI.Quiet(n.Note())
	}
	// Tokens of one model mean nothing to another.
	for i := range a.turns {
		a.turns[i].IDs = nil
	}
	a.restoreState()
	return nil
}

// newSession gives the model an empty context of the size that is set.
func (a *assistant) newSession() error {
	a.session, a.restored = nil, nil // its memory may be needed
	s, err := a.model.NewSession(a.params.numCtx)
	if err != nil {
		return err
	}
	a.session, a.first = s, 0
	return nil
}

func (a *assistant) unload() {
	if a.model != nil {
		a.model.Close()
		a.file.Close()
	}
	a.model, a.session, a.name, a.file = nil, nil, "", nil
}

// pace is how fast a model whose tokens come so many a second is at best.
func pace(tokens float64) string {
	if tokens < 0.95 {
		return fmt.Sprintf("a token every %.1f seconds at best", 1/tokens)
	}
	return fmt.Sprintf("at most %.1f tokens/s", tokens)
}
