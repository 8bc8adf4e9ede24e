package engine

import "strings"

// writer passes on the text of an answer, up to a stop string and without leading white space. It holds back what
// may be the beginning of a stop string. Characters come whole: a Reader sees to that.
type writer struct {
	sink  func(text string) error
	stops []string
	trim  bool // nothing but white space has come so far, and that is left out
	held  string
	text  strings.Builder // all that was passed on
	cut   bool            // a stop string was found
	err   error           // of the sink, which gets nothing more
}

func (w *writer) write(s string) {
	if w.cut {
		return
	}
	s, w.held = w.held+s, ""
	for _, stop := range w.stops {
		if i := strings.Index(s, stop); i >= 0 {
			s, w.cut = s[:i], true
		}
	}
	if !w.cut {
		keep := 0
		for _, stop := range w.stops {
			for n := min(len(stop)-1, len(s)); n > keep; n-- {
				if strings.HasSuffix(s, stop[:n]) {
					keep = n
				}
			}
		}
		s, w.held = s[:len(s)-keep], s[len(s)-keep:]
	}
	w.put(s)
}

// end passes on what was held back.
func (w *writer) end() {
	w.put(w.held)
	w.held = ""
}

func (w *writer) put(s string) {
	if w.trim {
		s = trimmed(s)
		w.trim = s == ""
	}
	if s == "" || w.err != nil {
		return
	}
	w.text.WriteString(s)
	w.err = w.sink(s)
}

func trimmed(s string) string { return strings.TrimLeft(s, " \t\r\n") }
