package assistant

// A file for each conversation on the drive, that any computer can read. They are written while the person is asked for
// a line, so no answer waits for them, and at the end.

import (
	"context"
	"time"

	"alphaos/archive"
	"alphaos/fs"
)

// filing keeps the files. A nil filing keeps none.
type filing struct {
	ui    UI
	files *archive.Keeper
	told  bool // that they can't be written
}

const (
	filesAfter = time.Second     // the person has not begun to type at once
	filesEnd   = 3 * time.Second // for what a shutdown still writes; what is left comes at the next start
)

// keep brings the files up to date in the background. The function it returns ends that, behind the file that is being
// written.
func (s *filing) keep(ctx context.Context) (stop func()) {
	if s == nil || s.told {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		select {
		case <-ctx.Done():
		case <-time.After(filesAfter):
			failed <- s.files.Keep(ctx)
		}
	}()
	return func() {
		cancel()
		s.tell(<-failed)
	}
}

// finish brings them up to date before the end.
func (s *filing) finish() {
	if s == nil || s.told {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), filesEnd)
	defer done()
	if s.tell(s.files.Keep(ctx)); !s.told {
		s.ui.Quiet("Files of conversations: written")
	}
}

func (s *filing) tell(err error) {
	if err != nil {
		s.told = true
		s.ui.Quiet("The files in which other computers can read your conversations could not be written: " + fs.Explain(err) + " What was said is saved all the same.")
	}
}
