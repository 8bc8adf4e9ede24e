package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/engine"
	drivefs "alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// show lists the models with their numbers, and what is to be known of each.
func (a *assistant) show(list []engine.ModelFile) {
	names, sizes := 0, 0
	for _, m := range list {
		names = max(names, len(gguf.PlainName(m.Name)))
		sizes = max(sizes, len(console.Bytes(m.Size)))
	}
	for i, m := range list {
		line := fmt.Sprintf("%3d  %-*s  %-*s  %s", i+1, names, gguf.PlainName(m.Name), sizes, console.Bytes(m.Size), a.remark(m))
		a.say(strings.TrimRight(line, " "))
	}
}

// remark says in a few words what is to be known of a model before it is
// chosen: nothing, if it is one to talk with.
func (a *assistant) remark(m engine.ModelFile) string {
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
				a.remarks = map[engine.ModelFile]string{}
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
func (a *assistant) describe(m engine.ModelFile) (what string, known bool) {
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
func (a *assistant) loadBest(ctx context.Context) (guides []engine.ModelFile, err error) {
	list, lerr := a.Models.List()
	var others []engine.ModelFile
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
	var wanted engine.ModelFile
	if want != "" {
		wanted, err = engine.Find(list, want)
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
			a.UI.Error(fmt.Sprintf("The model %s, used last, is not in the models folder any more.", gguf.PlainName(want)))
		}
	}
	begun := func(m engine.ModelFile) ([]engine.ModelFile, error) {
		if want != "" {
			a.UI.Quiet("Going on with " + gguf.PlainName(m.Name) + ".")
		}
		if wanted.Name == "" { // one that only failed stays the one used last
			a.prefer(m)
		}
		return nil, nil
	}
	var plain []engine.ModelFile
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
			a.UI.Notice(fmt.Sprintf("Note: %s is passed over: %s", gguf.PlainName(m.Name), drivefs.Explain(err)))
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
func (a *assistant) prefer(m engine.ModelFile) {
	if !m.BuiltIn && !rules.IsGuide(a.model.Info.Name) {
		a.keep("model", m.Name)
	}
}

// candidate is an open model file that may be talked with, as far as its tables
// say.
type candidate struct {
	engine.ModelFile
	r      engine.ModelReader
	tables *gguf.File
	opened time.Time
}

// candidate opens a model file. An error says, as a clause, why nobody can talk
// with it.
func (a *assistant) candidate(m engine.ModelFile) (*candidate, error) {
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
func (a *assistant) load(ctx context.Context, file engine.ModelFile) error {
	c, err := a.candidate(file)
	if err != nil {
		a.refuse(file, err)
		return err
	}
	return a.use(ctx, c)
}

func (a *assistant) refuse(file engine.ModelFile, err error) {
	what := "can't be used"
	if errors.Is(err, drivefs.ErrRemoved) {
		what = "can't be read now"
	}
	a.UI.Error(fmt.Sprintf("The model %s %s: %s", gguf.PlainName(file.Name), what, drivefs.Explain(err)))
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
	old := engine.ModelFile{Name: a.name}
	if a.model != nil {
		a.unload() // there may not be memory for both
	}
	o := a.LLM
	o.Tables = c.tables
	var p engine.Progress
	o.Progress = func(done, total int64) {
		if p == nil { // not before what is expected was told
			p = a.UI.Progress("Loading "+gguf.PlainName(file.Name), total)
		}
		p.Set(done)
	}
	o.Expect = func(e llm.Expectation) {
		a.UI.Notice(fmt.Sprintf("Note: %s takes %s and there is memory for %s, so %s are read from the drive for each token. The drive reads %s a second: expect %s.",
			gguf.PlainName(file.Name), console.Bytes(e.Bytes), console.Bytes(e.Memory), console.Bytes(e.Streamed), console.Bytes(int64(e.Rate)), pace(e.TokensPerSecond())))
	}
	draft := a.chooseDraft(c, o.Budget)
	if o.Budget > 0 {
		o.Budget -= draft.Size
	}
	m, err := a.open(r, engine.Options{LLM: o, Raw: a.Raw, Now: a.Now})
	if err != nil && draft.Size > 0 && o.Budget > 0 { // what was meant for it may have been missing
		o.Budget, draft = o.Budget+draft.Size, engine.ModelFile{}
		m, err = a.open(r, engine.Options{LLM: o, Raw: a.Raw, Now: a.Now})
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
				_, size := m.Context()
				a.UI.Quiet(fmt.Sprintf("num_ctx %d does not suit this model: its context is %d tokens.", old, size))
			}
		}
		if err != nil {
			a.unload()
		}
	}
	if err != nil {
		a.refuse(file, err)
		if old.Name != "" && old.Name != file.Name {
			a.UI.Quiet("Loading " + gguf.PlainName(old.Name) + " again.")
			return a.load(ctx, old)
		}
		return err
	}
	if a.Loaded != nil {
		a.Loaded(Load{m.Info, time.Since(c.opened)})
	}
	for _, w := range m.Warnings {
		a.UI.Quiet(w)
	}
	a.talk.Reset()
	if a.State != nil && len(a.talk.Turns) > 0 {
		m.RestoreState(a.State, &a.talk, a.params.Params, func(total int64) engine.Progress { return a.UI.Progress("Recalling the conversation", total) })
	}
	return nil
}

// newSession gives the model an empty context of the size that is set.
func (a *assistant) newSession() error {
	a.talk.First = 0
	return a.model.Begin(a.params.numCtx)
}

func (a *assistant) unload() {
	if a.model != nil {
		a.model.Close()
		a.file.Close()
	}
	a.model, a.name, a.file = nil, "", nil
}

// pace is how fast a model whose tokens come so many a second is at best.
func pace(tokens float64) string {
	if tokens < 0.95 {
		return fmt.Sprintf("a token every %.1f seconds at best", 1/tokens)
	}
	return fmt.Sprintf("at most %.1f tokens/s", tokens)
}
