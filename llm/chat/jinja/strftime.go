package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime is the time in C's notation, as the C library of Linux has it in
// English, for a time without a zone.
func (m *machine) strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		start := i
		var pad byte // how numbers are filled: 0, a space (_) or not at all (-)
		upper, swap := false, false
		for i++; i < len(format) && strings.IndexByte("-_0^#", format[i]) >= 0; i++ {
			switch c := format[i]; c {
			case '^':
				upper = true
			case '#':
				swap = true
			default:
				pad = c
			}
		}
		width, digits := m.count(format[i:])
		i += digits
		if i < len(format) && (format[i] == 'E' || format[i] == 'O') {
			i++
		}
		if i == len(format) {
			b.WriteString(format[start:])
			break
		}
		s, number, ok := strftimeField(format[i], t)
		if !ok {
			b.WriteString(format[start : i+1])
			continue
		}
		switch {
		case swap && format[i] == 'p':
			s = strings.ToLower(s)
		case upper || swap:
			s = strings.ToUpper(s)
		}
		fill := " "
		if number || pad == '0' {
			fill = "0"
		}
		if number && pad != 0 {
			if width == 0 && pad != '-' {
				width = len(s)
			}
			if s = strings.TrimLeft(s, "0 "); s == "" {
				s = "0"
			}
			if pad != '0' {
				fill = " "
			}
		}
		if n := width - len(s); n > 0 {
			m.burn(n)
			b.WriteString(strings.Repeat(fill, n))
		}
		b.WriteString(s)
	}
	return b.String()
}

// layouts are fields as package time writes them.
var layouts = map[byte]string{
	'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday", 'a': "Mon", 'p': "PM", 'P': "pm",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': time.TimeOnly, 'D': "01/02/06", 'F': time.DateOnly,
	'T': time.TimeOnly, 'R': "15:04", 'r': "03:04:05 PM",
}

var numberLayouts = map[byte]string{
	'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
}

// strftimeField is one field, and whether it is a number.
func strftimeField(c byte, t time.Time) (s string, number, ok bool) {
	if layout, ok := layouts[c]; ok {
		return t.Format(layout), false, true
	}
	if layout, ok := numberLayouts[c]; ok {
		return t.Format(layout), true, true
	}
	day := int(t.Weekday()) // Sunday is 0
	monday := (day + 6) % 7 // Monday is 0
	year, week := t.ISOWeek()
	two := func(n int) (string, bool, bool) { return fmt.Sprintf("%02d", n), true, true }
	switch c {
	case '%':
		return "%", false, true
	case 'n':
		return "\n", false, true
	case 't':
		return "\t", false, true
	case 'z', 'Z':
		return "", false, true
	case 'Y':
		return strconv.Itoa(t.Year()), true, true
	case 'C':
		return two(t.Year() / 100)
	case 'G':
		return strconv.Itoa(year), true, true
	case 'g':
		return two(year % 100)
	case 'V':
		return two(week)
	case 'U':
		return two((t.YearDay() - 1 + 7 - day) / 7)
	case 'W':
		return two((t.YearDay() - 1 + 7 - monday) / 7)
	case 'u':
		return strconv.Itoa(monday + 1), true, true
	case 'w':
		return strconv.Itoa(day), true, true
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay()), true, true
	case 'k':
		return fmt.Sprintf("%2d", t.Hour()), true, true
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1), true, true
	case 's':
		return strconv.FormatInt(t.Unix(), 10), true, true
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000), true, true
	}
	return "", false, false
}
