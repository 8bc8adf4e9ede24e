// Package keyboard reads the keys of the world's keyboards as their caps are printed.
//
// Most firmware reports each key as a US keyboard has it: on a German keyboard, ; for ö. A [Keyboard] turns
// that into what the person's layout types there, and puts together what is typed with dead keys. The
// layouts are in layouts.txt, which is meant to be read; tests hold them against those that
// xkeyboard-config publishes.
//
// What the firmware does not tell cannot be known here. EDK2's drivers report nothing at all for the key
// between the left Shift and z (MdeModulePkg, UsbKbDxe and Ps2KeyboardDxe: it has no entry in their tables),
// so what only that key types can also be typed with AltGr and the three keys left of the right Shift. They
// report the keys of the number pad like those of the main block, and these cannot be told from them.
package keyboard

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// What stands for the key between the left Shift and z where the firmware tells of it, alone and with Shift:
// characters of Unicode's area for private use.
const (
	Extra        = '\ue064'
	ExtraShifted = '\ue065'
)

// usKeys are the characters of the keys of a US keyboard, in the order of the rows of layouts.txt, alone and
// with Shift, and of the extra key.
var usKeys = [2][]rune{
	[]rune("`1234567890-=" + "qwertyuiop[]\\" + "asdfghjkl;'" + "zxcvbnm,./" + string(Extra)),
	[]rune("~!@#$%^&*()_+" + "QWERTYUIOP{}|" + `ASDFGHJKL:"` + "ZXCVBNM<>?" + string(ExtraShifted)),
}

const (
	keys  = 47 // of a US keyboard
	extra = keys
	none  = '␣' // types nothing
)

// Levels are what the same key types, by the modifiers that are held.
const (
	plain = iota
	shifted
	altGr
	shiftedAltGr
	levels
)

// Layout is what the keys of a keyboard type.
type Layout struct {
	Name     string // as it is chosen by: "de"
	FullName string // as people call it: "German"

	aliases []string
	typed   [levels][]rune // by key, the extra one last
}

//go:embed layouts.txt
var layoutsText string

var layouts = sync.OnceValue(func() []*Layout { return parse(layoutsText) })

// parse reads layouts.txt.
func parse(text string) (list []*Layout) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		row, isRow := strings.CutPrefix(line, "\t")
		switch {
		case strings.HasPrefix(line, "#"):
		case isRow:
			l := list[len(list)-1]
			level := slices.IndexFunc(l.typed[:], func(r []rune) bool { return r == nil })
			l.typed[level] = []rune(strings.ReplaceAll(row, " ", ""))
		default:
			names, full, _ := strings.Cut(line, ": ")
			f := strings.Fields(names)
			list = append(list, &Layout{Name: f[0], FullName: full, aliases: f[1:]})
		}
	}
	for _, l := range list {
		l.standIn()
	}
	return list
}

// standIn puts what only the extra key types on AltGr and the last three keys, in the order plain, with Shift,
// with AltGr. Nobody finds what is typed with AltGr and Shift, so that does not count.
func (l *Layout) standIn() {
	for i, level := range []int{plain, shifted, altGr} {
		if l.typed[level] == nil {
			return
		}
		if r := l.typed[level][extra]; r != none && !l.types(r, shiftedAltGr) {
			if l.typed[altGr] == nil {
				l.typed[altGr] = slices.Repeat([]rune{none}, keys+1)
			}
			l.typed[altGr][keys-3+i] = r
		}
	}
}

// types tells whether r can be typed without the extra key, at a level below that one.
func (l *Layout) types(r rune, below int) bool {
	for _, row := range l.typed[:below] {
		for _, t := range row[:min(keys, len(row))] {
			if t == r || dead[t] != nil && l.spacing(t) == r {
				return true
			}
		}
	}
	return false
}

// at returns what a key types, or none. A key that types nothing with AltGr types what it does without.
func (l *Layout) at(key, level int) rune {
	for ; level >= altGr; level -= altGr {
		if row := l.typed[level]; row != nil && row[key] != none {
			return row[key]
		}
	}
	return l.typed[level][key]
}

// spacing returns what a dead key followed by a space types: its accent, or the quotation mark that looks like
// it on a keyboard that has no other key for that.
func (l *Layout) spacing(accent rune) rune {
	quote := map[rune]rune{'´': '\'', '¨': '"'}[accent]
	if quote != 0 && !slices.Contains(l.typed[plain], quote) && !slices.Contains(l.typed[shifted], quote) {
		return quote
	}
	return dead[accent][0]
}

// Layouts lists the layouts.
func Layouts() []*Layout { return layouts() }

// Find returns the layout of that name, in capitals or not, or an error that lists the names.
func Find(name string) (*Layout, error) {
	var names []string
	for _, l := range layouts() {
		if strings.EqualFold(l.Name, name) || slices.ContainsFunc(l.aliases, func(a string) bool { return strings.EqualFold(a, name) }) {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return nil, fmt.Errorf("is none of the keyboard layouts, which are %s", strings.Join(names, ", "))
}

// Keyboard is a keyboard in use. Its methods may be used from several goroutines. The zero value is a US one.
type Keyboard struct {
	mu     sync.Mutex
	layout *Layout // nil: US
	accent rune    // of the dead key that was pressed last, or 0
}

// Use goes on with another layout.
func (k *Keyboard) Use(l *Layout) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.layout, k.accent = l, 0
}

// Layout returns the layout in use.
func (k *Keyboard) Layout() *Layout {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.using()
}

func (k *Keyboard) using() *Layout {
	if k.layout == nil {
		return layouts()[0]
	}
	return k.layout
}

// Press returns the characters that a key types. us is the character that it types on a US keyboard, Shift and
// CapsLock included, or Extra or ExtraShifted; what no US keyboard types is left as it is. A dead key types nothing at first: the next
// key brings the letter with its accent, or both if there is no such letter.
func (k *Keyboard) Press(us rune, alt, capsLock bool) []rune {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.using()
	r, known := l.press(us, alt, capsLock)
	isDead := known && dead[r] != nil
	accent := k.accent
	k.accent = 0
	switch {
	case accent == 0 && isDead:
		k.accent = r
		return nil
	case accent == 0:
		return []rune{r}
	case r == ' ':
		return []rune{l.spacing(accent)}
	case r == accent:
		return []rune{dead[accent][0]}
	case isDead:
		k.accent = r
		return []rune{l.spacing(accent)}
	}
	if c := compose(accent, r); c != 0 {
		return []rune{c}
	}
	return []rune{l.spacing(accent), r}
}

// press returns the character or the accent that a key types; known is false for what a US keyboard does not
// type, which is returned as it is.
func (l *Layout) press(us rune, alt, capsLock bool) (r rune, known bool) {
	if capsLock && us < unicode.MaxASCII { // the firmware has changed the case of these letters, and of no others
		us = otherCase(us)
	}
	level := plain
	key := slices.Index(usKeys[plain], us)
	if key < 0 {
		level = shifted
		if key = slices.Index(usKeys[shifted], us); key < 0 {
			return us, false
		}
	}
	if alt {
		level += altGr
	}
	r = l.at(key, level)
	if capsLock {
		o := l.at(key, level^shifted) // of the key itself: the Turkish i becomes İ
		if unicode.ToUpper(r) == o || unicode.ToLower(r) == o || unicode.ToUpper(o) == r || unicode.ToLower(o) == r {
			return o, true
		}
		r = otherCase(r)
	}
	return r, true
}

// otherCase returns the capital of a small letter and the other way round, where both have each other.
func otherCase(r rune) rune {
	if o := unicode.ToUpper(r); o != r && unicode.ToLower(o) == r {
		return o
	}
	if o := unicode.ToLower(r); o != r && unicode.ToUpper(o) == r {
		return o
	}
	return r
}

// Letter returns what a key types without accents and modifiers, for combinations with Ctrl.
func (k *Keyboard) Letter(us rune) rune {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, _ := k.using().press(us, false, false)
	return r
}

// Retype returns what a text would be if the same keys had been read with layout l. Accents that were put on
// letters stay there.
func (k *Keyboard) Retype(text string, l *Layout) string {
	used := k.Layout()
	return strings.Map(func(r rune) rune {
		for level, row := range used.typed[:shiftedAltGr] {
			if key := slices.Index(row[:min(keys, len(row))], r); key >= 0 && r != none {
				return l.at(key, level)
			}
		}
		return r
	}, text)
}

// Flush returns the accent that waits for its letter, if one does: a key that types no character, such as
// Enter, ends the wait.
func (k *Keyboard) Flush() []rune {
	k.mu.Lock()
	defer k.mu.Unlock()
	accent := k.accent
	if k.accent = 0; accent == 0 {
		return nil
	}
	return []rune{k.using().spacing(accent)}
}
