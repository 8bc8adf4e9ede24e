package assistant

// What is done in a spare moment: what was deleted is taken off the drive, and a backup is made. Both go on only while the person
// is asked for a line and types nothing, in small steps: no answer and no key waits for them.

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"alphaos/archive"
	"alphaos/console"
	"alphaos/fs"
	"alphaos/store"
)

// spare does that. A nil spare does nothing.
type spare struct {
	ui       UI
	store    *store.Store
	files    *projection      // of conversations; nil: there are none
	database *projection      // nil: there is none
	backups  *archive.Backups // nil: there is no place for any
	after    time.Duration    // spareAfter, but in tests

	mu     sync.Mutex
	asked  time.Time // since when the person is asked for a line; zero: they are not
	news   []string  // to be told when the line is there
	failed bool      // a backup could not be made, which is said once
	stuck  bool      // what was deleted can't be taken off in this session, which is said once

	cancel context.CancelFunc // ends what is being done; nil: nothing is
	done   chan struct{}
}

const (
	spareAfter = 3 * time.Second
	spareLook  = 100 * time.Millisecond
	spareEnd   = 5 * time.Second // for a backup that a shutdown makes, and for taking out of backups what was deleted
)

// begin tells that the person is asked for a line. The function it returns tells that the line is there.
func (s *spare) begin() (end func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
	if s.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.cancel, s.done = cancel, make(chan struct{})
		go s.work(ctx, s.done)
	}
	return s.pause
}

func (s *spare) pause() {
	s.mu.Lock()
	news := s.news
	s.asked, s.news = time.Time{}, nil
	s.mu.Unlock()
	for _, n := range news {
		s.ui.Quiet(n)
	}
}

// stop ends what is being done.
func (s *spare) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// wait waits for a spare moment.
func (s *spare) wait(ctx context.Context) error {
	for {
		runtime.Gosched()
		s.mu.Lock()
		now := !s.asked.IsZero() && time.Since(s.asked) >= s.after
		s.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if now && s.ui.Waiting() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(spareLook):
		}
	}
}

// work does what there is to do.
func (s *spare) work(ctx context.Context, done chan struct{}) {
	defer close(done)
	wait := func() error { return s.wait(ctx) }
	if wait() == nil && !s.stuck && s.left() {
		switch err := s.removeDeleted(ctx, wait); {
		case ctx.Err() != nil: // it is done later
		case err != nil:
			s.stuck = true
			s.tell(sentence(err) + " It is tried again when you shut down.")
		default:
			if s.files.upToDate() {
				s.tell("What you deleted is off the drive now, also out of the backups.")
			} else {
				s.tell("What you deleted is off the drive now, also out of the backups, but for files of it or their names: these go in a later moment, at the latest at the next start.")
			}
		}
	}
	if wait() == nil && !s.failed {
		if err := s.backUp(wait); err != nil && ctx.Err() == nil {
			s.failed = true
			s.tell("No backup could be made. " + sentence(err))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	s.cancel, s.done = nil, nil
}

func (s *spare) tell(sentence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = append(s.news, sentence)
}

// removeDeleted takes what was deleted out of the database, the journal and the backups.
func (s *spare) removeDeleted(ctx context.Context, wait func() error) error {
	if s.store.Deleted() {
		if err := s.database.write(ctx); err != nil {
			return fmt.Errorf("%w, in the knowledge database: %w", store.ErrNotCompacted, err)
		}
		if err := s.store.Compact(ctx); err != nil {
			return err
		}
	}
	if s.backups == nil {
		return nil
	}
	if _, err := s.backups.Purge(wait); err != nil {
		return fmt.Errorf("%w, in backups: %w", store.ErrNotCompacted, err)
	}
	return nil
}

// makeRoom takes what was deleted off a full drive, and tells whether that was something.
func (s *spare) makeRoom() bool {
	if s == nil || !s.store.Deleted() {
		return false
	}
	s.stop()
	return s.removeDeleted(context.Background(), func() error { return nil }) == nil
}

// left tells whether something that was deleted is left on the drive.
func (s *spare) left() bool {
	return s.store.Deleted() || s.backups != nil && s.backups.Stale()
}

// backUp makes a backup if one is due.
func (s *spare) backUp(wait func() error) error {
	if s.backups == nil {
		return nil
	}
	due, err := s.backups.Due()
	if err == nil && due {
		_, err = s.backups.Make(wait, func(int64) {})
	}
	return err
}

// finish does what is due before the end.
func (s *spare) finish() {
	if s == nil {
		return
	}
	s.stop()
	ctx, done := context.WithTimeout(context.Background(), spareEnd)
	defer done()
	if s.left() {
		if err := s.removeDeleted(context.Background(), ctx.Err); err != nil {
			s.ui.Notice(sentence(err))
		} else if !s.files.upToDate() {
			s.ui.Quiet("What you deleted: taken off the drive, but for files of it or their names; these go at the next start")
		} else {
			s.ui.Quiet("What you deleted: taken off the drive")
		}
	}
	if !s.failed && s.backUp(ctx.Err) != nil && ctx.Err() == nil {
		s.ui.Quiet("Backup: not written")
	}
}

// backup runs /backup.
func (c *commands) backup(ctx context.Context, rest string) {
	switch {
	case c.spare == nil || c.spare.backups == nil:
		say(c.ui, "There is no place for backups in this session.")
	case rest == "":
		c.listBackups()
	case strings.EqualFold(rest, "now"):
		c.backUpNow(ctx)
	default:
		say(c.ui, "/backup lists the backups of what was said; /backup now makes one.")
	}
}

func (c *commands) listBackups() {
	list, err := c.spare.backups.List()
	if err != nil {
		c.ui.Error("The backups can't be read: " + fs.Explain(err))
		return
	}
	total := int64(0)
	for _, b := range list {
		total += b.Size
		what := "can't be read"
		if b.Broken == nil {
			what = fmt.Sprintf("%s, %s", count(b.Head.Conversations, "conversation", "conversations"), count(b.Head.Messages, "message", "messages"))
		}
		say(c.ui, fmt.Sprintf("  %-9s  %s  %s", console.Bytes(b.Size), b.Name, what))
	}
	if len(list) == 0 {
		say(c.ui, "There is no backup yet. One is made each day in a quiet moment; /backup now makes one.")
		return
	}
	say(c.ui, fmt.Sprintf("%s, %s, in %s.", count(len(list), "backup", "backups"), console.Bytes(total), c.drive.BackupPlace))
	c.ui.Quiet("The newest of seven days and of four weeks stay. alphaos store restore gets them back, on another computer.")
}

func (c *commands) backUpNow(ctx context.Context) {
	if len(c.journal.store.Conversations()) == 0 {
		say(c.ui, "Nothing is saved yet that a backup could have.")
		return
	}
	c.spare.stop()
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	b := c.spare.backups
	p := c.ui.Progress("Backup", b.Size())
	made, err := b.Make(ctx.Err, p.Set)
	p.Done()
	switch {
	case err != nil && ctx.Err() != nil:
		c.ui.Quiet("Stopped. The earlier backups are as they were.")
	case err != nil:
		c.ui.Error("No backup could be made: " + fs.Explain(err))
	default:
		say(c.ui, fmt.Sprintf("Backup written and read back: %s, %s (%s).", made.Name, count(made.Head.Messages, "message", "messages"), console.Bytes(made.Size)))
	}
}
