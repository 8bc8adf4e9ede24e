package tests

import (
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestStreaming talks to a model that is larger than the machine's memory for
// it: the person is told what to expect, and the answer is the one that the
// whole model gives on this host.
func TestStreaming(t *testing.T) {
	vmtest.NeedQEMU(t)
	model := writeModel(t, streamShape)
	const prompt, tokens = "The hen", 6
	want := hostText(t, model, prompt, tokens)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})

	p := vmtest.Boot(t, ovmf.Config{Disk: disk, MemoryMiB: 384})
	said := vmtest.Squeeze(p.Prompt())
	if !strings.Contains(said, "are read from the drive for each token") {
		t.Errorf("nobody is told that the model is streamed: %q", said)
	}
	p.Greedy(tokens)
	begin := time.Now()
	if got := p.Ask(prompt); got != want {
		t.Errorf("streamed\n%q\nwhole\n%q", got, want)
	}
	t.Logf("%d tokens and the prompt in %v", tokens, time.Since(begin).Round(10*time.Millisecond))
	if info := p.Say("/show info"); !strings.Contains(info, "streams ") {
		t.Errorf("/show info does not tell what is streamed: %q", info)
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}
