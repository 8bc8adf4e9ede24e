package tests

// A model that is missing or broken is told in one clear sentence, and another
// can be chosen.

import (
	"math/rand/v2"
	"os"
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

func TestBrokenModels(t *testing.T) {
	ctx := needQEMU(t, 4*time.Minute)
	model, want := chatModel(t, story)
	broken := brokenModels(t, model)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}, Extra: broken})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	noTraces(t, p.prompt())
	list := p.say("/models")
	good := strings.TrimSuffix(model[strings.LastIndex(model, "/")+1:], ".gguf")
	if !strings.Contains(list, good) {
		t.Errorf("/models does not list %s: %q", good, list)
	}
	for _, b := range broken {
		name := strings.TrimSuffix(strings.TrimPrefix(b.Path, "models/"), ".gguf")
		said := p.say("/load " + name)
		noTraces(t, said)
		if !strings.Contains(said, name) || len(strings.Split(strings.TrimSpace(said), "\n")) > 3 {
			t.Errorf("loading %s: %q; want one clear sentence that names it", name, said)
		}
		t.Logf("%s: %q", name, said)
	}
	said := p.say("/load no-such-model")
	noTraces(t, said)
	if !strings.Contains(said, "no-such-model") {
		t.Errorf("loading a model that is not there: %q", said)
	}
	p.screenshot("broken-models.png")
	noTraces(t, p.say("/load "+good))
	p.greedy()
	if got := p.ask(story); got != want {
		t.Errorf("after /load in the machine\n%q\nwant\n%q", got, want)
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
	said := p.prompt()
	noTraces(t, said)
	if !strings.Contains(said, "a-cut") {
		t.Errorf("the broken model is not named: %q", said)
	}
	noTraces(t, p.say("hello"))
	p.screenshot("only-broken-model.png")
	p.typeLine("/bye")
	p.off()
}

// TestNoModel boots a drive without any model.
func TestNoModel(t *testing.T) {
	ctx := needQEMU(t, 3*time.Minute)
	disk := newDrive(t, drive.Options{EFI: program(t)})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	said := p.prompt()
	noTraces(t, said)
	if !strings.Contains(said, "model") {
		t.Errorf("the missing model is not told: %q", said)
	}
	noTraces(t, p.say("hello"))
	noTraces(t, p.say("/models"))
	p.screenshot("no-model.png")
	p.typeLine("Goodbye")
	p.expect("All data saved. Goodbye.")
	p.off()
	checkDrive(t, disk)
}
