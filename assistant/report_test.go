package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/models"
)

// TestMask has a mark in each thing that must not be told.
func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"disk: 64.0 GB in blocks of 512, removable: PciRoot(0x0)/Pci(0x14,0x0)/USB(0x1,0x0)/HD(1,GPT,5ec2e700-5ec2-5ec2-5ec2-5ec2e75ec2e7,0x800,0x1000)":                              "disk: 64.0 GB in blocks of 512, removable: PciRoot(0x0)/Pci(0x14,0x0)/USB(0x1,0x0)/HD",
		"drive: reading 8 blocks at 5 of PcieRoot(0x0)/Pci(0x1d,0x4)/NVMe(0x1,5E-C2-E7-5E-C2-E7-5E-C2)/HD(2,MBR,0x5ec2e75e,0x1,0x2): EFI_DEVICE_ERROR (the device reported an error)": "drive: reading 8 blocks at 5 of PcieRoot(0x0)/Pci(0x1d,0x4)/NVMe/HD: EFI_DEVICE_ERROR (the device reported an error)",
		"volume on PciRoot(0x0)/Pci(0x3,0x0)/Path(3,11,5ec2e75ec2e7)/IPv4(SECRET)/\\SECRET\\SECRET.EFI is odd":                                                                        "volume on PciRoot(0x0)/Pci(0x3,0x0)/Path/IPv4/File is odd",
		"HD(1,GPT,5ec2e700-5ec2-5ec2-5ec2-5ec2e75ec2e7,0x1,0x2) has no medium":                                                                                                        "HD has no medium",
		"a partition 5EC2E700-5ec2-5ec2-5ec2-5ec2e75ec2e7":                                                                                                                            "a partition <GUID>",
		"the card 5e:c2:e7:5e:c2:e7 and 5e-c2-e7-5e-c2-e7":                                                                                                                            "the card <address> and <address>",
		"open data/conversations/SECRET with blanks: not found":                                                                                                                       "open data/conversations/<name>",
		"open Documents/SECRET.pdf: EFI_DEVICE_ERROR (x)":                                                                                                                             "open Documents/<name>",
		"serial 5ec2e75ec2e75ec2e75ec2e7":                                                                                                                                             "serial <digits>",
		// What must be told.
		"Intel(R) Core(TM) i7-7567U CPU @ 3.50GHz":               "Intel(R) Core(TM) i7-7567U CPU @ 3.50GHz",
		"MBP132.88Z.0226.B25.1703241132, 429.80.1.0.0":           "MBP132.88Z.0226.B25.1703241132, 429.80.1.0.0",
		"2560x1600 at 0xfc10000000, 0xffffffffffffffff":          "2560x1600 at 0xfc10000000, 0xffffffffffffffff",
		"not written: open backup/boot.log: file does not exist": "not written: open backup/boot.log: file does not exist",
		"2026-03-01 12:34:56 UTC":                                "2026-03-01 12:34:56 UTC",
		"model Llama-3.2-1B-Instruct-Q4_K_M":                     "model Llama-3.2-1B-Instruct-Q4_K_M",
	} {
		if got := Mask(text); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", text, got, want)
		}
		if again := Mask(want); again != want {
			t.Errorf("%s\nbecomes %s the second time", want, again)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("PciRoot(0x0)/Pci(0x14,0x0)/HD(1,GPT,x)")
	f.Add("A(/)/B()/")
	f.Fuzz(func(t *testing.T, s string) {
		const guid = "5ec2e700-5ec2-5ec2-5ec2-5ec2e75ec2e7"
		if got := Mask(s + " " + guid + " "); strings.Contains(got, guid) {
			t.Errorf("%q leaves a GUID: %q", s, got)
		}
	})
}

// reports keeps what is saved.
type reports struct {
	names []string
	texts []string // of each, first and in the end
	err   error
}

func (r *reports) save(now time.Time, text []byte) (string, func([]byte) error, error) {
	if r.err != nil {
		return "", nil, r.err
	}
	name := "/backup/machine" + now.Format("-2006-01-02") + ".txt"
	r.names, r.texts = append(r.names, name), append(r.texts, string(text))
	return name, func(text []byte) error { r.texts = append(r.texts, string(text)); return nil }, nil
}

// marked is a machine that says its secrets wherever it can.
func marked() *machine {
	const device = "PciRoot(0x0)/Pci(0x1,0x0)/NVMe(0x1,53-45-43-52-45-54-53-45)/HD(1,GPT,53454352-4554-5345-4352-455453454352,0x1,0x2)"
	say := func(v string, err error) func(context.Context, ShowProgress) ([]console.Field, error) {
		return func(context.Context, ShowProgress) ([]console.Field, error) {
			return []console.Field{{Name: "value", Value: v}}, err
		}
	}
	return &machine{sections: []Section{
		{Name: "plain", Facts: say("as it is", nil)},
		{Name: "devices", Facts: say(device+"\n# forged", errors.Join(fmt.Errorf("reading %s: no", device), errors.New("network 53:45:43:52:45:54")))},
		{Name: "kinds", GUIDs: true, Facts: say("00000001-0002-0003-0004-000000000005", nil)},
		{Name: "paths", Facts: say("open data/conversations/SECRET: no", nil)},
		{Name: "panics", Facts: func(context.Context, ShowProgress) ([]console.Field, error) { panic(device) }},
		{Name: "faults", Facts: func(context.Context, ShowProgress) ([]console.Field, error) {
			var m *machine
			return []console.Field{{Name: fmt.Sprint(len(m.loads))}}, nil
		}},
		{Name: "slow", Slow: true, Facts: func(_ context.Context, show ShowProgress) ([]console.Field, error) {
			p := show("Measuring", 100)
			p.Set(100)
			p.Done()
			return []console.Field{{Name: "speed", Value: "42"}}, nil
		}},
	}}
}

func TestReport(t *testing.T) {
	var r reports
	m := marked()
	c := openStore(t, &memory{data: make([]byte, 1<<20)})
	c.Now = func() time.Time { return time.Date(2026, 3, 1, 1, 2, 3, 0, time.UTC) }
	c.Models = engine.WithBuiltIn(engine.DirModels(fstest.MapFS{"models/broken.gguf": {Data: make([]byte, 900)}}, "models"), engine.DirModels(models.Files, "."))
	c.Machine, c.Drive.Report = m, r.save
	c.Start = Start{Report: true, System: "SECRET system prompt", Params: map[string]string{"num_predict": "5", "temperature": "0"}}
	p := sit(t, c)
	// At the start, before any model of the conversation is loaded.
	said := p.expect("then send it.")
	if !strings.Contains(said, "/backup/machine-2026-03-01.txt") || strings.Contains(said, "Note:") {
		t.Errorf("it says %q", said)
	}
	p.says("my name is SECRET")
	p.expect("tokens")
	p.says("/set system SECRET again")
	p.says("/report")
	p.expect("then send it.")
	p.says("/bye")
	<-p.done
	if len(r.texts) != 4 {
		t.Fatalf("%d texts were saved", len(r.texts))
	}
	for i, text := range r.texts {
		if n := strings.Count(text, reportCut); n != 1-i%2 {
			t.Errorf("the text says %d times that the rest is missing", n)
		}
		var titles []string
		for _, line := range strings.Split(text, "\n") {
			if title, ok := strings.CutPrefix(line, "# "); ok {
				titles = append(titles, title)
			}
		}
		want := []string{"plain", "devices", "kinds", "paths", "panics", "faults", "models", "journal", "slow", "engine"}
		if !slices.Equal(titles, want[:len(want)-2+2*(i%2)]) {
			t.Errorf("text %d has sections %q", i, titles)
		}
		for _, secret := range []string{"SECRET", "53-45-43", "53454352", "53:45", "\n# forged"} {
			if strings.Contains(text, secret) {
				t.Errorf("text %d tells %q:\n%s", i, secret, text)
			}
		}
		for _, want := range []string{"\nvalue           as it is\n", "PciRoot(0x0)/Pci(0x1,0x0)/NVMe/HD # forged\n", "\nfailed          reading PciRoot(0x0)/Pci(0x1,0x0)/NVMe/HD: no\n",
			"00000001-0002-0003-0004-000000000005", "nil pointer", "broken, damaged", "2026-03-01 01:02 UTC"} {
			if !strings.Contains(text, want) {
				t.Errorf("text %d lacks %q:\n%s", i, want, text)
			}
		}
	}
	for _, want := range []string{`speed           42`, `reads           [\d.]+ tokens/s \(\d+ tokens\)`, `writes          [\d.]+ tokens/s \(\d+ tokens\)`} { // a slow host has no time for all of them
		line := regexp.MustCompile(`(?m)^` + want + `$`)
		if !line.MatchString(r.texts[1]) || !line.MatchString(r.texts[3]) {
			t.Errorf("there is no %q in:\n%s", want, r.texts[3])
		}
	}
}

// What cannot be saved is shown; a part that is stopped is left out.
func TestReportNotSaved(t *testing.T) {
	r := reports{err: fmt.Errorf("the report cannot be saved on the drive: %w", fs.ErrReadOnly)}
	for _, save := range []func(time.Time, []byte) (string, func([]byte) error, error){nil, r.save} {
		c := Config{Machine: marked(), Models: engine.DirModels(fstest.MapFS{}, "models")}
		c.Drive.Report = save
		p := sit(t, c)
		p.expect("Which model?")
		io.WriteString(p.keys, "/report\r")
		said := p.expect("so it stands above: ")
		if !strings.Contains(said, "\nvalue           as it is") || !strings.Contains(said, "none is part of the program") {
			t.Errorf("it says %q", said)
		}
		p.expect("Which model?")
		io.WriteString(p.keys, "/bye\r")
		<-p.done
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if got, want := marked().sections[6].write(ctx, nil), "\n# slow\nfailed          left out\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
