package boot

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"alphaos/drive"
	drivefs "alphaos/fs"
)

func TestCommandLine(t *testing.T) {
	const boot = `\EFI\BOOT\BOOTX64.EFI`
	for _, c := range []struct {
		text, file string
		want       []setting
	}{
		{"", boot, nil},
		{"   ", boot, nil},
		{"verbose", boot, []setting{{"verbose", ""}}},
		{"verbose safe threads=2", "", []setting{{"verbose", ""}, {"safe", ""}, {"threads", "2"}}},
		// From the UEFI shell.
		{`BOOTX64.EFI verbose`, boot, []setting{{"verbose", ""}}},
		{`bootx64 verbose`, boot, []setting{{"verbose", ""}}},
		{`fs0:\EFI\alphaos\alphaos safe`, "", []setting{{"safe", ""}}},
		{`"FS0:\my programs\alphaos.efi" safe`, "", []setting{{"safe", ""}}},
		{`BOOTX64.EFI`, boot, nil},
		// A program called like an option is the program when it is started as that.
		{"safe verbose", `\safe.efi`, []setting{{"verbose", ""}}},
		{`model="Llama 3.gguf" verbose`, boot, []setting{{"model", "Llama 3.gguf"}, {"verbose", ""}}},
		{`model=models/x.gguf`, boot, []setting{{"model", "models/x.gguf"}}},
		{`model="open`, boot, []setting{{"model", "open"}}},
		{"\tquiet\tsplash ", boot, []setting{{"quiet", ""}, {"splash", ""}}},
		// Sixteen bytes of a firmware's identifier, read as text.
		{"쓀镧䐉\u00e5 \u4f60", boot, nil},
		{"verbose model=erzähler", boot, []setting{{"verbose", ""}, {"model", "erzähler"}}},
	} {
		if got := commandLine(c.text, c.file); !reflect.DeepEqual(got, c.want) {
			t.Errorf("commandLine(%q, %q) = %q, want %q", c.text, c.file, got, c.want)
		}
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct {
		text      string
		want      Options
		complaint string // begins the only one
	}{
		{"verbose", Options{Verbose: true}, ""},
		{"VERBOSE Safe=yes", Options{Verbose: true, Safe: true}, ""},
		{"verbose verbose=off", Options{}, ""},
		{"kernel=portable threads=3 model=x", Options{Kernel: "portable", Threads: 3, Model: "x"}, ""},
		{"threads=0 kernel=", Options{}, ""},
		{"report", Options{Report: true}, ""},
		{"verbose=maybe safe", Options{Safe: true}, `start: verbose "maybe" is neither on nor off.`},
		{"threads=-1", Options{}, `start: threads "-1" is not a number of threads`},
		{"threads=65 verbose", Options{Verbose: true}, `start: threads "65" is not a number of threads`},
		{"cpus=2 threads=1", Options{CPUs: 2, Threads: 1}, ""},
		{"kv=q8_0", Options{Cache: "q8_0"}, ""},
		{"kv=q3", Options{}, `start: kv "q3" is none of f32, f16 and q8_0.`},
		{"cpus=many", Options{}, `start: cpus "many" is not a number of processors`},
		{"threads", Options{}, `start: threads "" is not a number of threads`},
		{"kernel=abacus", Options{}, `start: kernel "abacus" is none of this processor's kernels, which are `},
		{"timezone=+2 clock=utc", Options{Timezone: "+02:00", ClockUTC: true}, ""},
		{"clock=utc clock=local timezone=-330", Options{Timezone: "-03:30"}, ""},
		{"timezone=Berlin safe", Options{Safe: true}, `start: timezone "Berlin" is not a time zone: write`},
		{"timezone", Options{}, `start: timezone "" is not a time zone: write`},
		{"clock=atomic", Options{}, `start: clock "atomic" is neither utc nor local.`},
		{"quiet", Options{}, `start: there is no option "quiet"; there are verbose, safe, kernel, threads, kv, cpus, model, timezone, clock, keyboard, theme, text, report, setup, wait, default.`},
		{"wait=0 default=safe", Options{Wait: "0", Default: "safe"}, ""},
		{"wait=601 default=off", Options{Default: "off"}, `start: wait "601" is not a number of seconds: write one from 1 to 600, or 0 for no start-up manager.`},
		{"default=windows", Options{}, `start: default "windows" is none of start, safe, verbose, system, off.`},
		{"keyboard=FR-mac keyboard=", Options{}, ""},
		{"keyboard=at", Options{Keyboard: "de"}, ""},
		{"keyboard=klingon verbose", Options{Verbose: true}, `start: keyboard "klingon" is none of the keyboard layouts, which are us, us-intl, dvorak, `},
		{"safe \u202e" + strings.Repeat("x", 1000), Options{Safe: true}, `start: there is no option "\u202e` + strings.Repeat("x", 39) + `..."; there`},
	} {
		var o Options
		_, complaints := o.set("start", commandLine(c.text, ""), nil)
		if o != c.want {
			t.Errorf("%q gives %+v, want %+v", c.text, o, c.want)
		}
		if c.complaint == "" && len(complaints) > 0 || c.complaint != "" && (len(complaints) != 1 || !strings.HasPrefix(complaints[0], c.complaint)) {
			t.Errorf("%q: complaints %q, want %q", c.text, complaints, c.complaint)
		}
	}
}

// TestPrecedence checks that the command line wins over the file.
func TestPrecedence(t *testing.T) {
	var o Options
	fixed, _ := o.set("start", commandLine("verbose=off threads=2 kernel=none", ""), nil)
	list, err := parseConfig([]byte(`{"version": 1, "verbose": true, "threads": 4, "kernel": "portable", "model": "m"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, complaints := o.set("file", list.settings(), fixed); complaints != nil {
		t.Error(complaints)
	}
	// What the command line says wrongly does not shadow the file.
	if want := (Options{Threads: 2, Kernel: "portable", Model: "m"}); o != want {
		t.Errorf("%+v, want %+v", o, want)
	}
}

func TestSafe(t *testing.T) {
	got := Options{Safe: true, Kernel: "avx2", Threads: 4, Model: "m", Verbose: true}.effective()
	if want := (Options{Safe: true, Kernel: "portable", Threads: 1, CPUs: 1, Model: "m", Verbose: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	plain := Options{Kernel: "avx2", Threads: 4}
	if plain.effective() != plain {
		t.Error("options change without safe mode")
	}
	if got, want := got.String(), `verbose safe kernel=portable threads=1 cpus=1 model="m"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// An option that nobody reads about, or that a verbose start does not tell, is no help.
func TestOptionsAreDescribed(t *testing.T) {
	doc, err := os.ReadFile("../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range optionTable {
		if d.name == "version" {
			continue
		}
		if !strings.Contains(string(doc), "\n| `"+d.name) {
			t.Errorf("docs/options.md does not describe %s", d.name)
		}
		var o Options
		for _, value := range []string{"on", "portable", "2", "utc", "de", "f16", "day", "huge", "off"} {
			if d.set(&o, value) == nil && o != (Options{}) {
				break
			}
		}
		if !strings.HasPrefix(o.String(), d.name) {
			t.Errorf("with %s set the options are told as %q", d.name, o.String())
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		text string
		want []setting
		err  string
	}{
		{"{\n  \"version\": 1\n}\n", []setting{{"version", "1"}}, ""}, // as drive create writes it
		{"{}", nil, ""},
		{"", nil, ""},
		{"\x00\x00\x00", nil, ""},
		{" \r\n", nil, ""},
		{"\xef\xbb\xbf{\"safe\": true}", []setting{{"safe", "true"}}, ""},
		{`{"threads": 2, "model": "x y", "safe": false, "kernel": null}`, []setting{{"threads", "2"}, {"model", "x y"}, {"safe", "false"}}, ""},
		{`{"threads": [1, {"a": 2}], "verbose": true}`, []setting{{"threads", "of several parts"}, {"verbose", "true"}}, ""},
		{`[1]`, nil, "not a JSON object"},
		{`true`, nil, "not a JSON object"},
		{"verbose", nil, "not valid JSON (line 1: "},
		{"{\n  \"verbose\": true,\n  safe: true\n}", nil, "not valid JSON (line 3: invalid character 's'"},
		{"{\n  \"verbose\": true\n", nil, "not valid JSON (line 3: it ends too early)"},
		{`{"verbose": tr`, nil, "it ends too early"},
		{`{"verbose": true} {}`, nil, "behind its closing brace"},
		{`{"verbose": true}}`, nil, "behind its closing brace"},
		{"{" + strings.Repeat(" ", maxConfig) + "}", nil, "larger than 64 KiB"},
		{"{\"a\":" + strings.Repeat("[", 30000), nil, "not valid JSON"},
	} {
		name := c.text[:min(len(c.text), 60)]
		file, err := parseConfig([]byte(c.text))
		got := file.settings()
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: error %v, want %q", name, err, c.err)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q gives %q, want %q", name, got, c.want)
		}
	}
	if c, data, err := readConfig(fstest.MapFS{}); c != nil || data != nil || err != nil {
		t.Errorf("no file: %q, %v", c.settings(), err)
	}
	if _, data, err := readConfig(fstest.MapFS{drive.ConfigPath: {Data: []byte("?")}}); string(data) != "?" || !errors.Is(err, errNoConfig) {
		t.Errorf("a bad file: %q, %v", data, err)
	}
	if _, _, err := readConfig(pulledOut{}); errors.Is(err, errNoConfig) || !errors.Is(err, drivefs.ErrRemoved) {
		t.Errorf("a drive that is not there: %v", err)
	}
}

// A setting is changed where it stands, and all else stays as it was written.
func TestChangeConfig(t *testing.T) {
	const before = `{"mine": {"a": [1.0,  true]}, "Theme": "night", "theme": "day", "threads": 2, "x": null}`
	for _, tt := range []struct{ name, value, want string }{
		{"theme", "contrast", "{\n  \"mine\": {\"a\": [1.0,  true]},\n  \"Theme\": \"contrast\",\n  \"threads\": 2,\n  \"x\": null\n}\n"},
		{"threads", "", "{\n  \"mine\": {\"a\": [1.0,  true]},\n  \"Theme\": \"night\",\n  \"theme\": \"day\",\n  \"x\": null\n}\n"},
		{"timezone", "+02:00", "{\n  \"mine\": {\"a\": [1.0,  true]},\n  \"Theme\": \"night\",\n  \"theme\": \"day\",\n  \"threads\": 2,\n  \"x\": null\n}\n"},
	} {
		c, err := parseConfig([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.with(tt.name, tt.value).text()); got != tt.want {
			t.Errorf("with %s=%s: %s", tt.name, tt.value, got)
		}
	}
}

type pulledOut struct{}

func (pulledOut) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: drivefs.ErrRemoved}
}

// check applies settings and looks whether all that may be shown can be.
func check(t *testing.T, list []setting) {
	var o Options
	_, complaints := o.set("start", list, nil)
	if o.Threads < 0 || o.Threads > maxThreads {
		t.Errorf("%d threads", o.Threads)
	}
	if len(complaints) > 5 {
		t.Errorf("%d complaints", len(complaints))
	}
	for _, s := range append(complaints, o.effective().String()) {
		if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			t.Errorf("cannot be shown: %q", s)
		}
	}
}

func FuzzCommandLine(f *testing.F) {
	f.Add("BOOTX64.EFI verbose threads=2", `\EFI\BOOT\BOOTX64.EFI`)
	f.Add(`"fs0:\a b\c.efi" model="x y" kernel=portable`, "")
	f.Add("\x1b[2J=\x00 \"", "\"")
	f.Fuzz(func(t *testing.T, text, file string) { check(t, commandLine(text, file)) })
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"version": 1, "verbose": true, "threads": 2, "model": "x"}`))
	f.Add([]byte(`{"a": [1, {"b": null}], "a": 1e999}`))
	f.Add([]byte("\xef\xbb\xbf{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		list := c.settings()
		if err == nil {
			again, err := parseConfig(c.text())
			if err != nil || len(data) < maxConfig/2 && !reflect.DeepEqual(again.settings(), list) {
				t.Errorf("%q is written as %q, which is %q (%v)", data, c.text(), again.settings(), err)
			}
		}
		if err != nil && (list != nil || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q with error %q", list, err)
		}
		check(t, list)
	})
}
