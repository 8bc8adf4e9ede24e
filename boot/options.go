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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"alphaos/console/keyboard"
	"alphaos/drive"
	drivefs "alphaos/fs"
	"alphaos/llm"
)

const maxConfig = 64 << 10

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
	Report   bool   // write a report about the machine first
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
	{"report", func(o *Options, v string) (err error) { o.Report, err = onOff(v); return }},
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
	word(o.Report, "report")
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

// readConfig reads the options file in the drive's file system, which people know as called. A missing or empty
// one has no settings; of one that is ignored a sentence tells why.
func readConfig(vol fs.FS, called string) (list []setting, complaint string) {
	ignore := func(err error) ([]setting, string) {
		return nil, called + " is ignored: " + drivefs.Explain(err)
	}
	f, err := vol.Open(drive.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	var data []byte
	if err == nil {
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxConfig+1))
	}
	if err != nil {
		return ignore(fmt.Errorf("it cannot be read: %w", err))
	}
	if list, err = parseConfig(data); err != nil {
		return ignore(err)
	}
	return list, ""
}

// parseConfig reads a JSON object whose values are texts, numbers, true and false.
func parseConfig(data []byte) ([]setting, error) {
	if len(data) > maxConfig {
		return nil, fmt.Errorf("it is larger than %d KiB", maxConfig>>10)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows write it
	// An unused preallocated file is zeros or blanks.
	if len(bytes.Trim(data, "\x00 \t\r\n")) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	fail := func(err error) ([]setting, error) {
		at := d.InputOffset()
		if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
			at = s.Offset
		}
		at = min(at, int64(len(data)))
		what := err.Error()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || at == int64(len(data)) {
			at, what = int64(len(data)), "it ends too early"
		}
		return nil, fmt.Errorf("it is not valid JSON (line %d: %s)", 1+bytes.Count(data[:at], []byte("\n")), what)
	}
	t, err := d.Token()
	if err != nil {
		return fail(err)
	}
	if t != json.Delim('{') {
		return nil, errors.New(`it is not a JSON object: it must look like {"verbose": true}`)
	}
	var list []setting
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fail(err)
		}
		s := setting{name: t.(string)} // the decoder takes nothing else for a key
		var v any
		if err := d.Decode(&v); err != nil {
			return fail(err)
		}
		switch v := v.(type) {
		case string:
			s.value = v
		case bool:
			s.value = strconv.FormatBool(v)
		case json.Number:
			s.value = v.String()
		case nil: // as if it were not there
			continue
		default:
			s.value = "of several parts" // no option has such a value
		}
		list = append(list, s)
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something behind its closing brace")
	}
	return list, nil
}
