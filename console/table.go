package console

// Tables of an answer. Columns are as wide as what is in them; when that is too much for the screen, the widest ones
// are wrapped, and rows are then divided by lines.

import (
	"slices"
	"strings"
)

type alignment uint8

const (
	toLeft alignment = iota
	toMiddle
	toRight
)

// aligned reads the row below a table's head; nil: it is no such row.
func aligned(body string) (list []alignment) {
	if !strings.Contains(body, "-") || !strings.Contains(body, "|") || strings.Trim(body, "|-: \t") != "" {
		return nil
	}
	for _, s := range cellsOf(body) {
		switch left, right := strings.HasPrefix(s, ":"), strings.HasSuffix(s, ":"); {
		case strings.Trim(s, ":") == "" || strings.Contains(strings.Trim(s, ":"), ":") || strings.Contains(s, " "):
			return nil
		case left && right:
			list = append(list, toMiddle)
		case right:
			list = append(list, toRight)
		default:
			list = append(list, toLeft)
		}
	}
	return list
}

// cellsOf splits a row at its bars.
func cellsOf(line string) (list []string) {
	line = strings.TrimPrefix(strings.Trim(line, " \t"), "|")
	var s strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && strings.HasPrefix(line[i+1:], "|"):
			i++
			s.WriteByte('|')
		case line[i] == '|':
			list = append(list, strings.TrimSpace(s.String()))
			s.Reset()
		default:
			s.WriteByte(line[i])
		}
	}
	if last := strings.TrimSpace(s.String()); last != "" {
		list = append(list, last)
	}
	return list
}

// endTable takes back the lines of what may be a table, and shows it as one if it is.
func (m *markdown) endTable() {
	lines := m.table
	m.table = nil
	head := cellsOf(lines[0])
	var align []alignment
	if len(lines) > 1 {
		align = aligned(strings.Trim(lines[1], " \t"))
	}
	barred := strings.HasPrefix(strings.Trim(lines[0], " \t"), "|")
	if !barred && align == nil {
		return // shown as text already
	}
	m.rewind(m.tableRow)
	m.row = m.tableRow
	var rows [][]string
	if align != nil && len(align) == len(head) {
		rows = append(rows, head)
		for _, line := range lines[2:] {
			row := append(cellsOf(line), make([]string, len(head))...)
			rows = append(rows, row[:len(head)])
		}
	}
	if rows == nil || !m.layTable(rows, align) {
		m.blank = false
		for _, line := range lines {
			m.rewind(m.row)
			m.layText(line, true)
		}
	}
	m.lists, m.blank = nil, false
}

// layTable shows rows, the first of which is the head. It tells whether there was room.
func (m *markdown) layTable(rows [][]string, align []alignment) bool {
	p := m.p
	room := p.cols - m.base - 1 - 3*len(align)
	const least = 5 // columns, of one that is wrapped
	if room < least*len(align) {
		return false
	}
	lay := func(s string, head bool, width int) [][]cell {
		narrow := newPage(width, 1<<20, p.clusters)
		base := Answer
		if head {
			base = strong
		}
		for i, part := range strings.Split(strings.ReplaceAll(s, "<br/>", "<br>"), "<br>") {
			if i > 0 {
				narrow.endRow()
			}
			in := inliner{text: strings.TrimSpace(part), base: base, ended: true, put: func(s string, st Style) {
				narrow.style = st
				narrow.write(s)
			}}
			in.run()
		}
		return narrow.lines
	}
	widths := make([]int, len(align))
	for i, row := range rows {
		for j, s := range row {
			for _, line := range lay(s, i == 0, 1<<20) {
				widths[j] = max(widths[j], len(line), 1)
			}
		}
	}
	wrapped := false
	for sum := total(widths); sum > room; sum-- {
		// One column at a time is made narrower, so that those which need little keep it.
		widths[slices.Index(widths, slices.Max(widths))]--
		wrapped = true
	}
	line := func(left, middle, right glyphID) {
		row := append(*p.row(), cell{left, rule, 0})
		for j, w := range widths {
			if j > 0 {
				row = append(row, cell{middle, rule, 0})
			}
			for range w + 2 {
				row = append(row, cell{'─', rule, 0})
			}
		}
		*p.row() = append(row, cell{right, rule, 0})
		p.endRow()
	}
	p.setHang(blankCells(m.base))
	m.start(p.hang)
	line('┌', '┬', '┐')
	for i, row := range rows {
		height := 1
		cells := make([][][]cell, len(row))
		for j, s := range row {
			cells[j] = lay(s, i == 0, widths[j])
			height = max(height, len(cells[j]))
		}
		for k := range height {
			out := append(*p.row(), cell{'│', rule, 0})
			for j, w := range widths {
				var text []cell
				if k < len(cells[j]) {
					text = cells[j][k]
				}
				free := max(w-len(text), 0)
				before := 0
				switch align[j] {
				case toMiddle:
					before = free / 2
				case toRight:
					before = free
				}
				out = append(out, blankCells(1+before)...)
				out = append(out, text...)
				out = append(out, blankCells(free-before+1)...)
				out = append(out, cell{'│', rule, 0})
			}
			*p.row() = out
			p.endRow()
		}
		if i == 0 || wrapped && i < len(rows)-1 {
			line('├', '┼', '┤')
		}
	}
	line('└', '┴', '┘')
	m.row = p.end() - 1
	return true
}

func total(list []int) (sum int) {
	for _, n := range list {
		sum += n
	}
	return sum
}
