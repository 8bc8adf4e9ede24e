package console

// Answers are Markdown, and come token by token. This is a line machine: a line is laid out when its first
// characters are there, and anew with each token that could change what came before, so that a person reads along
// and still sees bold text in bold. What its end will decide is guessed at: two stars with text behind them begin
// bold text, and are two stars after all if none follow. Each line of the source is a line, as models mean it.
// Invariant: when a line has ended, it looks as if it had come at once.
//
// Known are headings, lists, quotes, rules, fenced code, tables, bold and italic text, text that is struck out,
// code in a line, links, references such as [1], and backslashes. A table is laid out when it has ended; till then
// its rows stand there as they came. All else is shown as it is. Neither the journal nor the serial line knows of this.

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type markdown struct {
	p    *page
	raw  bool // show the answer as it came
	open bool // an answer was begun

	base  int    // the answer's left edge
	first []cell // what stands in its first row already: who speaks
	begun int    // that row

	line []byte // the line that is being written
	row  int    // where it begins
	long bool   // it has more than maxLine bytes, of which the rest is written as it comes

	easy  bool  // text without marks can be appended to the line as it is,
	style Style // in this style

	fence   string // what ends fenced code; "": there is none
	strip   int    // blanks in front of the line that began it
	coded   int    // its lines so far
	numbers int    // code blocks so far, of this answer and those before
	from    int    // those before the next answer

	table    []string // lines that may be one
	tableRow int      // where they begin
	lists    []int    // the columns of the source in which the lists begin that this line is in
	blank    bool     // the last line was blank
}

const maxLine = 4 << 10

// begin begins an answer in the last row, behind what stands there.
func (m *markdown) begin() {
	*m = markdown{p: m.p, raw: m.raw, from: m.from, numbers: m.from, open: true, base: m.p.indent(), begun: m.p.end() - 1, blank: true}
	m.first = append(m.first, *m.p.row()...)
	m.p.record(codePiece, strconv.Itoa(m.from))
	m.p.record(answerPiece, "")
}

// write writes clean text.
func (m *markdown) write(s string) {
	if s == "" {
		return
	}
	m.p.record(morePiece, s)
	m.p.muted = true
	for {
		line, rest, ended := strings.Cut(s, "\n")
		m.add(line)
		if !ended {
			break
		}
		m.end()
		s = rest
	}
	m.p.muted = false
}

// add adds to the line.
func (m *markdown) add(s string) {
	if s == "" {
		return
	}
	if len(m.line) == 0 {
		if m.row = m.p.end() - 1; !m.p.fresh && m.row != m.begun {
			m.p.endRow()
			m.row++
		}
		m.style = Answer
	}
	switch {
	case m.raw || m.long:
		m.line = append(m.line[:0], 'x')
		m.p.style = m.style
		m.p.write(s)
	case len(m.line)+len(s) > maxLine:
		n := maxLine - len(m.line)
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		if len(m.table) > 0 {
			m.endTable()
		}
		m.line = append(m.line, s[:n]...)
		if m.fence != "" {
			m.end()
		} else {
			m.lay(false)
			m.long = true
		}
		m.add(s[n:])
	case m.easy && !strings.ContainsAny(s, marks):
		m.line = append(m.line, s...)
		m.p.style = m.style
		m.p.write(s)
	default:
		m.line = append(m.line, s...)
		m.lay(false)
	}
}

// end ends the line.
func (m *markdown) end() {
	if len(m.line) == 0 {
		m.row = m.p.end() - 1
	}
	if m.raw || m.long {
		m.p.setIndent(m.base)
		m.p.endRow()
	} else {
		m.lay(true)
	}
	m.line, m.long, m.easy = m.line[:0], false, false
}

// pause ends the line and the table, since something else is to be shown.
func (m *markdown) pause() {
	if !m.open {
		return
	}
	m.p.record(pausePiece, "")
	m.p.muted = true
	if len(m.line) > 0 {
		m.end()
	}
	if len(m.table) > 0 {
		m.endTable()
	}
	m.p.setIndent(m.base)
	if !m.p.fresh {
		m.p.endRow()
	}
	m.p.muted = false
}

// rewind takes back all rows from row on.
func (m *markdown) rewind(row int) {
	m.p.setIndent(m.base)
	m.p.rewind(row)
	m.start(blankCells(m.base))
}

// start has the last row, and those that go on with it, begin with cells.
func (m *markdown) start(lead []cell) {
	p := m.p
	p.hang = lead
	row := append((*p.row())[:0], lead...)
	if p.end()-1 == m.begun {
		p.fresh = false
		copy(row, m.first)
	}
	*p.row() = row
	p.lead = len(row)
}

// lay lays out the line, which has ended or not.
func (m *markdown) lay(ended bool) {
	line := string(m.line)
	m.rewind(m.row)
	m.easy, m.style = false, Answer
	body := strings.Trim(line, " \t")
	if m.fence != "" {
		m.layCode(line, ended)
		return
	}
	if len(m.table) > 0 && m.layRow(line, body, ended) {
		return
	}
	if !ended && strings.Trim(body, "#*+-`~_>|= ") == "" {
		return // that may become anything
	}
	switch {
	case body == "":
		m.lists = nil
		if !m.blank {
			m.next()
		}
		m.blank = true
	case len(fenceOf(body)) > 0:
		if ended {
			m.fence, m.strip, m.coded = fenceOf(body), len(line)-len(strings.TrimLeft(line, " \t")), 0
			m.numbers++
		}
	case body[0] == '|':
		m.layRow(line, body, ended)
	default:
		// A table need not have bars at its sides: then the second row tells that it is one.
		row := m.row
		m.layText(line, ended)
		if ended && strings.Contains(body, "|") {
			m.table, m.tableRow = []string{line}, row
		}
	}
}

// next begins the next row, at the end of a line.
func (m *markdown) next() {
	m.p.setIndent(m.base)
	m.p.endRow()
	m.row = m.p.end() - 1
}

// fenceOf returns the characters with which a line begins fenced code, or "".
func fenceOf(body string) string {
	for _, c := range [2]string{"`", "~"} {
		if n := len(body) - len(strings.TrimLeft(body, c)); n >= 3 && !strings.Contains(body[n:], "`") {
			return body[:n]
		}
	}
	return ""
}

// layText lays out a line of prose: a heading, a rule, an entry of a list, a quote, or a paragraph.
func (m *markdown) layText(line string, ended bool) {
	p := m.p
	body := strings.TrimLeft(line, " \t")
	column := len(line) - len(body)
	lead := append([]cell(nil), blankCells(m.base)...)
	quoted := strings.HasPrefix(body, ">")
	for strings.HasPrefix(body, ">") {
		lead = append(lead, cell{'│', rule, 0}, cell{id: ' '})
		body = strings.TrimPrefix(body[1:], " ")
	}
	if quoted {
		rest := strings.TrimLeft(body, " ")
		column, body = len(body)-len(rest), rest
	}
	style := Answer
	mark, entry, isEntry := itemOf(body)
	level, title := headingOf(body)
	switch {
	case level > 0 && title != "":
		if !m.blank && !quoted {
			p.endRow()
		}
		style, body, m.lists = heading, title, nil
	case ended && isRule(body):
		m.start(lead)
		for range max(min(p.prose(), p.cols-len(lead)), 0) {
			*p.row() = append(*p.row(), cell{'─', rule, 0})
		}
		p.fresh = false
		m.lists, m.blank = nil, false
		m.next()
		return
	case isEntry:
		depth := 0
		for depth < len(m.lists) && m.lists[depth]+1 < column {
			depth++
		}
		if ended {
			m.lists = append(m.lists[:depth:depth], column)
		}
		lead = append(lead, blankCells(2*min(depth, 8))...)
		m.start(lead)
		p.style = Answer
		p.write(mark)
		lead = append(lead, blankCells(textWidth(mark))...)
		body = entry
	case column > 0 && len(m.lists) > 0: // more of an entry
		depth := 0
		for depth < len(m.lists) && m.lists[depth] < column {
			depth++
		}
		lead = append(lead, blankCells(2*min(depth, 8))...)
	default:
		m.lists = nil
		lead = append(lead, blankCells(column)...) // drawings are made so
	}
	if len(lead) > p.cols/2 {
		lead = lead[:p.cols/2]
	}
	if isEntry && style == Answer {
		p.hang, p.lead = lead, len(*p.row())
	} else {
		m.start(lead)
	}
	p.fresh = false
	in := inliner{text: body, base: style, ended: ended, put: func(s string, st Style) {
		p.style = st
		p.write(s)
	}}
	in.run()
	r, _ := utf8.DecodeRuneInString(body)
	m.easy, m.style = in.settled && unicode.IsLetter(r), in.style
	if ended {
		m.blank = false
		m.next()
	}
}

// headingOf splits a heading into its level, from 1, and its text.
func headingOf(s string) (level int, title string) {
	for level < len(s) && s[level] == '#' {
		level++
	}
	if level == 0 || level > 6 || level < len(s) && s[level] != ' ' {
		return 0, ""
	}
	title = strings.TrimSpace(s[level:])
	if t := strings.TrimRight(title, "#"); strings.HasSuffix(t, " ") {
		title = strings.TrimSpace(t)
	}
	return level, title
}

// isRule tells whether a line divides what is above from what is below.
func isRule(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	return len(s) >= 3 && strings.ContainsAny(s[:1], "-*_") && strings.Trim(s, s[:1]) == ""
}

// itemOf splits an entry of a list into its mark, as it is shown, and its text.
func itemOf(s string) (mark, rest string, ok bool) {
	if len(s) > 2 && strings.ContainsAny(s[:1], "-*+") && s[1] == ' ' {
		rest = strings.TrimLeft(s[2:], " ")
		switch {
		case isRule(s):
			return "", "", false
		case strings.HasPrefix(rest, "[ ] "):
			return "☐ ", rest[4:], true
		case strings.HasPrefix(rest, "[x] "), strings.HasPrefix(rest, "[X] "):
			return "☑ ", rest[4:], true
		}
		return "• ", rest, true
	}
	n := 0
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n > 0 && n+1 < len(s) && (s[n] == '.' || s[n] == ')') && s[n+1] == ' ' {
		return s[:n+2], strings.TrimLeft(s[n+2:], " "), true
	}
	return "", "", false
}

const codeMargin = 4 // columns beside a code block, for its number

// layCode lays out a line of fenced code, or ends it.
func (m *markdown) layCode(line string, ended bool) {
	p := m.p
	body := strings.Trim(line, " \t")
	if fence := strings.TrimLeft(body, m.fence[:1]) == "" && len(body) >= len(m.fence); fence && ended {
		m.fence, m.blank = "", false
		return
	} else if !ended && strings.Trim(body, m.fence[:1]) == "" {
		return // the fence may follow
	}
	for n := 0; n < m.strip && strings.HasPrefix(line, " "); n++ {
		line = line[1:]
	}
	// The ground is as wide as prose, or as the line, up to the number at the edge of the screen.
	most := max(p.cols-m.base-2-codeMargin, 4)
	narrow := newPage(most, 1<<20, p.clusters)
	narrow.write(line)
	pad := cell{' ', code, 0}
	for i, cells := range narrow.lines {
		if i > 0 {
			p.endRow()
		}
		row := append(*p.row(), pad)
		for _, x := range cells {
			row = append(row, cell{x.id, code, x.mark})
		}
		caret := len(row)
		for wide := m.base + min(p.prose(), most) + 2; len(row) < wide; {
			row = append(row, pad)
		}
		if number := strconv.Itoa(m.numbers); i == 0 && m.coded == 0 && len(row)+1+len(number) <= p.cols {
			row = append(row, cell{id: ' '})
			for _, r := range number {
				row = append(row, cell{glyphID(r), Dim, 0})
			}
		}
		*p.row(), p.fresh, p.caret = row, false, caret
	}
	if ended {
		m.coded++
		m.next()
	}
}

// layRow shows a line that may be a row of a table as it came, and keeps it till the table has ended. It tells
// whether there is nothing more to do: else the line is something else, and the table, if it was one, is laid out.
func (m *markdown) layRow(line, body string, ended bool) bool {
	barred := len(m.table) == 0 || strings.HasPrefix(strings.Trim(m.table[0], " \t"), "|")
	switch {
	case barred && strings.HasPrefix(body, "|"):
		m.p.style = Dim
		m.p.write(line)
	case barred && body == "" && !ended:
		return true
	case !barred && !ended:
		return false // shown as text till then
	case !barred && (len(m.table) == 1 && aligned(body) != nil || len(m.table) > 1 && strings.Contains(body, "|")):
		m.p.style = Dim
		m.p.write(line)
	default:
		m.endTable()
		return false
	}
	if ended {
		if len(m.table) == 0 {
			m.tableRow = m.row
		}
		m.table = append(m.table, line)
		m.blank = false
		m.next()
	}
	return true
}

// marks are what text can't be appended to a line with, without looking at all of it.
const marks = "\\`*_~[]!"

// inliner gives styles to the text of a line.
type inliner struct {
	text  string
	base  Style
	ended bool // the line has: no more text follows
	put   func(s string, style Style)

	bold, italic, struck byte            // the characters with which these began; 0: they are off
	none                 map[string]bool // runs that end nothing in the rest of the line

	style   Style // at the end
	settled bool  // text without marks that follows changes nothing before it
}

func (in *inliner) now() Style {
	switch {
	case in.base == heading:
		return heading
	case in.struck != 0:
		return Dim
	case in.bold != 0:
		return strong
	case in.italic != 0:
		return emphasis
	}
	return in.base
}

func (in *inliner) run() {
	t := in.text
	in.settled = true
	from := 0 // of what is not shown yet
	show := func(to int) {
		if to > from {
			in.put(t[from:to], in.now())
		}
	}
	for i := 0; i < len(t); {
		n := 1
		for i+n < len(t) && t[i+n] == t[i] {
			n++
		}
		switch c := t[i]; {
		case c == '\\':
			if i+1 < len(t) && unicode.IsOneOf(punctuation, rune(t[i+1])) {
				show(i)
				from = i + 1
				i += 2
				continue
			}
			n = 1
			in.settled = in.settled && i+1 < len(t)
		case c == '`':
			show(i)
			end := closing(t[i+n:], n)
			if end < 0 {
				if in.ended {
					from = i
					break
				}
				in.put(t[i+n:], code)
				in.style = code
				return
			}
			s := t[i+n:][:end]
			if len(s) > 2 && s[0] == ' ' && s[len(s)-1] == ' ' {
				s = s[1 : len(s)-1]
			}
			in.put(s, code)
			i += n + end + n
			from = i
			continue
		case (c == '*' || c == '_') && n <= 3 || c == '~' && n == 2:
			if i+n == len(t) && !in.ended {
				show(i) // what follows will tell
				in.settled, in.style = false, in.now()
				return
			}
			before := *in
			opens, closes := flanks(t, i, n)
			if !(closes && in.close(c, n)) && opens && (!in.ended || in.closed(i+n, c, n)) {
				in.open(c, n)
			}
			if in.bold != before.bold || in.italic != before.italic || in.struck != before.struck {
				after := *in
				in.bold, in.italic, in.struck = before.bold, before.italic, before.struck
				show(i)
				in.bold, in.italic, in.struck = after.bold, after.italic, after.struck
				from = i + n
			}
		case c == '[' && n == 1 || c == '!' && n == 1 && strings.HasPrefix(t[i+1:], "["):
			at := i + n - 1
			if n = 1; c == '!' {
				at = i + 1
			}
			end := strings.IndexByte(t[at:], ']')
			if end < 0 {
				in.settled = false
				break
			}
			end += at
			label := t[at+1 : end]
			switch {
			case strings.HasPrefix(t[end+1:], "("):
				to := strings.IndexByte(t[end:], ')')
				if to < 0 {
					in.settled = false
					break
				}
				show(i)
				in.put(label, in.now())
				if url := t[end+2 : end+to]; url != "" && url != label {
					in.put(" ("+url+")", Dim)
				}
				i = end + to + 1
				from = i
				continue
			case c == '[' && label != "" && strings.Trim(label, "0123456789, ") == "":
				show(i)
				in.put(t[i:end+1], source)
				i = end + 1
				from = i
				in.settled = in.settled && i < len(t)
				continue
			}
			in.settled = in.settled && end+1 < len(t)
		case strings.IndexByte(marks, c) < 0:
			if n = strings.IndexAny(t[i:], marks); n < 0 {
				n = len(t) - i
			}
		}
		i += n
	}
	show(len(t))
	in.style = in.now()
}

// punctuation is what a backslash can stand before.
var punctuation = []*unicode.RangeTable{unicode.Punct, unicode.Symbol}

// closing finds a run of exactly n backquotes.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		if run == n {
			return i
		}
		i += run
	}
	return -1
}

// flanks tells whether a run of n stars at i may begin and end something (CommonMark 0.31, 6.2).
func flanks(t string, i, n int) (opens, closes bool) {
	before, _ := utf8.DecodeLastRuneInString(t[:i])
	after, _ := utf8.DecodeRuneInString(t[i+n:])
	space := func(r rune, end bool) bool { return end || unicode.IsSpace(r) }
	sb, sa := space(before, i == 0), space(after, i+n == len(t))
	pb, pa := unicode.IsOneOf(punctuation, before), unicode.IsOneOf(punctuation, after)
	left := !sa && (!pa || sb || pb)
	right := !sb && (!pb || sa || pa)
	if t[i] == '_' {
		return left && (!right || pb), right && (!left || pa)
	}
	return left, right
}

func (in *inliner) open(c byte, n int) {
	switch {
	case c == '~':
		in.struck = c
	case n == 1 && in.italic == 0:
		in.italic = c
	case n == 2 && in.bold == 0:
		in.bold = c
	case n == 3 && in.bold == 0 && in.italic == 0:
		in.bold, in.italic = c, c
	}
}

// close ends what a run of n characters began, if it did.
func (in *inliner) close(c byte, n int) bool {
	switch {
	case c == '~' && in.struck == c:
		in.struck = 0
	case n == 1 && in.italic == c:
		in.italic = 0
	case n == 2 && in.bold == c:
		in.bold = 0
	case n == 3 && in.bold == c && in.italic == c:
		in.bold, in.italic = 0, 0
	default:
		return false
	}
	return true
}

// closed tells whether what a run of n characters begins is ended by one behind from.
func (in *inliner) closed(from int, c byte, n int) bool {
	t := in.text
	mark := t[from-n : from]
	if in.none[mark] {
		return false
	}
	for i := from; i < len(t); {
		run := 1
		switch {
		case t[i] == '\\':
			run = 2
		case t[i] == c:
			for i+run < len(t) && t[i+run] == c {
				run++
			}
			if run == n {
				if _, closes := flanks(t, i, n); closes {
					return true
				}
			}
		}
		i += run
	}
	if in.none == nil {
		in.none = map[string]bool{}
	}
	in.none[mark] = true
	return false
}
