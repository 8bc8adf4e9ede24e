package boot

// What a verbose start tells, line by line with the time since the firmware handed
// over: on the screen, on the serial port and in a file on the drive.
//
// Whether anybody wants to see it becomes known late (the file of options is on the
// drive), so lines are always collected, and shown from the first one on when they
// are asked for. The file is preallocated and overwritten in place: writing it changes
// nothing else on the drive. Invariant: a log that cannot be written, or is longer
// than its file, never stops the start. What could not be written is written with the
// next save: the drive may be back by then.

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// Log collects the lines of a start.
type Log struct {
	mu    sync.Mutex
	now   func() time.Duration // since the firmware handed over
	lines []string
	quiet func(line string) // shows a line; nil: not yet, or never
	file  logMedium         // nil: not saved
	saved int               // bytes of the text that are in the file
}

// logMedium is a preallocated file: readfs.InPlace.
type logMedium interface {
	io.WriterAt
	Size() int64
	Sync() error
}

// Printf adds a line.
func (l *Log) Printf(format string, args ...any) {
	line := fmt.Sprintf("%8.3f  ", l.now().Seconds()) + fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if l.quiet != nil {
		l.quiet(line)
	}
}

// Show shows all lines so far and those to come.
func (l *Log) Show(quiet func(line string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = quiet
	for _, line := range l.lines {
		quiet(line)
	}
}

// keep has the log saved in file from here on; nil: nowhere.
func (l *Log) keep(file logMedium) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.saved = file, 0
}

// Save writes the lines so far to the file. What an earlier start left there goes
// with the first save; what does not fit is left out. A medium may add lines while it
// is written: that it fails, for one.
func (l *Log) Save() error {
	l.mu.Lock()
	lines, file, from := l.lines, l.file, l.saved
	l.mu.Unlock()
	if file == nil {
		return nil
	}
	var text bytes.Buffer
	for _, line := range lines {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	page := bytes.Repeat([]byte("\n"), int(file.Size()))
	end := copy(page, text.Bytes())
	to := end
	if from == 0 {
		to = len(page)
	}
	if from >= to {
		return nil
	}
	if _, err := file.WriteAt(page[from:to], int64(from)); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	l.saved = end
	l.mu.Unlock()
	return nil
}
