package assistant

// Whether what is in memory and on the drive is still what it was. Something may write into
// memory that is not ours, memory may be bad, and a drive may decay: a person who wonders about
// answers can know.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// verdict is what became of one thing that was checked.
type verdict struct {
	what, text string
	state      state
}

type state int

const (
	right state = iota
	unsure
	failed // it could not be checked
	wrong
)

// check runs /check. What is wrong is told, with what to do, when it is found; the end is a
// line for each thing.
func (c *commands) check(ctx context.Context) {
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	c.ui.Quiet("What is in memory and on the drive is checked. Enter or Ctrl-C stops that.")
	worst := right
	for _, v := range append(c.library.check(ctx), c.journal.check(ctx)) {
		show(c.ui, console.Field{Name: v.what, Value: v.text})
		worst = max(worst, v.state)
	}
	switch {
	case worst == wrong:
		c.ui.Error("Not all is right: see above.")
	case ctx.Err() != nil:
		say(c.ui, "Stopped before all was checked.")
	case worst == failed:
		c.ui.Error("Not all could be checked: see above.")
	case worst == unsure:
		say(c.ui, "All that could be checked is right.")
	default:
		say(c.ui, "All is right.")
	}
}

// verify runs /models verify: it compares files on the drive with what was signed. What is wrong is told, one line for each.
func (c *commands) verify(ctx context.Context, fingerprint string) {
	if c.drive.Verify == nil {
		say(c.ui, "There is no AlphaOS drive here to verify: alphaos drive verify does that with one.")
		return
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	c.ui.Quiet("The program, the models and the fonts on the drive are compared with what was signed. Enter or Ctrl-C stops that.")
	var p engine.Progress
	r, err := c.drive.Verify(ctx, fingerprint, func(done, total int64) {
		if p == nil {
			p = c.ui.Progress("Comparing with what was signed", total)
		}
		p.Set(done)
	})
	if p != nil {
		p.Done()
	}
	if r != nil {
		if r.Known {
			say(c.ui, r.By)
		} else {
			c.ui.Notice(r.By)
		}
		for _, s := range r.Wrong {
			c.ui.Error(s)
		}
	}
	switch {
	case ctx.Err() != nil:
		say(c.ui, "Stopped before all was compared.")
	case err != nil:
		c.ui.Error(sentence(err))
	case len(r.Wrong) > 0:
		c.ui.Error(r.Result())
	default:
		say(c.ui, r.Result())
	}
}

// checking runs a step and shows how far it is.
func checking(ctx context.Context, s Screen, title string, total int64, step func(progress func(done int64)) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := s.Progress(title, total)
	defer p.Done()
	return step(p.Set)
}

// unchecked is the verdict on what was not checked to the end.
func unchecked(ctx context.Context, what string, err error) verdict {
	if ctx.Err() != nil {
		return verdict{what, "not checked to the end", unsure}
	}
	return verdict{what, "not checked: " + fs.Reason(err), failed}
}

// check checks the model in use, and the file of the one that drafts for it.
func (l *library) check(ctx context.Context) []verdict {
	if l.talk.model == nil {
		return []verdict{{"memory", "no model is loaded", unsure}}
	}
	name, short := l.talk.name, gguf.PlainName(l.talk.name)
	memory, file := l.checkMemory(ctx), l.checkFile(ctx, name)
	all := []verdict{memory, file}
	if l.drafts != "" {
		all = append(all, l.checkFile(ctx, l.drafts))
	}
	switch {
	case memory.state == wrong && file.state == wrong:
		l.ui.Error("So it can't be loaded again. /models lists others.")
	case memory.state == wrong && (ctx.Err() != nil || file.state == failed):
		l.ui.Error(fmt.Sprintf("/load %s loads it again.", short))
	case memory.state == wrong:
		m, err := l.find(name)
		if err != nil {
			l.ui.Error(sentence(err))
		} else if l.load(ctx, m) == nil {
			all[0].text += "; loaded again"
			l.ui.Notice(fmt.Sprintf("Note: %s is loaded again. If /check finds that once more, use another computer, and send a /report of this one.", short))
		}
	case memory.state == right && file.state == wrong && l.talk.model.Info.Streamed == 0:
		l.ui.Quiet(fmt.Sprintf("What is in memory of %s is right: you can go on until you switch off.", short))
	}
	return all
}

// find finds a model by the name of its file.
func (l *library) find(name string) (engine.ModelFile, error) {
	list, err := l.files.List()
	for _, m := range list {
		if m.Name == name {
			return m, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("the model %s is not in the models folder any more", gguf.PlainName(name))
	}
	return engine.ModelFile{}, err
}

// checkMemory compares weights with what they were when they were loaded.
func (l *library) checkMemory(ctx context.Context) verdict {
	const what = "memory"
	m, name := l.talk.model, gguf.PlainName(l.talk.name)
	total := m.Checkable()
	var bad []llm.Damage
	err := checking(ctx, l.ui, "Checking "+name+" in memory", total, func(progress func(int64)) (err error) {
		bad, err = m.Recheck(ctx, progress)
		return err
	})
	if len(bad) > 0 {
		where := fmt.Sprintf("within %s of %s at %#x", console.Bytes(bad[0].Bytes), bad[0].Tensor, bad[0].Address)
		if len(bad) > 1 {
			where = fmt.Sprintf("in %d places, the first %s", len(bad), where)
		}
		l.ui.Error(fmt.Sprintf("The weights of %s have changed in memory since they were loaded, %s. Something else wrote there, or the memory is bad; answers may have been wrong.", name, where))
		return verdict{what, fmt.Sprintf("%s of weights, changed in %s", console.Bytes(total), count(len(bad), "place", "places")), wrong}
	}
	if err != nil {
		return unchecked(ctx, what, err)
	}
	text := console.Bytes(total) + " of weights, as they were loaded"
	if m.Info.Streamed > 0 {
		text += "; the others are read from the drive for each token"
	}
	return verdict{what, text, right}
}

// checkFile reads a model's file, and compares it with its checksum.
func (l *library) checkFile(ctx context.Context, name string) verdict {
	what, short := "model file", gguf.PlainName(name)
	if file, err := l.find(name); err == nil && file.BuiltIn {
		return verdict{what, short + " is part of the program", right}
	}
	r, err := l.files.Open(name)
	compared := false
	if err == nil {
		defer r.Close()
		err = checking(ctx, l.ui, "Reading "+short+" from the drive", r.Size(), func(progress func(int64)) (err error) {
			compared, err = r.Reread(ctx, progress)
			return err
		})
	}
	switch {
	case err == nil && compared:
		return verdict{what, fmt.Sprintf("%s, %s, as its checksum says", short, console.Bytes(r.Size())), right}
	case err == nil:
		if note := r.Note(); note != "" {
			l.ui.Quiet(note)
		}
		return verdict{what, fmt.Sprintf("%s, %s, can be read; there is no checksum to compare it with", short, console.Bytes(r.Size())), unsure}
	case ctx.Err() != nil:
		return unchecked(ctx, what, err)
	case errors.Is(err, fs.ErrRemoved), errors.Is(err, fs.ErrIO):
		l.ui.Error(fmt.Sprintf("The file of %s can't be read: %s", short, fs.Explain(err)))
		return unchecked(ctx, what, err)
	}
	l.ui.Error(sentence(err))
	return verdict{what, short + " is damaged", wrong}
}

// check compares the journal's two copies.
func (j *journal) check(ctx context.Context) verdict {
	const what = "journal"
	if j.store == nil {
		return verdict{what, "there is none: nothing is saved in this session", unsure}
	}
	var h store.Health
	err := checking(ctx, j.ui, "Checking the journal", j.store.Checkable(), func(progress func(int64)) (err error) {
		h, err = j.store.Check(ctx, progress)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			j.ui.Error("The journal was not checked: " + fs.Explain(err))
		}
		return unchecked(ctx, what, err)
	}
	if h.Sound() {
		return verdict{what, count(h.Records, "record", "records") + ", the same in both copies", right}
	}
	var words []string
	for i, which := range []string{"first", "second"} {
		if n := h.Hurt[i]; n > 0 {
			words = append(words, fmt.Sprintf("%s damaged in the %s copy alone", count(n, "record is", "records are"), which))
		}
	}
	if h.Unread > 0 {
		words = append(words, fmt.Sprintf("the drive fails to read %s", count(h.Unread, "block", "blocks")))
	}
	advice := "/restart mends that. If it comes again, the drive decays: copy it."
	if j.store.Degraded() || h.Unread > 0 {
		advice = "The drive fails in places: copy it soon."
	}
	if h.Lost > 0 {
		words = append(words, fmt.Sprintf("%s damaged in both copies", count(int(h.Lost), "record is", "records are")))
		advice = "/history shows until you switch off what was in them: note down what you need, and copy the drive."
	}
	text := strings.Join(words, ", ")
	j.ui.Error(fmt.Sprintf("The journal is not as it was written: %s. %s", text, advice))
	return verdict{what, text, wrong}
}
