package fs

import (
	"fmt"
	"strings"
	"time"
)

// CheckOptions say what the check of a volume does with what it finds.
type CheckOptions struct {
	Repair   bool     // mend it
	SaveLost bool     // on FAT32: clusters that no file has become files FSCKnnnn.REC in the root, not free
	Protect  []string // paths of files whose place is not touched
	Time     time.Time

	// Watch, unless it is nil, is called before so many bytes are read or written, and ends the check with an
	// error. What was not mended then is as after a cut of power: the next repair does it.
	Watch func(bytes int) error
}

// ProblemKind says how bad a problem is.
type ProblemKind int

// The kinds, the least first.
const (
	Mark   ProblemKind = iota // a mark, a count or a copy is out of date
	Lost                      // room that nobody has, left by a cut of power: no file is concerned
	Damage                    // files or directories are concerned
)

// Problem is one thing that is wrong with a volume.
type Problem struct {
	Kind   ProblemKind
	Path   string // of the file or directory; "" for the volume
	What   string // is wrong, in a clause
	Remedy string // what was done, or has to be
	Mended bool
}

// Clause says what is wrong and what was done, to be part of a sentence.
func (p Problem) Clause() string {
	s := p.What
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Mended {
		s += " (" + p.Remedy + ")"
	}
	return s
}

func (p Problem) String() string {
	s := "The volume: "
	if p.Path != "" {
		s = p.Path + ": "
	}
	s += p.What
	switch {
	case p.Remedy == "":
		return s + "."
	case p.Mended:
		return s + ". Mended: " + p.Remedy + "."
	}
	return s + ". To be done: " + p.Remedy + "."
}

// Report is what a check found.
type Report struct {
	Problems         []Problem // at most some
	More             int       // others
	Files, Dirs      int
	Unit             string // what room is counted in, if not in clusters
	Clusters         int64  // in all
	Free, Bad, Freed int64  // clusters: free now; marked as bad; that nobody had
	Saved            int    // files made of these
}

// String is the report in lines for a person.
func (r Report) String() string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "... and %d problems more.\n", r.More)
	}
	unit := r.Unit
	if unit == "" {
		unit = "clusters"
	}
	fmt.Fprintf(&b, "%d files in %d directories; %d of %d %s are free", r.Files, r.Dirs, r.Free, r.Clusters, unit)
	if r.Bad > 0 {
		fmt.Fprintf(&b, ", %d are marked as bad", r.Bad)
	}
	b.WriteString(".\n")
	if len(r.Problems) == 0 {
		b.WriteString("The file system is in order.\n")
	}
	return b.String()
}
