package boot

// Start options: what the person wants of this start, told on the command line that a
// boot manager or the UEFI shell passes (load options), or in a file on the drive.
//
// Both are written by strangers: a command line may be absent, belong to another
// program or be no text at all, a file may be damaged. Invariant: whatever they hold,
// AlphaOS starts; what is not understood is told in one sentence each and changes
// nothing. Both become the same list of settings, so that each option is described
// once, in optionTable.

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/llm"
)

// Options are what optionTable describes. The zero value is a plain start.
type Options struct {
	Verbose  bool
	Safe     bool
	Kernel   string
	Threads  int    // 0: AlphaOS chooses
	Cache    string // of keys and values: "f32", "f16", "q8_0"; "": by the room there is
	CPUs     int    // processors to start at most; 0: all
	Model    string // its name; "": the one used last
	Timezone string // the person's, as "+02:00"; "": the one that was set last
	ClockUTC bool   // the machine's clock runs in UTC
	Keyboard string // its layout's name; "": the one that was set, or that the computer knows of
	Theme    string // how the screen looks; "": as it was set last
	Text     string // how large its text is; likewise
	Report   bool   // write a report about the machine first
	Setup    bool   // asks for keyboard, size of the text and model first
	Wait     string // seconds that the start-up manager waits; "0": it is hidden; "": as usual
	Default  string // which of its entries it then takes; "": the first
}

type option struct {
	name string
	set  func(o *Options, value string) error
}

// optionTable lists the options; docs/options.md describes them for people.
var optionTable = []option{
	{"verbose", func(o *Options, v string) (err error) { o.Verbose, err = onOff(v); return }},
	{"safe", func(o *Options, v string) (err error) { o.Safe, err = onOff(v); return }},
	{"kernel", func(o *Options, v string) error {
		if v != "" && !slices.Contains(llm.Kernels(), v) {
			return fmt.Errorf("is none of this processor's kernels, which are %s", strings.Join(llm.Kernels(), ", "))
		}
		o.Kernel = v
		return nil
	}},
	{"threads", func(o *Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > maxThreads {
			return fmt.Errorf("is not a number of threads: write one from 1 to %d, or 0 to leave the choice to AlphaOS", maxThreads)
		}
		o.Threads = n
		return nil
	}},
	{"kv", func(o *Options, v string) error {
		if !slices.Contains([]string{"", "f32", "f16", "q8_0"}, v) {
			return errors.New("is none of f32, f16 and q8_0")
		}
		o.Cache = v
		return nil
	}},
	{"cpus", func(o *Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > maxThreads {
			return fmt.Errorf("is not a number of processors: write one from 1 to %d, or 0 for all of them", maxThreads)
		}
		o.CPUs = n
		return nil
	}},
	{"model", func(o *Options, v string) error { o.Model = v; return nil }},
	{"timezone", func(o *Options, v string) error {
		zone, err := parseZone(v)
		if err == nil {
			o.Timezone = zoneText(zone)
		}
		return err
	}},
	{"clock", func(o *Options, v string) error {
		if v != "utc" && v != "local" {
			return errors.New("is neither utc nor local")
		}
		o.ClockUTC = v == "utc"
		return nil
	}},
	{"keyboard", func(o *Options, v string) error {
		if v == "" {
			o.Keyboard = ""
			return nil
		}
		l, err := keyboard.Find(v)
		if err != nil {
			return err
		}
		o.Keyboard = l.Name
		return nil
	}},
	{"theme", func(o *Options, v string) error { return oneOf(&o.Theme, v, console.Themes()) }},
	{"text", func(o *Options, v string) error { return oneOf(&o.Text, v, console.TextSizes()) }},
	{"report", func(o *Options, v string) (err error) { o.Report, err = onOff(v); return }},
	{"setup", func(o *Options, v string) (err error) { o.Setup, err = onOff(v); return }},
	{"wait", func(o *Options, v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < 0 || n > maxWait {
			return fmt.Errorf("is not a number of seconds: write one from 1 to %d, or 0 for no start-up manager", maxWait)
		}
		o.Wait = v
		return nil
	}},
	{"default", func(o *Options, v string) error {
		if err := defaultEntry(v); err != nil {
			return err
		}
		o.Default = v
		return nil
	}},
	// The version of the file's format, which drive create writes.
	{"version", func(_ *Options, v string) error {
		if v != "1" {
			return errors.New("is another version of this file's format than 1, the one that is known here")
		}
		return nil
	}},
}

const (
	maxThreads = 64
	maxWait    = 600 // seconds
)

func onOff(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "", "1", "on", "yes", "true": // a word alone switches on
		return true, nil
	case "0", "off", "no", "false":
		return false, nil
	}
	return false, errors.New("is neither on nor off")
}

func oneOf(to *string, v string, list []string) error {
	if v != "" && !slices.Contains(list, v) {
		return fmt.Errorf("is none of %s", strings.Join(list, ", "))
	}
	*to = v
	return nil
}

// setting is an option as it was written.
type setting struct{ name, value string }

// set applies settings in their order and returns a sentence for each one that is not
// understood. Names in fixed keep what they have. Each name that was given is added
// to given.
func (o *Options) set(from string, list []setting, fixed map[string]bool) (given map[string]bool, complaints []string) {
	const most = 5
	given = map[string]bool{}
	complain := func(format string, args ...any) {
		if len(complaints) < most {
			complaints = append(complaints, fmt.Sprintf(format, args...)+".")
		}
	}
	for _, s := range list {
		name := strings.ToLower(s.name)
		i := slices.IndexFunc(optionTable, func(d option) bool { return d.name == name })
		switch {
		case i < 0:
			complain("%s: there is no option %s; there are %s", from, quote(s.name), optionNames())
		case fixed[name]:
		default:
			if err := optionTable[i].set(o, s.value); err != nil {
				complain("%s: %s %s %v", from, name, quote(s.value), err)
				continue
			}
			given[name] = true
		}
	}
	return given, complaints
}

func optionNames() string {
	var names []string
	for _, d := range optionTable {
		if d.name != "version" {
			names = append(names, d.name)
		}
	}
	return strings.Join(names, ", ")
}

// quote shows a stranger's text: short, and without anything but plain characters.
func quote(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// effective returns the options with what safe mode implies.
func (o Options) effective() Options {
	if o.Safe {
		o.Kernel, o.Threads, o.CPUs = "portable", 1, 1
	}
	return o
}

// String lists the options that are not as usual, in the form of a command line.
func (o Options) String() string {
	var words []string
	word := func(given bool, text string) {
		if given {
			words = append(words, text)
		}
	}
	word(o.Verbose, "verbose")
	word(o.Safe, "safe")
	word(o.Kernel != "", "kernel="+o.Kernel)
	word(o.Cache != "", "kv="+o.Cache)
	word(o.Threads != 0, "threads="+strconv.Itoa(o.Threads))
	word(o.CPUs != 0, "cpus="+strconv.Itoa(o.CPUs))
	word(o.Model != "", "model="+quote(o.Model))
	word(o.Timezone != "", "timezone="+o.Timezone)
	word(o.ClockUTC, "clock=utc")
	word(o.Keyboard != "", "keyboard="+o.Keyboard)
	word(o.Theme != "", "theme="+o.Theme)
	word(o.Text != "", "text="+o.Text)
	word(o.Report, "report")
	word(o.Setup, "setup")
	word(o.Wait != "", "wait="+o.Wait)
	word(o.Default != "", "default="+o.Default)
	if words == nil {
		return "none"
	}
	return strings.Join(words, " ")
}

// commandLine splits load options into settings: words of the form name or
// name=value, where double quotes keep blanks. The UEFI shell puts the name of the
// program first, as it was typed; file, the program's path, helps to tell. Text
// that looks like no command line of ours, such as the identifiers that some firmware
// keeps there, gives none.
func commandLine(text, file string) []setting {
	var list []setting
	known := false
	for i, w := range splitWords(text) {
		name, value, _ := strings.Cut(w, "=")
		if i == 0 && isProgram(w, file) {
			continue
		}
		known = known || slices.ContainsFunc(optionTable, func(d option) bool { return strings.EqualFold(d.name, name) })
		list = append(list, setting{name, value})
	}
	if !known && strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		return nil
	}
	return list
}

func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	for _, r := range text {
		switch {
		case r == '"':
			begun, quoted = true, !quoted
		case !quoted && (r <= ' '):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// isProgram tells whether a command line's first word is the name of the program
// that is in the file.
func isProgram(word, file string) bool {
	base := func(s string) string {
		s = strings.ToLower(s[strings.LastIndexAny(s, `\/:`)+1:])
		return strings.TrimSuffix(s, ".efi")
	}
	word = strings.ToLower(word)
	return strings.HasSuffix(word, ".efi") || !strings.Contains(word, "=") && strings.ContainsAny(word, `\/:`) ||
		file != "" && base(word) == base(file)
}
