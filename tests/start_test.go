package tests

// Ways to start other than the firmware's own: from the UEFI shell and from a boot
// manager, with start options.

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// notBootable writes a file with the headers of an EFI application and nothing to
// start behind them: the firmware passes it over and goes on to its shell.
func notBootable(t testing.TB) string {
	t.Helper()
	b := make([]byte, 1024)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[60:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	le.PutUint16(b[0x84:], 0x8664)
	le.PutUint16(b[0x98:], 0x20b)
	le.PutUint16(b[0x98+68:], 10)
	path := filepath.Join(t.TempDir(), "BOOTX64.EFI")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// chained is where AlphaOS lies when something else is what the firmware starts.
const chained = "EFI/alphaos/alphaos.efi"

// image returns AlphaOS as a file to put there.
func image(t testing.TB) drive.Extra {
	t.Helper()
	content, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	return drive.Extra{Path: chained, Content: content}
}

// verboseLines must be in what a verbose start says.
var verboseLines = []string{
	"firmware: ", "EDK II 0x", "clock: 2", "built with go1.", "processor features: ", "SSE2", "time-stamp counters: ", "memory map: ", " taken over, ",
	"disk: ", "volume: ", "drive: ", "journal: open", "model: kernel ",
}

// contains checks that text has all parts.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// bye switches off and checks the drive.
func bye(t *testing.T, p *person, disk string) {
	t.Helper()
	p.typeLine("/bye")
	p.expect("All data saved. Goodbye.")
	p.off()
	checkDrive(t, disk)
}

// TestChained starts AlphaOS from a boot manager that loads it from memory, as
// Limine does with the limine.conf of the documentation.
func TestChained(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	model, want := chatModel(t, story)
	for _, c := range []struct {
		name, missing string
		config        ovmf.Config
		said          []string
	}{
		{"with everything", "", ovmf.Config{}, []string{"processors: 1 in use"}},
		{
			"without device and file, size in characters, 2 processors", "device,file,bytes", ovmf.Config{CPUs: 2, Bus: "nvme"},
			[]string{"processors: 2 in use", "from a place that the firmware does not tell"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			loader, err := buildEFI("chain", "./tests/chain", "-ldflags=-X main.missing="+c.missing)
			if err != nil {
				t.Fatal(err)
			}
			c.config.Disk = newDrive(t, drive.Options{EFI: loader, Models: []string{model}, Extra: []drive.Extra{
				image(t), {Path: "limine.conf", Content: []byte(limineConf(t))},
			}})
			p := &person{t, ctx, boot(t, ctx, c.config)}
			p.expect("chain: starting")
			said := p.prompt()
			contains(t, said, `load options: "verbose"`)
			contains(t, said, append(c.said, verboseLines...)...)
			p.greedy()
			if got := p.ask(story); got != want {
				t.Errorf("in the machine\n%q\nwant\n%q", got, want)
			}
			bye(t, p, c.config.Disk)
			contains(t, string(readDrive(t, c.config.Disk, drive.BootLogPath)), append(c.said, verboseLines...)...)
		})
	}
}

// TestChainedReturns starts, from a program on package amd64, another that returns: the
// machine then is again as the first one left it, and the firmware gets it back.
func TestChainedReturns(t *testing.T) {
	ctx := needQEMU(t, 10*time.Minute)
	loader, err := buildEFI("chain", "./tests/chain")
	if err != nil {
		t.Fatal(err)
	}
	efi, err := buildEFI("selftest-exit", "./tests/selftest", "-ldflags=-X main.finish=exit")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(efi)
	if err != nil {
		t.Fatal(err)
	}
	disk := newDrive(t, drive.Options{EFI: loader, Extra: []drive.Extra{
		{Path: chained, Content: content}, {Path: "limine.conf", Content: []byte(limineConf(t))},
	}})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 2048})}
	p.expect("chain: starting")
	p.expect("checks passed")
	p.expect("chain: the image returned, and all is well")
	p.expect("UEFI Interactive Shell")
}

// limineConf returns the limine.conf of the documentation.
func limineConf(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), "docs", "limine.md"))
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
	ctx := needQEMU(t, 12*time.Minute)
	model, _ := chatModel(t, story)
	shell := func(t *testing.T, options string) (p *person, disk, said string) {
		disk = newDrive(t, drive.Options{EFI: notBootable(t), Models: []string{model}, Extra: []drive.Extra{
			image(t), {Path: "startup.nsh", Content: []byte("fs0:\r\n\\EFI\\alphaos\\alphaos.efi " + options + "\r\n")},
		}})
		p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, CPUs: 2})}
		p.expect("UEFI Interactive Shell")
		return p, disk, p.prompt()
	}
	t.Run("verbose", func(t *testing.T) {
		p, disk, said := shell(t, "verbose threads=1 color=red")
		contains(t, said, `Start options: there is no option "color"; there are verbose,`, "options: verbose threads=1",
			`\EFI\alphaos\alphaos.efi`, "threads 1,", "processors: 2 in use")
		contains(t, said, verboseLines...)
		p.screenshot("verbose.png")
		bye(t, p, disk)
	})
	t.Run("safe", func(t *testing.T) {
		p, disk, said := shell(t, "safe")
		contains(t, said, "Safe start: one processor, the portable kernel, and nothing is written but the journal.")
		if strings.Contains(said, "firmware:") {
			t.Errorf("a start is verbose that should not be: %q", said)
		}
		contains(t, p.say("/show info"), "1 in use, 2 were started", "portable, 1 thread")
		bye(t, p, disk)
	})
}

// TestSafeStart starts safely, which a file on the drive asks for: all that a safe
// start promises is kept.
func TestSafeStart(t *testing.T) {
	ctx := needQEMU(t, 4*time.Minute)
	model, want := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}, Size: 64 << 20, Journal: 1 << 20,
		Config: []byte(`{"safe": true, "verbose": true, "threads": 2, "kernel": "avx2", "colour": "red"}`)})
	before := besides(t, disk, drive.JournalPath)
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, CPUs: 2})}
	said := p.prompt()
	contains(t, said, "Safe start: one processor, the portable kernel, and nothing is written but the journal.",
		`data/config.json: there is no option "colour"`, "processors: 1 in use, 2 were started", "model: kernel portable, threads 1,",
		"boot log: not written in a safe start")
	contains(t, said, verboseLines...)
	p.greedy()
	if got := p.ask(story); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	bye(t, p, disk)
	after := besides(t, disk, drive.JournalPath)
	for i := range after {
		if after[i] != before[i] {
			t.Fatalf("a safe start has written byte %#x of the drive, which is not the journal's", i)
		}
	}
}

// besides returns all of a drive but a file's blocks, which are zeros.
func besides(t *testing.T, disk, name string) []byte {
	t.Helper()
	all, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := gpt.Volumes(fs.NewMemDevice(all, 512))
	if err != nil || len(volumes) != 1 {
		t.Fatalf("%d volumes: %v", len(volumes), err)
	}
	vol, err := fat.Mount(volumes[0])
	if err != nil {
		t.Fatal(err)
	}
	extents, err := vol.Extents(name)
	if err != nil || len(extents) == 0 {
		t.Fatalf("%s: %v %v", name, extents, err)
	}
	for _, e := range extents {
		clear(all[(volumes[0].First+e.First)*512:][:e.Count*512])
	}
	return all
}

// TestBadConfig checks that a damaged file of options is told and ignored, and what
// /show memory shows.
func TestBadConfig(t *testing.T) {
	ctx := needQEMU(t, 4*time.Minute)
	model, _ := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model},
		Config: []byte("{\n\"verbose\": true,\nsafe: true }")})
	log := string(readDrive(t, disk, drive.BootLogPath))
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	said := p.prompt()
	contains(t, said, "data/config.json is ignored: it is not valid JSON (line 3: invalid character 's'")
	if strings.Contains(said, "firmware:") || strings.Contains(said, "Safe start") {
		t.Errorf("a file that is ignored has options: %q", said)
	}
	said = p.say("/show memory")
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
	bye(t, p, disk)
	if string(readDrive(t, disk, drive.BootLogPath)) != log {
		t.Error("a start that was not verbose has written a boot log")
	}
}
