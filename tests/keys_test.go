package tests

// Fast typing while the machine computes.

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

var manyKeys = flag.Int("keys", 0, "how many keys TestKeys types on each kind of keyboard")

// TestKeys types at 30 keys a second, for minutes, while all processors compute answers. Not one key may be lost.
func TestKeys(t *testing.T) {
	if *manyKeys == 0 {
		t.Skip("types for minutes: run with -keys 10000")
	}
	vmtest.NeedQEMU(t)
	for _, tt := range []struct {
		name   string
		by     typist
		config ovmf.Config
	}{
		{"PS-2", byKeyboard, ovmf.Config{}},
		{"USB", byKeyboard, ovmf.Config{USBKeyboard: true, Bus: "usb", Extra: []string{"-machine", "i8042=off"}}},
		{"serial", bySerial, ovmf.Config{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Disk, tt.config.CPUs = vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)}), 2
			p := vmtest.Boot(t, tt.config)
			p.Prompt()
			typeIntoAnswers(t, p, tt.by, *manyKeys)
			p.Leave("/bye")
		})
	}
}

const keysPerSecond = 30 // faster than anybody types, and what a key that is held down gives

// typist types text.
type typist func(t *testing.T, p *vmtest.Person, text string)

func byKeyboard(t *testing.T, p *vmtest.Person, text string) {
	t.Helper()
	if err := p.VM.SendTextAt(t.Context(), text, keysPerSecond); err != nil {
		t.Fatal(err)
	}
}

func bySerial(t *testing.T, p *vmtest.Person, text string) {
	t.Helper()
	tick := time.NewTicker(time.Second / keysPerSecond)
	defer tick.Stop()
	for _, r := range text {
		<-tick.C
		p.Type(string(r))
	}
}

// typeIntoAnswers types so many keys, a line of them into each answer, short enough to end before that. The line is a command that there is none of, so that
// no model has to read it, and comes whole.
func typeIntoAnswers(t *testing.T, p *vmtest.Person, by typist, keys int) {
	t.Helper()
	p.Say("/set parameter num_predict 100")
	rng := rand.New(rand.NewPCG(1, 2))
	into := 0 // keys that were typed before an answer ended
	for n := 0; n < keys; {
		p.TypeLine(guideQuestion)
		line := []byte("/")
		for len(line) < min(20, keys-n) {
			line = append(line, "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)])
		}
		before := len(p.VM.Output())
		by(t, p, string(line)+"\n")
		if !strings.Contains(p.VM.Output()[before:], "you> ") {
			into += len(line)
		}
		p.Prompt()
		if got := strings.TrimSpace(p.Expect("\n")); got != string(line) {
			t.Fatalf("behind %d keys that all came %q was typed and %q came", n, line, got)
		}
		p.Prompt()
		n += len(line)
	}
	t.Logf("all of %d keys came, %d of them into answers that went on for longer", keys, into)
}
