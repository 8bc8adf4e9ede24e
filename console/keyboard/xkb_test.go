package keyboard

// Each layout is held against the one that xkeyboard-config publishes, which is what Linux and the BSDs
// type with: all keys, at all four levels. What is typed with AltGr may differ a little, since it does from one
// version of xkeyboard-config to the next; this is 2.35 of 2022.

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// symbolsDir is where Debian's package xkb-data, which tools/install.sh installs for the tests, puts the
// symbol files.
const symbolsDir = "/usr/share/X11/xkb/symbols"

// xkbKeys names the keys of usKeys as xkeyboard-config does: by row from E, the digits, down to B.
var xkbKeys = func() (names []string) {
	row := func(name string, n int) {
		for i := range n {
			names = append(names, fmt.Sprintf("%s%02d", name, i+1))
		}
	}
	names = append(names, "TLDE")
	row("AE", 12)
	row("AD", 12)
	names = append(names, "BKSL")
	row("AC", 11)
	row("AB", 10)
	return names
}()

// symbols are the names of what the keys of a layout type, by key and level.
type symbols map[string][]string

var (
	xkbComment = regexp.MustCompile(`//[^\n]*`)
	xkbSection = regexp.MustCompile(`((?:\b\w+\s+)*)xkb_symbols\s+"([^"]*)"\s*\{`)
	xkbEntry   = regexp.MustCompile(`include\s+"([^"]*)"|(replace\s+)?key\s*<(\w+)>\s*\{([^}]*)\}`)
	xkbIndex   = regexp.MustCompile(`\w+\s*\[\s*\w+\s*\]\s*=|"[^"]*"`)
	xkbLevels  = regexp.MustCompile(`\[([^\]]*)\]`)
)

// add adds the section of a symbol file, "de(mac)", or without a name the default one. Files say how a
// layout differs from others, which they include; of a key that comes again the levels that it has count.
func (s symbols) add(spec string) error {
	file, section, _ := strings.Cut(strings.TrimSuffix(spec, ")"), "(")
	data, err := os.ReadFile(filepath.Join(symbolsDir, file))
	if err != nil {
		return err
	}
	text := xkbComment.ReplaceAllString(string(data), "")
	for _, m := range xkbSection.FindAllStringSubmatchIndex(text, -1) {
		if section == "" && !strings.Contains(text[m[2]:m[3]], "default") || section != "" && text[m[4]:m[5]] != section {
			continue
		}
		body := text[m[1]:]
		for i, depth := 0, 1; i < len(body); i++ {
			switch body[i] {
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				body = body[:i]
			}
		}
		for _, e := range xkbEntry.FindAllStringSubmatch(body, -1) {
			if e[1] != "" {
				for _, spec := range strings.Split(e[1], "+") {
					if err := s.add(spec); err != nil {
						return err
					}
				}
				continue
			}
			if e[2] != "" {
				delete(s, e[3])
			}
			levels := xkbLevels.FindStringSubmatch(xkbIndex.ReplaceAllString(e[4], ""))
			if levels == nil {
				continue
			}
			for i, name := range strings.Split(levels[1], ",") {
				name = strings.TrimSpace(name)
				if i == len(s[e[3]]) {
					s[e[3]] = append(s[e[3]], name)
				} else if name != "NoSymbol" {
					s[e[3]][i] = name
				}
			}
		}
		return nil
	}
	return fmt.Errorf("%s has no section %q", file, section)
}

// keysyms are the characters of the symbol names that the layouts need, as X.Org's keysymdef.h has them. Dead
// keys are written as in layouts.txt; what is left out is not supported, and types nothing.
var keysyms = func() map[string]rune {
	data, err := os.ReadFile("testdata/keysyms.txt")
	if err != nil {
		panic(err)
	}
	m := map[string]rune{}
	f := strings.Fields(string(data))
	for i := 0; i < len(f); i += 2 {
		m[f[i]], _ = utf8.DecodeRuneInString(f[i+1])
	}
	return m
}()

// unsupported are the symbol names of dead keys that make no letters of the layouts' languages, and of
// characters that nobody sees.
var unsupported = map[string]bool{
	"NoSymbol": true, "Nosymbol": true, "VoidSymbol": true, "nobreakspace": true, "hyphen": true,
	"dead_belowcomma": true, "dead_belowdot": true, "dead_belowmacron": true, "dead_currency": true, "dead_greek": true,
	"dead_hook": true, "dead_horn": true, "dead_stroke": true,
	"guilsinglleft": true, "guilsinglright": true, // misspelt: X.Org has no such names
}

// char returns what level of a key types: none for nothing, ok is false for what is not known here.
func (s symbols) char(key string, level int) (r rune, ok bool) {
	if level >= len(s[key]) {
		return none, true
	}
	name := s[key][level]
	if unsupported[name] {
		return none, true
	}
	if r, n := utf8.DecodeRuneInString(name); n == len(name) && n > 0 {
		return r, true
	}
	if r, ok := keysyms[name]; ok {
		return r, true
	}
	for _, prefix := range []string{"U", "0x100", "0x10"} {
		if hex, ok := strings.CutPrefix(name, prefix); ok && len(hex) >= 4 {
			if n, err := strconv.ParseUint(hex, 16, 32); err == nil {
				return rune(n), true
			}
		}
	}
	return 0, false
}

// published says which of xkeyboard-config's layouts ours are. Apple's Spanish and Italian ones are those of
// PCs, but for the change of places that layouts.txt tells of.
var published = map[string]string{
	"us-intl": "us(intl)", "dvorak": "us(dvorak)", "colemak": "us(colemak)", "uk": "gb", "uk-mac": "macintosh_vndr/gb",
	"ch-fr": "ch(fr)", "ch-fr-mac": "macintosh_vndr/ch(fr)", "es-mac": "es", "it-mac": "it",
}

func TestPublished(t *testing.T) {
	if _, err := os.Stat(symbolsDir); err != nil {
		t.Skip("xkeyboard-config is not here: ", err)
	}
	for _, l := range parse(layoutsText) {
		spec := published[l.Name]
		if spec == "" {
			if spec = l.Name; strings.HasSuffix(spec, "-mac") {
				spec = "macintosh_vndr/" + strings.TrimSuffix(spec, "-mac")
			}
		}
		s := symbols{}
		for _, spec := range []string{"pc(pc105)", spec} {
			if err := s.add(spec); err != nil {
				t.Fatalf("%s: %v", l.Name, err)
			}
		}
		ours := &Layout{typed: written(t, l.Name)}
		differ := 0
		for i, key := range append(xkbKeys[:keys:keys], "LSGT") {
			if strings.HasSuffix(l.Name, "-mac") {
				switch key {
				case "LSGT":
					key = "TLDE"
				case "TLDE":
					key = "LSGT"
				}
			}
			for level := range levels {
				want, ok := s.char(key, level)
				if !ok {
					t.Errorf("%s: keysyms.txt lacks %s", l.Name, s[key][level])
					continue
				}
				got := none
				if row := ours.typed[level]; row != nil {
					got = row[i]
				} else if i == extra {
					continue // the row would hold it alone
				}
				if got == want {
					continue
				}
				say := t.Errorf
				if level >= altGr {
					if differ++; differ <= 8 {
						say = t.Logf
					}
				}
				say("%s: key %s (%c) types %c at level %d; xkeyboard-config's %s has %c", l.Name, key, usKey(i), got, level+1, spec, want)
			}
		}
	}
}

// written returns the rows of a layout as layouts.txt has them.
func written(t *testing.T, name string) (typed [levels][]rune) {
	_, rest, ok := strings.Cut("\n"+layoutsText, "\n"+name)
	if !ok || !strings.ContainsAny(rest[:1], ": ") {
		t.Fatalf("layouts.txt has no %s", name)
	}
	for i, line := range strings.Split(rest, "\n")[1 : levels+1] {
		row, ok := strings.CutPrefix(line, "\t")
		if !ok {
			break
		}
		typed[i] = []rune(strings.ReplaceAll(row, " ", ""))
	}
	return typed
}

func usKey(i int) rune {
	if i == extra {
		return none
	}
	return usKeys[plain][i]
}
