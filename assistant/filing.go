package assistant

// What is written to the drive for other computers: a file for each conversation, and a database of everything. It is done
// while the person is asked for a line, so no answer waits for it, and at the end.

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"alphaos/archive"
	"alphaos/fs"
)

// A Projection is made of what is on the drive. Keep brings it up to date until ctx is done, and goes on from there the next time;
// note is a sentence for the person, or empty.
type Projection interface {
	Keep(ctx context.Context) (note string, err error)
}

// projection is one of those that are kept. Nil is none.
type projection struct {
	keep   func(context.Context) (note string, err error)
	what   string // it is, in the list of a shutdown
	failed string // how a sentence begins that says that it could not be written

	mu   sync.Mutex
	note string // to be told
	err  error
	told string // the last failure
	done bool   // it was up to date when it was last written
}

const (
	filesAfter = time.Second     // the person has not begun to type at once
	filesEnd   = 8 * time.Second // at most, for what a shutdown still writes; what is left comes at the next start
)

func (p *projection) write(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		p.done = false
		return ctx.Err()
	}
	note, err := p.keep(ctx)
	p.note, p.err, p.done = cmp.Or(note, p.note), err, err == nil && ctx.Err() == nil
	return err
}

// upToDate tells whether the last write, for the end of which it waits, left nothing to do.
func (p *projection) upToDate() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// tell tells what came of it: a failure once.
func (p *projection) tell(ui UI) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.note != "" {
		ui.Quiet(p.note)
	}
	failure := ""
	switch names := (archive.NamesLeft{}); {
	case errors.As(p.err, &names):
		failure = "Names of files that were removed could not be taken off the drive: " + fs.Explain(p.err) + " That is tried again, at the latest at the next start."
	case p.err != nil:
		failure = p.failed + " could not be written: " + fs.Explain(p.err) + " What was said is saved all the same."
	}
	if failure != "" && failure != p.told {
		ui.Quiet(failure)
	}
	p.note, p.told = "", failure
}

// finish brings it up to date before the end.
func (p *projection) finish(ui UI) {
	if p == nil {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), filesEnd)
	defer done()
	err := p.write(ctx)
	p.tell(ui)
	switch {
	case ctx.Err() != nil:
		ui.Quiet(p.what + ": a part; the rest at the next start")
	case err != nil: // told
	default:
		ui.Quiet(p.what + ": written")
	}
}

// filing keeps them.
type filing struct {
	ui              UI
	files, database *projection
}

// keep brings all up to date in the background. The function it returns ends that, behind what is being written.
func (s *filing) keep(ctx context.Context) (stop func()) {
	if s.files == nil && s.database == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-time.After(filesAfter):
			_ = s.files.write(ctx) // tell tells
			_ = s.database.write(ctx)
		}
	}()
	return func() {
		cancel()
		<-ended
		s.files.tell(s.ui)
		s.database.tell(s.ui)
	}
}
