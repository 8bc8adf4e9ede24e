package boot

// The other processors. There is firmware that stops for ever in the call that starts them, and
// nothing can be done about it from within. So they are started late, when the person can see
// what is being done and the options are known, and the name of the computer is written to the
// drive before and taken away after: a name that is found there at the next start is that of a
// computer that stopped, and it goes on with the one processor that works.

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs/readfs"
)

// markMedium is the preallocated file of marks: *readfs.InPlace.
type markMedium interface {
	io.ReaderAt
	logMedium
}

const (
	marksSize = 4096 // bytes of the file that are looked at
	mostMarks = 20
	mostName  = 150 // bytes of a computer's name
)

// readMarks returns the computers that stopped, the latest last. What is no line of text, as in
// a damaged file, is none.
func readMarks(f markMedium) ([]string, error) {
	page := make([]byte, min(f.Size(), marksSize))
	if _, err := f.ReadAt(page, 0); err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(page)) {
		name := strings.TrimSuffix(line, "\n")
		if name != "" && name == markName(name) && strings.HasSuffix(line, "\n") && len(names) < mostMarks {
			names = append(names, name)
		}
	}
	return names, nil
}

// markName makes a name fit for a line of the file.
func markName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	return strings.TrimSpace(name[:min(len(name), mostName)])
}

func writeMarks(f markMedium, names []string) error {
	page := []byte(strings.Join(append(names, ""), "\n"))
	size := int(min(f.Size(), marksSize))
	for len(page) < size {
		page = append(page, '\n')
	}
	if _, err := f.WriteAt(page[:size], 0); err != nil {
		return err
	}
	return f.Sync()
}

// StartProcessors brings up the computer's other processors, as many as the options want, unless
// it stopped there before.
func (s *Start) StartProcessors(con *console.Console, d *drive.Drive) {
	most := s.machine.PresentProcessors()
	if s.CPUs > 0 {
		most = min(most, s.CPUs)
	}
	if most < 2 {
		return
	}
	var file markMedium
	var stopped []string
	name := markName(s.machine.Name())
	if f, err := d.OpenInPlace(drive.ProcessorsPath); err != nil {
		s.Log.Printf("processors: no mark is left on the drive: %v", err)
	} else if stopped, err = readMarks(f); err != nil {
		s.Log.Printf("processors: no mark is left on the drive: %v", err)
	} else {
		file = f
	}
	before := slices.DeleteFunc(slices.Clone(stopped), func(n string) bool { return n == name })
	if len(before) < len(stopped) && s.CPUs == 0 {
		con.Notice(fmt.Sprintf("This computer stopped when its other processors were being started, so AlphaOS uses one. The start option cpus=%d tries again; see docs/options.md.", most))
		s.Log.Printf("processors: not started: %q stopped there", name)
		return
	}
	mark := func(names []string) {
		if file == nil || d.ReadOnly() {
			return
		}
		if err := writeMarks(file, names); err != nil {
			s.Log.Printf("processors: the mark on the drive: %v", err)
		}
	}
	seen := con.Passing("Starting the other processors ...")
	mark(append(before[max(0, len(before)-mostMarks+1):], name))
	n := s.machine.StartProcessors(most)
	mark(before)
	seen()
	s.Log.Printf("processors: %d of %d in use", n, s.machine.PresentProcessors())
	if n == 1 {
		con.Notice("The other processors did not start, so AlphaOS uses one and is slower. It is safe to go on.")
	}
}

var _ markMedium = (*readfs.InPlace)(nil)
