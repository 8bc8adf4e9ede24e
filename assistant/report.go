package assistant

// A report about the machine, for whoever can do something about one that AlphaOS does not
// work well on. It is read and sent by its owner, so it tells of the machine and nothing of
// the person.
//
// Invariant: whatever goes wrong becomes a line of the report. What can be said at once is
// saved before anything is measured, lest a machine that stops meanwhile leave nothing.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm/gguf"
)

// Section is a part of the report.
type Section struct {
	Name  string
	Slow  bool // it measures, which takes seconds
	GUIDs bool // those in it are of kinds of things, and no secret
	Facts func(context.Context, ShowProgress) ([]console.Field, error)
}

// ShowProgress begins to show how far a step of total bytes is.
type ShowProgress func(title string, total int64) engine.Progress

const reportHead = `This is a report of AlphaOS about a machine. It has nothing of conversations, no names of
documents, no serial numbers and no network addresses. Read it before you send it.
`

const reportCut = "\nThe rest is missing: AlphaOS stopped while it measured.\n"

// report runs /report.
func (c *commands) report(ctx context.Context) {
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	c.ui.Quiet("A report about this machine is written, which takes up to half a minute. Enter leaves out what is still to be measured.")
	now := c.past.now()
	var text strings.Builder
	fmt.Fprintf(&text, "%s%s\n", reportHead, now.UTC().Format("2006-01-02 15:04 UTC"))
	all := append(c.machine.Sections(), c.sections()...)
	write := func(slow bool) {
		for _, s := range all {
			if s.Slow == slow {
				text.WriteString(s.write(ctx, c.ui.Progress))
			}
		}
	}
	write(false)
	name, finish, err := "", func([]byte) error { return nil }, errors.New("there is no drive")
	if c.drive.Report != nil {
		name, finish, err = c.drive.Report(now, []byte(text.String()+reportCut))
	}
	write(true)
	if err == nil {
		err = finish([]byte(text.String()))
	}
	if err != nil {
		say(c.ui, text.String())
		c.ui.Error("The report could not be saved, so it stands above: " + fs.Explain(err))
		return
	}
	say(c.ui, "The report is saved on the drive as "+name+". It tells of this machine and nothing of you: read it on another computer, then send it.")
}

// write returns the section as text.
func (s Section) write(ctx context.Context, show ShowProgress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n# %s\n", s.Name)
	line := func(f console.Field, mask bool) {
		f.Value = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, f.Value)
		if mask {
			f.Value = Mask(f.Value)
		}
		fmt.Fprintln(&b, strings.TrimRight(f.String(), " "))
	}
	fields, err := s.try(ctx, show)
	for _, f := range fields {
		line(f, !s.GUIDs)
	}
	if err != nil {
		for _, text := range strings.Split(err.Error(), "\n") {
			line(console.Field{Name: "failed", Value: text}, true)
		}
	}
	return b.String()
}

// try asks for the facts. An address that a table of the firmware gives may be none.
func (s Section) try(ctx context.Context, show ShowProgress) (fields []console.Field, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if s.Slow && ctx.Err() != nil {
		return nil, errors.New("left out")
	}
	return s.Facts(ctx, show)
}

// sections are what the assistant itself has to tell.
func (c *commands) sections() []Section {
	return []Section{
		{Name: "models", Facts: func(context.Context, ShowProgress) (fields []console.Field, err error) {
			list, err := c.library.files.List()
			for _, m := range list {
				fields = append(fields, console.Field{Name: console.Bytes(m.Size), Value: strings.TrimRight(gguf.PlainName(m.Name)+", "+c.library.remark(m), ", ")})
			}
			return fields, err
		}},
		{Name: "journal", Facts: func(context.Context, ShowProgress) ([]console.Field, error) {
			s := c.journal.store
			if s == nil {
				return nil, errors.New("there is none")
			}
			used, total := s.Usage()
			return []console.Field{{Name: "used", Value: fmt.Sprintf("%d of %d KiB", used>>10, total>>10)},
				{Name: "degraded", Value: fmt.Sprint(s.Degraded())}}, nil
		}},
		{Name: "engine", Slow: true, Facts: c.measure},
	}
}

// measure tells how fast the model in use reads and writes, or the one that is part of the
// program.
func (c *commands) measure(ctx context.Context, _ ShowProgress) ([]console.Field, error) {
	m, name := c.talk.model, c.talk.name
	if m == nil {
		var done func()
		var err error
		if m, name, done, err = c.library.borrow(); err != nil {
			return nil, err
		}
		defer done()
	}
	fields := append([]console.Field{{Name: "model", Value: gguf.PlainName(name)}}, m.Describe()...)
	w := m.LLM()
	if w == nil {
		return fields, errors.New("this model has no weights to compute with")
	}
	const prompt, answer, most = 128, 32, 8 * time.Second
	s, err := w.NewSession(prompt + answer)
	if err != nil {
		return fields, err
	}
	c.ui.Quiet("Measuring how fast " + gguf.PlainName(name) + " computes.")
	ids := make([]int32, min(prompt, s.Cap()-answer))
	for i := range ids { // any tokens will do: the time does not depend on them
		ids[i] = int32((i*7919 + 17) % w.Info().Vocabulary)
	}
	rate := func(what string, began time.Time, tokens int, err error) {
		value := fmt.Sprintf("%.2f tokens/s (%d tokens)", float64(tokens)/time.Since(began).Seconds(), tokens)
		if tokens == 0 {
			value = fmt.Sprintf("not one token in %.1f s", time.Since(began).Seconds())
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			value += ", then: " + err.Error()
		}
		fields = append(fields, console.Field{Name: what, Value: value})
	}
	limited, cancel := context.WithTimeout(ctx, most)
	began := time.Now()
	_, err = s.Eval(limited, ids)
	rate("reads", began, s.Len(), err)
	cancel()
	s.Truncate(min(s.Len(), len(ids)))
	limited, cancel = context.WithTimeout(ctx, most)
	defer cancel()
	began, before := time.Now(), s.Len()
	for err = nil; err == nil && s.Len() < before+answer && limited.Err() == nil; {
		_, err = s.Eval(limited, ids[:1])
	}
	rate("writes", began, s.Len()-before, err)
	return fields, nil
}

// borrow loads the model that is part of the program, until done is called.
func (l *library) borrow() (m *engine.Model, name string, done func(), err error) {
	list, _ := l.files.List()
	for _, f := range list {
		if !f.BuiltIn {
			continue
		}
		r, err := l.files.Open(f.Name)
		if err != nil {
			return nil, "", nil, err
		}
		m, err := l.loader.Load(r, l.options)
		if err != nil {
			r.Close()
			return nil, "", nil, err
		}
		return m, f.Name, func() { m.Close(); r.Close() }, nil
	}
	return nil, "", nil, errors.New("no model is loaded, and none is part of the program")
}
