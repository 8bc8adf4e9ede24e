package tests

// What is no model, or none to talk with, is passed over with one clear sentence,
// and somebody talks in any case.

import (
	"bytes"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/llm/gguf"
	"alphaos/ovmf"
)

// brokenModels returns files under models/ that are no models to talk with, each
// in its own way, some made from a good one.
func brokenModels(t *testing.T, good string) []create.Extra {
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
	head := func(arch, kind string) []byte {
		b, err := gguf.Head([]gguf.KeyValue{{Key: "general.architecture", Value: arch}, {Key: "general.type", Value: kind}},
			[]gguf.Tensor{{Name: "token_embd.weight", Type: gguf.F32, Dims: []uint64{8, 8}}})
		if err != nil {
			t.Fatal(err)
		}
		return append(b, make([]byte, 256)...)
	}
	return []create.Extra{
		{Path: "models/a-cut.gguf", Content: data[:len(data)/2]},
		{Path: "models/b-noise.gguf", Content: noise},
		{Path: "models/c-counts.gguf", Content: counts},
		{Path: "models/d-empty.gguf"},
		{Path: "models/e-header.gguf", Content: data[:24]},
		{Path: "models/f-embed.gguf", Content: head("nomic-bert", "model")},
		{Path: "models/mmproj-model-f16.gguf", Content: head("clip", "mmproj")},
		{Path: "models/newest.gguf", Content: head("newest", "model")},
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
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	broken := brokenModels(t, model)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}, Extra: broken})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})

	// They come before the good one, which is taken nevertheless.
	_, said, _ := strings.Cut(p.Prompt(), "BdsDxe: starting ")
	_, said, _ = strings.Cut(said, "\n")
	notes := strings.Split(said, "Note: ")[1:]
	if len(notes) != len(broken) {
		t.Errorf("%d notes about %d files: %q", len(notes), len(broken), said)
	}
	for i, note := range notes[:min(len(notes), len(broken))] {
		name := strings.TrimSuffix(strings.TrimPrefix(broken[i].Path, "models/"), ".gguf")
		note, _, _ = strings.Cut(note, "Loading ")
		note, _, _ = strings.Cut(note, "Type a message")
		if note = vmtest.Squeeze(note); !strings.HasPrefix(note, name+" is passed over: ") || !strings.HasSuffix(note, ".") {
			t.Errorf("about %s it says %q", name, note)
		}
		noTraces(t, note)
		t.Log(note)
	}
	listed := p.Say("/models")
	t.Log(listed)
	for _, line := range [][]string{{"a-cut", "damaged"}, {"f-embed", "embedding model"}, {"mmproj-model-f16", "vision projector"}, {"newest", "not supported"}, {"alphaos-guide", "built in"}} {
		if !regexp.MustCompile(`(?m)^ *\d+  ` + line[0] + `.*  ` + line[1] + `\s*$`).MatchString(listed) {
			t.Errorf("/models does not call %s %q: %q", line[0], line[1], listed)
		}
	}
	p.Screenshot("broken-models.png")

	// A model that cannot be loaded leaves the one in use.
	for _, b := range broken {
		name := strings.TrimSuffix(strings.TrimPrefix(b.Path, "models/"), ".gguf")
		said := p.Say("/load " + name)
		noTraces(t, said)
		vmtest.Contains(t, vmtest.Squeeze(said), "The model "+name+" can't be used: ")
	}
	sentenceAbout(t, "no-such-model", p.Say("/load no-such-model"))
	p.Greedy(100)
	if got := p.Ask(story); got != want {
		t.Errorf("after the broken models, in the machine\n%q\nwant\n%q", got, want)
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}

// TestNothingButABrokenModel boots a drive whose only model is broken: the guide
// talks. (TestConversation does so on a drive without any model.) It is left for what this computer starts without
// AlphaOS: the firmware goes on with its next boot option, and none was set for that.
func TestNothingButABrokenModel(t *testing.T) {
	vmtest.NeedQEMU(t)
	model := writeModel(t, tinyShape)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Extra: brokenModels(t, model)[:1], Config: []byte(`{"wait": 60}`)})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	p.Expect(vmtest.Manager)
	p.Expect("Model: none yet: the built-in guide talks") // and is loaded meanwhile
	variables, err := p.VM.Variables()
	if err != nil {
		t.Fatal(err)
	}
	p.Type("4\n")
	vmtest.Contains(t, vmtest.Squeeze(p.Expect("All data saved. Goodbye.")), "Own system ", "Note: a-cut is passed over: ", "Note: no model on this drive can be used, so the guide talks")
	p.Expect("Starting what this computer starts without AlphaOS.")
	p.Expect("Shell> ") // the firmware has its serial port again
	p.Type("echo -on\n")
	p.Expect("Shell> ")
	after, err := p.VM.Variables()
	if err != nil || !bytes.Equal(after, variables) {
		t.Errorf("the firmware's variables were changed, error %v", err)
	}
	vmtest.CheckDrive(t, disk)
}
