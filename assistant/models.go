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
	"alphaos/llm"
	"alphaos/llm/gguf"
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
// which is called when the model has been loaded and tells if it must not be
// used, and a method Note() string, which tells what else a person should know
// of it.
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
		// macOS leaves "._name" beside each file on FAT.
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.EqualFold(path.Ext(e.Name()), ".gguf") {
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
		return nil, fmt.Errorf("the model %s does not exist", name)
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

// show lists the models with their numbers.
func (a *assistant) show(list []ModelFile) {
	width := 0
	for _, m := range list {
		width = max(width, len(plainName(m.Name)))
	}
	for i, m := range list {
		mark := ""
		switch {
		case m.Name == a.name && m.BuiltIn:
			mark = "  (built in, in use)"
		case m.Name == a.name:
			mark = "  (in use)"
		case m.BuiltIn:
			mark = "  (built in)"
		}
		a.say(fmt.Sprintf("%3d  %-*s  %s%s", i+1, width, plainName(m.Name), console.Bytes(m.Size), mark))
	}
}

// chooseFirst loads the model to begin with, and asks the person as long as
// there is none. ended tells that the conversation is over instead.
func (a *assistant) chooseFirst(ctx context.Context) (out Outcome, err error, ended bool) {
	list, lerr := a.Models.List()
	if len(list) > 0 {
		want := a.Default
		if want == "" && a.Store != nil {
			want = a.Store.Setting("model")
		}
		var file ModelFile
		if want == "" {
			file = a.usual(list)
		} else {
			if wanted, ferr := find(list, want); ferr == nil {
				file = wanted
			} else {
				file = a.usual(list)
				if want == a.Default {
					a.UI.Error(fmt.Sprintf("The model %s is not in the models folder.", want))
				} else {
					a.UI.Error(fmt.Sprintf("The model %s, used last, is not in the models folder any more.", plainName(want)))
				}
			}
		}
		if file.Name != "" && a.load(ctx, file) {
			return 0, nil, false
		}
	}
	for ctx.Err() == nil {
		if list, lerr = a.Models.List(); lerr != nil {
			a.UI.Error(sentence(lerr))
		}
		prompt := "Which model? (number or name; Enter looks again) "
		if len(list) == 0 {
			a.UI.Error("There is no model on this drive. Copy a model, a file whose name ends in .gguf, into its folder \"models\".")
			prompt = "Press Enter to look again, or type \"shut down\": "
		} else {
			a.say("Models on this drive:")
			a.show(list)
		}
		line, rerr := a.UI.ReadLine(prompt)
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
		switch text := strings.TrimSpace(line); {
		case text == "":
		case isShutdown(text) || text == "/bye" || text == "/exit" || text == "/quit":
			if ok, err := a.shutDown(); ok {
				return Shutdown, err, true
			}
		case len(list) > 0:
			text = strings.TrimSpace(strings.TrimPrefix(text, "/load "))
			file, ferr := find(list, text)
			if ferr != nil {
				a.UI.Error(fmt.Sprintf("There is no model %q in this list.", text))
			} else if a.load(ctx, file) {
				return 0, nil, false
			}
		}
	}
	return EOF, nil, true
}

// guide is the name, inside its file, of the model that is built in. It knows
// little but AlphaOS, so any other model takes precedence over it.
const guide = "AlphaOS guide"

// usual is the first model that one can talk with: embedding models, which
// may lie in the same folder, are passed over, and so is the guide if there is
// another.
func (a *assistant) usual(list []ModelFile) ModelFile {
	if len(list) == 1 {
		return list[0]
	}
	last := list[0]
	for _, m := range list {
		r, err := a.Models.Open(m.Name)
		if err != nil {
			return m // loading it will tell
		}
		f, err := inspect(r)
		r.Close()
		if err != nil {
			return m
		}
		if arch, _ := f.String("general.architecture"); strings.Contains(arch, "bert") {
			continue
		}
		if name, _ := f.String("general.name"); name == guide {
			last = m
			continue
		}
		return m
	}
	return last
}

// load loads a model and begins a session with it. The model in use is kept
// when the other one can't be loaded. Failures are told.
func (a *assistant) load(ctx context.Context, file ModelFile) bool {
	fail := func(err error) bool {
		a.UI.Error(fmt.Sprintf("The model %s can't be used: %s", plainName(file.Name), clause(err)))
		return false
	}
	r, err := a.Models.Open(file.Name)
	if err != nil {
		return fail(err)
	}
	kept := false // a model that is streamed from its file needs it
	defer func() {
		if !kept {
			r.Close()
		}
	}()
	old := ModelFile{Name: a.name}
	if a.model != nil {
		if _, err := inspect(r); err != nil {
			return fail(err)
		}
		a.unload() // there may not be memory for both
	}
	o := a.LLM
	begin := time.Now()
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
	draft := a.chooseDraft(file, r, o.Budget)
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
		fail(err)
		if old.Name != "" && old.Name != file.Name {
			a.UI.Quiet("Loading " + plainName(old.Name) + " again.")
			return a.load(ctx, old)
		}
		return false
	}
	if a.Loaded != nil {
		a.Loaded(Load{m.Info(), time.Since(begin)})
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
	if m.Info().Name != guide { // else it would be the one used last and hide a better one
		a.keep("model", file.Name)
	}
	return true
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
