package tests

// A model that is missing or broken is told in one clear sentence, and another
// can be chosen.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// brokenModels returns files under models/ that are no models, each in its own
// way, made from a good one.
func brokenModels(t *testing.T, good string) []drive.Extra {
	t.Helper()
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	counts := append([]byte{}, data...)
	for i := 8; i < 24; i++ { // tensor and metadata counts beyond all measure
		counts[i] = 0xff
	}
	return []drive.Extra{
		{Path: "models/a-cut.gguf", Content: data[:len(data)/2]},
		{Path: "models/b-noise.gguf", Content: noise},
		{Path: "models/c-counts.gguf", Content: counts},
		{Path: "models/d-empty.gguf"},
		{Path: "models/e-header.gguf", Content: data[:24]},
	}
}

// noTraces fails if said looks like an accident rather than a message.
func noTraces(t *testing.T, said string) {
	t.Helper()
	for _, bad := range []string{"panic", "goroutine ", "runtime error", "0x"} {
		if strings.Contains(said, bad) {
			t.Errorf("%q in what a person reads: %q", bad, said)
		}
	}
}

// sentenceAbout fails unless said tells in a line or two what is wrong with name.
func sentenceAbout(t *testing.T, name, said string) {
	t.Helper()
	noTraces(t, said)
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Loading ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.Contains(lines[0], name) || !strings.HasSuffix(lines[0], ".") {
		t.Errorf("about %s it says %q; want one sentence that names it", name, lines)
	}
	t.Logf("%s: %q", name, lines)
}

func TestBrokenModels(t *testing.T) {
	ctx := needQEMU(t, 4*time.Minute)
	model, want := chatModel(t, story)
	good := strings.TrimSuffix(filepath.Base(model), ".gguf")
	broken := brokenModels(t, model)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}, Extra: broken})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}

	// The first model of the list is broken: the machine says so and asks.
	const list, which = "Models on this drive:", "Which model?"
	_, said, _ := strings.Cut(p.expect(list), "BdsDxe: starting ")
	_, said, _ = strings.Cut(said, "\n")
	sentenceAbout(t, "a-cut", strings.TrimSuffix(said, list))
	for i, b := range broken {
		if listed := p.expect(which); !strings.Contains(listed, good) {
			t.Errorf("the list lacks %s: %q", good, listed)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(b.Path, "models/"), ".gguf")
		if i%2 == 0 {
			p.typeLine(name)
		} else {
			p.typeLine(fmt.Sprint(i + 1))
		}
		sentenceAbout(t, name, strings.TrimSuffix(p.expect(list), list))
	}
	p.expect(which)
	p.screenshot("broken-models.png")
	p.typeLine("no-such-model")
	sentenceAbout(t, "no-such-model", strings.TrimSuffix(p.expect(list), list))
	p.expect(which)
	p.typeLine(good)
	p.prompt()

	// A model that cannot be loaded leaves the one in use.
	for _, b := range broken {
		name := strings.TrimSuffix(strings.TrimPrefix(b.Path, "models/"), ".gguf")
		noTraces(t, p.say("/load "+name))
	}
	sentenceAbout(t, "no-such-model", p.say("/load no-such-model"))
	p.greedy()
	if got := p.ask(story); got != want {
		t.Errorf("after the broken models, in the machine\n%q\nwant\n%q", got, want)
	}
	p.typeLine("/bye")
	p.off()
	checkDrive(t, disk)
}

// TestNothingButABrokenModel boots a drive whose only model is broken.
func TestNothingButABrokenModel(t *testing.T) {
	ctx := needQEMU(t, 3*time.Minute)
	model := writeModel(t, tinyShape)
	disk := newDrive(t, drive.Options{EFI: program(t), Extra: brokenModels(t, model)[:1]})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	said := p.expect("Which model?")
	_, said, _ = strings.Cut(said, "BdsDxe: starting ")
	_, said, _ = strings.Cut(said, "\n")
	noTraces(t, said)
	if !strings.Contains(said, "a-cut") {
		t.Errorf("the broken model is not named: %q", said)
	}
	p.typeLine("Please shut down")
	p.expect("All data saved. Goodbye.")
	p.off()
}
