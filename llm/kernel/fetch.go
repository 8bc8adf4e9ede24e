package kernel

import (
	"fmt"
	"slices"
)

// Fetch says what a kernel has fetched from memory before it multiplies it. A processor
// fetches ahead by itself, but not across the border of a 4 KiB page, and sees only as far
// as the instructions it has room for, which kernels that do much with each weight use up
// sooner. How much further is best differs from processor to processor, so that it is to
// be measured; it changes no result.
type Fetch struct {
	Ahead int  // bytes from a line that is used to the one fetched with it; 0: none is
	Page  int  // bytes to the page whose first line is fetched too, which opens the way; 0: none
	Far   int  // bytes to the line fetched into the second-level cache before Ahead brings it nearer; 0: none
	Runs  bool // four runs of rows are read in turn instead of one, each Ahead, where there is a kernel that does
}

// Fetches lists those worth trying, the one of new matrices first.
func Fetches() []Fetch { return slices.Clone(fetches) }

// Fetches lists those worth trying for products with m and one vector, in a slice of the caller's.
func (m *Matrix) Fetches() []Fetch {
	return slices.DeleteFunc(Fetches(), func(f Fetch) bool { return f.Runs && !m.set.runs(m.Type) })
}

// Into the first-level cache there are as many lines on the way as it has buffers for them; into the
// second there may be more. What a processor fetches by itself into the second, it does for several runs at once.
// The first three were each the best on some processor: a Zen 5, a Sapphire Rapids and a Zen 3.
var fetches = []Fetch{
	{Ahead: 4096, Page: 12288}, {Ahead: 2048, Far: 8192}, {Ahead: 512, Runs: true}, {Ahead: 1024},
	{}, {Ahead: 512}, {Ahead: 2048}, {Ahead: 4096}, {Ahead: 2048, Page: 10240},
	{Ahead: 256, Runs: true}, {Ahead: 1024, Runs: true}, {Ahead: 4096, Runs: true},
}

// Fetch makes products fetch as f says. None may be running.
func (m *Matrix) Fetch(f Fetch) { m.fetch = f }

// String is "none", "2048", "4096+12288", "2048,8192", or "4x512" for four runs.
func (f Fetch) String() string {
	if f.Runs {
		f.Runs = false
		return "4x" + f.String()
	}
	switch {
	case f == Fetch{}:
		return "none"
	case f.Far != 0:
		return fmt.Sprintf("%d,%d", f.Ahead, f.Far)
	case f.Page == 0:
		return fmt.Sprint(f.Ahead)
	}
	return fmt.Sprintf("%d+%d", f.Ahead, f.Page)
}

// ParseFetch reads what String writes.
func ParseFetch(s string) (Fetch, error) {
	for _, f := range fetches {
		if f.String() == s {
			return f, nil
		}
	}
	return Fetch{}, fmt.Errorf("nothing is fetched ahead as %q: use one of %v", s, fetches)
}
