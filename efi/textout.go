package efi

// The firmware's own text console (UEFI 2.10, 12.4) as an io.Writer, for
// machines without a graphics screen. It understands the few escape sequences
// that the line editor sends to a serial terminal. Invariant: a character or
// sequence that is split over several writes is put together again, and no more
// than 32 bytes of an unfinished one are kept.

import (
	"fmt"
	"io"
	"unicode/utf8"
	"unsafe"

	"alphaos/uefi"
)

type textOutput struct {
	out     uintptr // uefi.SimpleTextOutput
	pending []byte  // an unfinished character or sequence
}

// TextOutput returns the firmware's text console: it takes UTF-8 text, where
// \n begins a new line. It is for one goroutine at a time. Without a console
// writes fail.
func TextOutput() io.Writer {
	t := &textOutput{}
	if ready() == nil {
		t.out = fw.st.ConOut
	}
	return t
}

func (t *textOutput) Write(p []byte) (int, error) {
	if t.out == 0 {
		return 0, fmt.Errorf("the firmware has no text console: %w", uefi.NotFound)
	}
	b := append(t.pending, p...)
	t.pending = nil
	units := make([]uint16, 0, len(b)+8)
	flush := func() error {
		err := t.print(units)
		units = units[:0]
		return err
	}
	for len(b) > 0 {
		if b[0] == 0x1b {
			n, final, args := parseSequence(b)
			if n == 0 && len(b) < 32 {
				break // unfinished
			}
			if err := flush(); err != nil {
				return 0, err
			}
			if err := t.control(final, args); err != nil {
				return 0, err
			}
			b = b[max(n, 1):]
			continue
		}
		if !utf8.FullRune(b) {
			break
		}
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch {
		case r == '\n':
			units = append(units, '\r', '\n')
		case r == '\r' || r == '\b':
			units = append(units, uint16(r))
		case r == '\t':
			units = append(units, ' ')
		case r < ' ' || r == 0x7f: // no meaning there
		case r > 0xffff: // the console knows UCS-2 only
			units = append(units, '?')
		default:
			units = append(units, uint16(r))
		}
	}
	t.pending = append([]byte(nil), b...)
	if err := flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// print outputs characters (12.4.3).
func (t *textOutput) print(units []uint16) error {
	params.Lock()
	defer params.Unlock()
	for len(units) > 0 {
		n := copy(params.text[:len(params.text)-1], units)
		params.text[n] = 0
		units = units[n:]
		st := uefi.Status(call(at[uefi.SimpleTextOutput](t.out).OutputString, t.out, uintptr(unsafe.Pointer(&params.text))))
		if err := st.Err(); err != nil {
			return fmt.Errorf("writing to the firmware's console: %w", err)
		}
	}
	return nil
}

// parseSequence reads "ESC [ parameters final": its length, final byte and
// the first two parameters; n is 0 when it is unfinished. Another ESC pair
// is skipped.
func parseSequence(b []byte) (n int, final byte, args [2]int) {
	if len(b) < 2 {
		return 0, 0, args
	}
	if b[1] != '[' {
		return 2, 0, args
	}
	k := 0
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9':
			if k < 2 && args[k] < 10000 {
				args[k] = args[k]*10 + int(c-'0')
			}
		case c == ';':
			k++
		case c >= 0x40 && c <= 0x7e:
			return i + 1, c, args
		}
	}
	return 0, 0, args
}

// control carries out a sequence with the console's cursor functions. Those
// that set colours and the like are dropped.
func (t *textOutput) control(final byte, args [2]int) error {
	o := at[uefi.SimpleTextOutput](t.out)
	if o.Mode == 0 {
		return nil
	}
	m := at[uefi.SimpleTextOutputMode](o.Mode)
	col, row := int(m.CursorColumn), int(m.CursorRow)
	columns, rows := t.size(int(m.Mode))
	n := max(args[0], 1)
	switch final {
	case 'A':
		row -= n
	case 'B':
		row += n
	case 'C':
		col += n
	case 'D':
		col -= n
	case 'G':
		col = n - 1
	case 'H':
		row, col = n-1, max(args[1], 1)-1
	case 'J':
		if args[0] != 2 {
			return t.erase(columns-1-col, col, row)
		}
		if err := uefi.Status(call(o.ClearScreen, t.out)).Err(); err != nil {
			return fmt.Errorf("clearing the firmware's console: %w", err)
		}
		return nil
	case 'K':
		return t.erase(columns-1-col, col, row)
	default:
		return nil
	}
	return t.moveTo(max(0, min(col, columns-1)), max(0, min(row, rows-1)))
}

// size returns the text mode's columns and rows (12.4.5).
func (t *textOutput) size(mode int) (columns, rows int) {
	params.Lock()
	defer params.Unlock()
	c, r := cell(0, 0), cell(1, 0)
	st := uefi.Status(call(at[uefi.SimpleTextOutput](t.out).QueryMode, t.out, uintptr(mode), c, r))
	columns, rows = int(params.cell[0]), int(params.cell[1])
	if st.Err() != nil || columns < 1 || rows < 1 || columns > 1000 || rows > 1000 {
		return 80, 25
	}
	return columns, rows
}

// erase writes n blanks and goes back; the last column stays, since writing
// it may scroll.
func (t *textOutput) erase(n, col, row int) error {
	if n <= 0 {
		return nil
	}
	blanks := make([]uint16, n)
	for i := range blanks {
		blanks[i] = ' '
	}
	if err := t.print(blanks); err != nil {
		return err
	}
	return t.moveTo(col, row)
}

func (t *textOutput) moveTo(col, row int) error {
	st := uefi.Status(call(at[uefi.SimpleTextOutput](t.out).SetCursorPosition, t.out, uintptr(col), uintptr(row)))
	if err := st.Err(); err != nil {
		return fmt.Errorf("moving the cursor of the firmware's console: %w", err)
	}
	return nil
}
