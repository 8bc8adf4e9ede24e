package tests

// Ways to start other than the firmware's own: from the UEFI shell and from a boot
// manager, with start options.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/drive/media"
	"alphaos/drive/update"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// image returns AlphaOS as a file to put there.
func image(t testing.TB) create.Extra {
	t.Helper()
	content, err := os.ReadFile(vmtest.AlphaOS(t))
	if err != nil {
		t.Fatal(err)
	}
	return create.Extra{Path: drive.ChainedPath, Content: content}
}

// verboseLines must be in what a verbose start says.
var verboseLines = []string{
	"firmware: ", "EDK II 0x", "clock: 2", "built with go1.", "processor features: ", "SSE2", "time-stamp counters: ", "speed: ", "screen: 1280x800", "memory map: ", " taken over, ",
	"disk: ", "volume: ", "drive: ", "journal: open", "model: kernel ",
}

// TestChained starts AlphaOS from a boot manager that loads it from memory: on a drive that was made for Limine,
// by that itself if its folder is in ALPHAOS_LIMINE, and with the limine.conf of the documentation.
func TestChained(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	limine := os.Getenv("ALPHAOS_LIMINE")
	if limine == "" {
		limine = t.TempDir()
		program, err := os.ReadFile(chain(t))
		if err == nil {
			err = os.WriteFile(filepath.Join(limine, "BOOTX64.EFI"), program, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		drive  create.Options
		config ovmf.Config
		said   []string
	}{
		{"by Limine", create.Options{EFI: vmtest.AlphaOS(t), Limine: limine, Config: []byte(`{"verbose": true}`)}, ovmf.Config{},
			[]string{`load options: ""`, "processors: 1 of 1 in use"}},
		{
			"without device and file, size in characters, 2 processors",
			create.Options{EFI: chain(t, "-ldflags=-X main.missing=device,bytes"), Extra: []create.Extra{image(t), {Path: drive.LiminePath, Content: []byte(limineConf(t))}}},
			ovmf.Config{CPUs: 2, Bus: "nvme"},
			[]string{`load options: "verbose"`, "processors: 2 of 2 in use", "from a place that the firmware does not tell"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.drive.Models = []string{model}
			c.config.Disk = vmtest.NewDrive(t, c.drive)
			p := vmtest.Boot(t, c.config)
			said := p.Prompt()
			vmtest.Contains(t, said, append(c.said, verboseLines...)...)
			combined(t, said)
			p.Greedy(100)
			if got := p.Ask(story); got != want {
				t.Errorf("in the machine\n%q\nwant\n%q", got, want)
			}
			p.Leave("/bye")
			vmtest.CheckDrive(t, c.config.Disk)
			vmtest.Contains(t, string(vmtest.ReadFile(t, c.config.Disk, drive.BootLogPath)), append(c.said, verboseLines...)...)
		})
	}
}

// TestUpdateKnows has the program in the place of a boot manager's and in that which one starts, and a drive
// that is given the same once more: AlphaOS is known by what is in it.
func TestUpdateKnows(t *testing.T) {
	efi := vmtest.AlphaOS(t)
	dev, err := media.OpenInPlace(vmtest.SmallDrive(t, efi, image(t)), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := update.Program(dev, efi, update.Options{}); !errors.Is(err, update.ErrSame) {
		t.Error(err)
	}
}

// combined checks that OVMF's frame buffer, which its MTRRs make uncachable, is mapped with
// entry 7 of the PAT, and that this entry is write-combining.
func combined(t *testing.T, said string) {
	t.Helper()
	m := regexp.MustCompile(`uncachable by MTRR, write-combining by PAT: (\d+) of (\d+) pages, the first one's entry (0x[0-9a-f]+), PAT (0x[0-9a-f]+)`).FindStringSubmatch(said)
	if m == nil {
		t.Error("the frame buffer is not said to be write-combining")
		return
	}
	entry, _ := strconv.ParseUint(m[3], 0, 64)
	pat, _ := strconv.ParseUint(m[4], 0, 64)
	const pages = 1280 * 800 * 4 / 4096
	if m[1] != m[2] || m[1] != strconv.Itoa(pages) || entry&0x98 != 0x98 || pat>>56 != 1 {
		t.Errorf("%s: want all %d pages, bits 7, 4 and 3 in the entry, and 1 in the PAT's highest byte", m[0], pages)
	}
}

// TestChainedReturns starts, from a program on package amd64, another that returns: the
// machine then is again as the first one left it, and the firmware gets it back.
func TestChainedReturns(t *testing.T) {
	vmtest.NeedQEMU(t)
	loader := chain(t)
	efi := vmtest.EFI(t, "./tests/selftest", "-ldflags=-X main.finish=exit")
	content, err := os.ReadFile(efi)
	if err != nil {
		t.Fatal(err)
	}
	disk := vmtest.NewDrive(t, create.Options{EFI: loader, Extra: []create.Extra{
		{Path: drive.ChainedPath, Content: content}, {Path: "limine.conf", Content: []byte(limineConf(t))},
	}})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 2048})
	p.Expect("chain: starting")
	p.Expect("checks passed")
	p.Expect("chain: the image returned, and all is well")
	p.Expect("UEFI Interactive Shell")
}

// limineConf returns the limine.conf of the documentation.
func limineConf(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vmtest.Root(), "docs", "limine.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, conf, ok := strings.Cut(string(text), "```ini\n")
	conf, _, closed := strings.Cut(conf, "```")
	if !ok || !closed {
		t.Fatal("docs/limine.md shows no limine.conf")
	}
	return conf
}

// TestShell starts AlphaOS from the UEFI shell, with options behind its name.
func TestShell(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	shell := func(t *testing.T, options string) (p *vmtest.Person, disk string) {
		disk = vmtest.NewDrive(t, create.Options{Models: []string{model}, Extra: []create.Extra{
			image(t), {Path: "startup.nsh", Content: []byte("fs0:\r\n\\EFI\\alphaos\\alphaos.efi " + options + "\r\n")},
		}})
		p = vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2})
		p.Expect("UEFI Interactive Shell")
		return p, disk
	}
	t.Run("verbose", func(t *testing.T) {
		p, disk := shell(t, "verbose threads=1 color=red")
		said := p.Prompt()
		vmtest.Contains(t, said, `Start options: there is no option "color"; there are verbose,`, "options: verbose threads=1",
			`\EFI\alphaos\alphaos.efi`, "threads 1,", "processors: 2 of 2 in use")
		vmtest.Contains(t, said, verboseLines...)
		p.Screenshot("verbose.png")
		p.Leave("/bye")
		vmtest.CheckDrive(t, disk)
	})
	t.Run("safe, from the start-up manager", func(t *testing.T) {
		p, disk := shell(t, "wait=60")
		p.Expect(vmtest.Manager)
		p.Type("2\n")
		said := p.Prompt()
		vmtest.Contains(t, said, "Safe start: one processor, the portable kernel, and nothing is written but the journal.")
		if strings.Contains(said, "firmware:") {
			t.Errorf("a start is verbose that should not be: %q", said)
		}
		vmtest.Contains(t, p.Say("/show info"), "1 of 2 in use", "portable, 1 thread")
		p.Leave("/bye")
		vmtest.CheckDrive(t, disk)
	})
}

// TestSafeStart starts safely, which a file on the drive asks for: all that a safe
// start promises is kept.
func TestSafeStart(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}, Size: 64 << 20, Journal: 1 << 20,
		Config: []byte(`{"safe": true, "verbose": true, "threads": 2, "kernel": "avx2", "colour": "red"}`)})
	before := vmtest.Besides(t, disk, drive.JournalPath)
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2})
	said := p.Prompt()
	vmtest.Contains(t, said, "Safe start: one processor, the portable kernel, and nothing is written but the journal.",
		`data/config.json: there is no option "colour"`, "processors: 1 of 2 in use", "model: kernel portable, threads 1,",
		"boot log: not written in a safe start")
	vmtest.Contains(t, said, verboseLines...)
	p.Greedy(100)
	if got := p.Ask(story); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	after := vmtest.Besides(t, disk, drive.JournalPath)
	for i := range after {
		if after[i] != before[i] {
			t.Fatalf("a safe start has written byte %#x of the drive, which is not the journal's", i)
		}
	}
}

// TestBadConfig checks that a damaged file of options is told and ignored, and what
// /show memory shows.
func TestBadConfig(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model},
		Config: []byte("{\n\"verbose\": true,\nsafe: true }")})
	log := string(vmtest.ReadFile(t, disk, drive.BootLogPath))
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	said := p.Prompt()
	vmtest.Contains(t, said, "data/config.json is ignored: it is not valid JSON (line 3: invalid character 's'", "It is kept as /data/config.bad")
	if kept := string(vmtest.ReadFile(t, disk, drive.BadConfigPath)); kept != "{\n\"verbose\": true,\nsafe: true }" {
		t.Errorf("kept is %q", kept)
	}
	if strings.Contains(said, "firmware:") || strings.Contains(said, "Safe start") {
		t.Errorf("a file that is ignored has options: %q", said)
	}
	said = p.Say("/show memory")
	t.Log(said)
	got := map[string]float64{}
	for _, line := range strings.Split(said, "\n") {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "  ")
		var n float64
		var unit string
		if _, err := fmt.Sscan(strings.NewReplacer(",", " ", "(", " ").Replace(rest), &n, &unit); err == nil {
			got[name] = n * map[string]float64{"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
		}
	}
	file, err := os.Stat(model)
	if err != nil {
		t.Fatal(err)
	}
	between := func(name string, low, high float64) {
		t.Helper()
		if n, ok := got[name]; !ok || n < low || n > high {
			t.Errorf("%s: %v bytes (shown: %v), want from %v to %v", name, n, ok, low, high)
		}
	}
	const mib = 1 << 20
	between("machine", 1000*mib, 1024*mib)
	between("weights", float64(file.Size())*0.5, float64(file.Size())*1.01)
	between("program", 1*mib, 64*mib)
	between("KV cache", 1, 100*mib)
	between("Go heap", got["KV cache"], 300*mib)
	between("free", 500*mib, 1000*mib)
	between("firmware", 8*mib, 150*mib)
	sum := got["firmware"] + got["program"] + got["weights"] + got["Go heap"] + got["other"] + got["free"]
	between("machine", sum*0.97, sum*1.03)
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	if string(vmtest.ReadFile(t, disk, drive.BootLogPath)) != log {
		t.Error("a start that was not verbose has written a boot log")
	}
}

// TestKeyboardLayout types on the machine's keyboard as a person does whose keys are printed in German, and then
// on French ones: what is sent are the keys by their names on a US keyboard. The serial line types
// characters, which no layout changes.
func TestKeyboardLayout(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}, Config: []byte(`{"keyboard": "de", "verbose": true}`)})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	vmtest.Contains(t, p.Prompt(), "options: verbose keyboard=de")
	// hit presses keys up to Enter, and returns what the machine says then.
	hit := func(text string, chords ...string) string {
		t.Helper()
		if err := p.VM.SendText(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if err := p.VM.SendKeys(t.Context(), append(chords, "ret")...); err != nil {
			t.Fatal(err)
		}
		p.Expect("\n")
		return p.Prompt()
	}
	const words = "Zürich, Gräßliche Öl-Café à l'hôtel: @"
	vmtest.Contains(t, hit("&set szstem Y[rich, Gr'-liche :l/Caf=e +a l|h`otel> ", "alt_r-q"), "Set system message.")
	vmtest.Contains(t, hit("&show szstem"), words)
	vmtest.Contains(t, hit("&set kezboard fr"), "read as French from here on")
	vmtest.Contains(t, hit(">shoz syste;"), words)
	vmtest.Contains(t, p.Say("/show system"), words)
	vmtest.Contains(t, p.Say("/set keyboard"), "French, in use")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}
