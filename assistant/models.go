package assistant

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"alphaos/console"
	"alphaos/engine"
	drivefs "alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/draft"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// library is the models there are. One at a time is loaded for the conversation.
type library struct {
	ui      UI
	files   engine.Models
	loader  loader
	options engine.Options
	wanted  string // Start.Model
	loaded  func(Load)
	flight  func(Flight)
	journal *journal
	talk    *conversation

	file    engine.ModelReader          // of the model in use
	drafts  string                      // the name of the file of the model that drafts for it, or ""
	others  []engine.ModelFile          // elsewhere, as they were last listed
	known   []engine.ModelFile          // all, as they were last listed
	remarks map[engine.ModelFile]string // what describe found out for good

	forecaster Forecaster                   // Config.Forecaster
	paces      map[engine.ModelFile]float64 // what tokens told of those that can talk
}

// loader loads models. Tests have one that needs no weights.
type loader interface {
	Check(f *gguf.File) error // why Load would refuse a file, as far as its tables say
	Load(r engine.ModelReader, o engine.Options) (*engine.Model, error)
}

type weights struct{}

func (weights) Check(f *gguf.File) error { return llm.Check(f) }
func (weights) Load(r engine.ModelReader, o engine.Options) (*engine.Model, error) {
	return engine.Load(r, o)
}

// Load tells how a model was loaded.
type Load struct {
	Info llm.Info
	Time time.Duration // from opening the file to the first possible prompt
}

// searcher finds models on other drives: *engine.Places.
type searcher interface {
	ListAll() ([]engine.ModelFile, error)
}

// listAll shows all models, those on other drives too.
func (l *library) listAll() {
	files, ok := l.files.(searcher)
	if !ok {
		say(l.ui, "There are no other drives here, only these models:")
		l.list()
		return
	}
	l.ui.Quiet("Looking at other drives, which are only read.")
	own, err := l.files.List()
	if err != nil {
		l.ui.Error(sentence(err))
	}
	if l.others, err = files.ListAll(); err != nil {
		l.ui.Quiet(sentence(err))
	}
	l.show(append(own, l.others...))
	if len(l.others) == 0 {
		say(l.ui, "There are no models on other drives. AlphaOS reads FAT32, exFAT and ext4, and looks in the first folder there and in its folder \"models\".")
	}
}

// list shows all models.
func (l *library) list() {
	list, err := l.files.List()
	if err != nil {
		l.ui.Error(sentence(err))
	}
	if len(list) == 0 && err == nil {
		say(l.ui, noModel)
	}
	l.show(list)
}

// show lists models with their numbers and what a person should know of each.
func (l *library) show(list []engine.ModelFile) {
	l.known = list
	names, sizes := 0, 0
	for _, m := range list {
		names = max(names, len(gguf.PlainName(m.Name)))
		sizes = max(sizes, len(console.Bytes(m.Size)))
	}
	for i, m := range list {
		line := fmt.Sprintf("%3d  %-*s  %-*s  %s", i+1, names, gguf.PlainName(m.Name), sizes, console.Bytes(m.Size), l.remark(m))
		say(l.ui, strings.TrimRight(line, " "))
	}
}

// remark says in a few words what a person should know of a model before choosing
// it: nothing, if it is one to talk with.
func (l *library) remark(m engine.ModelFile) string {
	var words []string
	if m.BuiltIn {
		words = append(words, "built in")
	}
	if m.Name == l.talk.name {
		words = append(words, "in use")
	}
	what, known := l.remarks[m]
	if !known {
		var pace float64
		if what, pace, known = l.describe(m); known {
			if l.remarks == nil {
				l.remarks, l.paces = map[engine.ModelFile]string{}, map[engine.ModelFile]float64{}
			}
			l.remarks[m], l.paces[m] = what, pace
		}
	}
	if what != "" {
		words = append(words, what)
	}
	return strings.Join(words, ", ")
}

// describe looks into the model's file for that. known means that the answer will
// not change.
func (l *library) describe(m engine.ModelFile) (what string, pace float64, known bool) {
	var f *gguf.File
	r, err := l.files.Open(m.Name)
	if err == nil {
		defer r.Close()
		f, err = gguf.Read(r, r.Size())
	}
	switch {
	case errors.Is(err, drivefs.ErrRemoved), errors.Is(err, drivefs.ErrIO), errors.Is(err, fs.ErrNotExist):
		return "can't be read now", 0, false
	case errors.Is(err, errors.ErrUnsupported):
		return "not supported", 0, true
	case err != nil:
		return "damaged", 0, true
	case llm.KindOf(f) != llm.Language:
		return string(llm.KindOf(f)), 0, true
	case l.loader.Check(f) != nil:
		return "not supported", 0, true
	case l.options.Raw || chat.Detect(f).Plain():
		return "continues text", l.tokens(f), true
	}
	return "", l.tokens(f), true
}

// choose loads the model that a person names, and tells whether they cancelled that.
func (l *library) choose(ctx context.Context, want string) (cancelled bool) {
	if want == "" {
		say(l.ui, "Which model? /load NAME or /load NUMBER; /models lists them.")
		return false
	}
	list, err := l.files.List()
	if err != nil {
		l.ui.Error(sentence(err))
	}
	file, err := engine.Find(append(list, l.others...), want)
	if err != nil {
		l.ui.Error(sentence(err))
		return false
	}
	err = l.load(ctx, file)
	switch {
	case err == nil && l.talk.name == file.Name:
		l.prefer(file)
		l.ui.Quiet("Going on with " + gguf.PlainName(file.Name) + ".")
	case errors.Is(err, context.Canceled) && ctx.Err() == nil && l.talk.display.AtScreen():
		return true
	default:
		l.ui.Quiet("/models lists the models, /load NAME chooses another.")
	}
	return false
}

const (
	noModel   = "There is no model on this drive. " + copyModel
	copyModel = `Copy a model, a file whose name ends in .gguf, into its folder "models".`
)

// loadFirst loads the model that was asked for or used last, or else the first
// that answers, or else the first that continues text, or else the guide, which
// knows little but AlphaOS: a person who starts for the first time need not know
// what a model is. It says which models it passes over, and waits for a drive that
// is pulled out meanwhile.
func (l *library) loadFirst(ctx context.Context) bool {
	for tries := 0; ; tries++ {
		guides, err := l.loadBest(ctx)
		if err == nil {
			return true
		}
		if errors.Is(err, context.Canceled) {
			return false // the person chooses
		}
		advice := copyModel
		if errors.Is(err, drivefs.ErrRemoved) {
			const most = 10 // a bad drive may come back again and again
			if l.journal.present != nil && tries < most {
				l.ui.Quiet("Its models are looked for again then.")
				if l.journal.await(ctx, func() error { return nil }) == nil {
					l.ui.Quiet("The drive is there again.")
					continue
				}
			}
			advice = "When it is plugged in again, /models lists its models."
		}
		for _, m := range guides {
			l.ui.Notice("Note: " + drivefs.Reason(err) + ", so the guide talks, which is part of AlphaOS and knows little else. " + advice)
			if ctx.Err() == nil && l.load(ctx, m) == nil {
				return true
			}
		}
		return false
	}
}

// loadBest does what loadFirst does, but returns the guides instead of loading one.
// The error says, as a clause, why there is nothing better.
func (l *library) loadBest(ctx context.Context) (guides []engine.ModelFile, err error) {
	list, lerr := l.files.List()
	l.known = list
	var others []engine.ModelFile
	for _, m := range list {
		if m.BuiltIn {
			guides = append(guides, m)
		} else {
			others = append(others, m)
		}
	}
	if lerr != nil {
		l.ui.Error(sentence(lerr))
		if errors.Is(lerr, drivefs.ErrRemoved) {
			return guides, lerr
		}
	}
	want := l.wanted
	if want == "" {
		want = l.journal.setting("model")
	}
	var wanted engine.ModelFile
	if want != "" {
		wanted, err = engine.Find(list, want)
		switch {
		case err == nil:
			if err = l.load(ctx, wanted); err == nil {
				l.prefer(wanted)
				return nil, nil
			}
			if final(err) {
				return guides, err
			}
		case want == l.wanted:
			l.ui.Error(fmt.Sprintf("The model %s is not in the models folder.", want))
		default:
			l.ui.Error(fmt.Sprintf("The model %s, used last, is not in the models folder any more.", gguf.PlainName(want)))
		}
	}
	begun := func(m engine.ModelFile) ([]engine.ModelFile, error) {
		if want != "" {
			l.ui.Quiet("Going on with " + gguf.PlainName(m.Name) + ".")
		}
		if wanted.Name == "" { // otherwise that model, though it failed, stays the one used last
			l.prefer(m)
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
		c, err := l.candidate(m)
		switch {
		case errors.Is(err, drivefs.ErrRemoved):
			l.refuse(m, err)
			return guides, err
		case err != nil:
			l.ui.Notice(fmt.Sprintf("Note: %s is passed over: %s", gguf.PlainName(m.Name), drivefs.Explain(err)))
			continue
		}
		name, _ := c.tables.String("general.name")
		switch {
		case rules.IsGuide(name):
			guides = append(guides, m)
			c.r.Close()
		case !l.options.Raw && chat.Detect(c.tables).Plain():
			plain = append(plain, m)
			c.r.Close()
		default:
			if err = l.use(ctx, c); err == nil {
				return begun(m)
			}
			if final(err) {
				return guides, err
			}
		}
	}
	for _, m := range plain {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err = l.load(ctx, m); err == nil {
			return begun(m)
		}
		if final(err) {
			return guides, err
		}
	}
	if len(others) > 0 || lerr != nil {
		return guides, errors.New("no model on this drive can be used")
	}
	return guides, errors.New("there is no model on this drive")
}

// final tells whether other models need not be tried.
func final(err error) bool {
	return errors.Is(err, drivefs.ErrRemoved) || errors.Is(err, context.Canceled)
}

// prefer lets the next session begin with the model in use, unless that is a guide:
// a better model that is copied to the drive must not be hidden by it. Nor does it begin with one
// on another drive, which may not be there then.
func (l *library) prefer(m engine.ModelFile) {
	if !m.BuiltIn && !m.Elsewhere && !rules.IsGuide(l.talk.model.Info.Name) {
		l.journal.keep("model", m.Name)
	}
}

// candidate is an open model file that one can talk with, judging by its tables.
type candidate struct {
	engine.ModelFile
	r      engine.ModelReader
	tables *gguf.File
	opened time.Time
}

// candidate opens a model file. An error says, as a clause, why one cannot talk
// with it.
func (l *library) candidate(m engine.ModelFile) (*candidate, error) {
	opened := time.Now()
	r, err := l.files.Open(m.Name)
	if err != nil {
		return nil, err
	}
	f, err := gguf.Read(r, r.Size())
	if err == nil {
		err = llm.KindOf(f).Talks()
	}
	if err == nil {
		err = l.loader.Check(f)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return &candidate{m, r, f, opened}, nil
}

// load loads a model and begins a session with it. When that fails, it tells the
// person and loads the model that was in use again.
func (l *library) load(ctx context.Context, file engine.ModelFile) error {
	c, err := l.candidate(file)
	if err != nil {
		l.refuse(file, err)
		return err
	}
	return l.use(ctx, c)
}

func (l *library) refuse(file engine.ModelFile, err error) {
	what := "can't be used"
	if errors.Is(err, drivefs.ErrRemoved) {
		what = "can't be read now"
	}
	l.ui.Error(fmt.Sprintf("The model %s %s: %s", gguf.PlainName(file.Name), what, drivefs.Explain(err)))
}

// use is load for a model file that is open. It closes the file, now or with the
// model.
func (l *library) use(ctx context.Context, c *candidate) error {
	file := c.ModelFile
	ctx, done := l.ui.StopContext(ctx)
	defer done()
	r := &stoppable{ModelReader: c.r, ctx: ctx}
	l.talk.display.SetBars(func(b *console.Bars) { b.Enter = "cancels" })
	defer l.talk.display.SetBars(func(b *console.Bars) { b.Enter = "" })
	kept := false // a model that is streamed needs its file
	defer func() {
		if !kept {
			r.Close()
		}
	}()
	old := engine.ModelFile{Name: l.talk.name}
	l.unload() // there may not be memory for both
	l.talk.shelf.rest()
	o := l.options
	o.LLM.Tables = c.tables
	var p engine.Progress
	f := l.expect(c)
	l.flight(f)
	began := time.Now()
	o.LLM.Progress = func(done, total int64) {
		if p == nil { // not before Expect had its say
			p = l.ui.Progress("Loading "+gguf.PlainName(file.Name), total)
			began = time.Now()
		}
		p.Set(done)
		f.read(done, total, time.Since(began))
		l.flight(f)
	}
	o.LLM.Expect = func(e llm.Expectation) {
		f.Rate, f.Tokens = e.Rate, e.TokensPerSecond()
		if f.computed > 0 {
			f.Tokens = min(f.Tokens, f.computed)
		}
		l.flight(f)
		instead := ""
		if f.Smaller != "" {
			instead = fmt.Sprintf(" %s fits: /load %s takes it.", f.Smaller, f.Smaller)
		}
		l.ui.Notice(fmt.Sprintf("Note: %s takes %s and there is memory for %s, so %s are read from the drive for each token. The drive reads %s a second: expect %s.%s",
			gguf.PlainName(file.Name), console.Bytes(e.Bytes), console.Bytes(e.Memory), console.Bytes(e.Streamed), console.Bytes(int64(e.Rate)), pace(f.Tokens), instead))
	}
	draft := l.chooseDraft(c, o.LLM.Budget)
	if o.LLM.Budget > 0 {
		o.LLM.Budget -= draft.Size
	}
	m, err := l.loader.Load(r, o)
	if err != nil && draft.Size > 0 && o.LLM.Budget > 0 { // the memory set aside for the draft may have been missing
		o.LLM.Budget, draft = o.LLM.Budget+draft.Size, engine.ModelFile{}
		m, err = l.loader.Load(r, o)
	}
	if p != nil {
		p.Done()
	}
	r.loaded.Store(true)
	if err == nil {
		l.loadDraft(ctx, m, draft)
		l.file, kept = r, true
		if err = l.talk.take(m, file.Name); err != nil {
			l.unload()
		}
	}
	if errors.Is(err, context.Canceled) {
		l.ui.Quiet("Loading " + gguf.PlainName(file.Name) + " was cancelled.")
		return err
	}
	if err != nil {
		l.refuse(file, err)
		if old.Name != "" && old.Name != file.Name {
			l.ui.Quiet("Loading " + gguf.PlainName(old.Name) + " again.")
			return l.load(ctx, old)
		}
		return err
	}
	l.loaded(Load{m.Info, time.Since(c.opened)})
	f.Loaded = true
	l.flight(f)
	for _, w := range m.Warnings {
		l.ui.Quiet(w)
	}
	l.talk.resume()
	return nil
}

// stoppable is a model's file that can't be read any more when ctx is done while it is loaded.
type stoppable struct {
	engine.ModelReader
	ctx    context.Context
	loaded atomic.Bool // from here on it can: a streamed model reads on
}

func (s *stoppable) ReadAt(p []byte, off int64) (int, error) {
	if err := s.ctx.Err(); err != nil && !s.loaded.Load() {
		return 0, err
	}
	return s.ModelReader.ReadAt(p, off)
}

func (l *library) unload() {
	if m := l.talk.release(); m != nil {
		m.Close()
		l.file.Close()
		l.drafts = ""
	}
}

// pace says how fast an answer of so many tokens a second comes at best.
func pace(tokens float64) string {
	if tokens < 0.95 {
		return fmt.Sprintf("a token every %.1f seconds at best", 1/tokens)
	}
	return fmt.Sprintf("at most %.1f tokens/s", tokens)
}

// A smaller model with the same vocabulary that lies beside the one in use drafts
// for it. It is chosen by size: larger ones guess better, but a draft costs as many
// of their passes as it has tokens.
const (
	draftShare  = 4 // it has at most a fourth of the larger model's size
	draftLayout = 8 // it takes at most an eighth of what is streamed
)

// chooseDraft returns the model that is to draft for c, within budget bytes of
// memory for both (0: any); its Name is "" if there is none. It takes memory from a
// streamed model only where that costs little.
func (l *library) chooseDraft(c *candidate, budget int64) engine.ModelFile {
	list, err := l.files.List()
	if err != nil {
		return engine.ModelFile{}
	}
	size := c.r.Size()
	var best engine.ModelFile
	for _, m := range list {
		if m.BuiltIn { // its vocabulary is its own
			continue
		}
		if m.Size > size/draftShare || m.Size <= best.Size {
			continue
		}
		if beyond := size + m.Size - budget; budget > 0 && beyond > 0 &&
			(size <= budget || m.Size > (size-budget)/draftLayout || m.Size > budget/2) {
			continue
		}
		if d, err := l.candidate(m); err == nil {
			d.r.Close()
			if draft.SameVocabulary(c.tables, d.tables) {
				best = m
			}
		}
	}
	return best
}

// loadDraft loads the model that drafts for m. Answers are the same without it, so
// a failure is not worth a word; when ctx is done, m goes without.
func (l *library) loadDraft(ctx context.Context, m *engine.Model, file engine.ModelFile) {
	if file.Name == "" {
		return
	}
	r, err := l.files.Open(file.Name)
	if err != nil {
		return
	}
	defer r.Close()
	o := l.options.LLM
	o.SessionLimit /= 8
	p := l.ui.Progress("Loading "+gguf.PlainName(file.Name)+" to draft for it", file.Size)
	o.Progress = func(done, _ int64) { p.Set(done) }
	if m.DraftWith(&stoppable{ModelReader: r, ctx: ctx}, o) == nil {
		l.drafts = file.Name
	}
	p.Done()
	if ctx.Err() != nil {
		l.ui.Quiet("Answers come without its drafts, and are the same.")
	}
}
