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
			typeIntoAnswers(t, p, tt.by, *manyKeys, 20)
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

// heldKeys is how many keys can wait in QEMU when the host gives the machine no time: its keyboards have room for 16 bytes, or
// events, of which a key takes one when it is pressed and one when it is released. What comes then is lost without a
// word, which the machine can do nothing about: it does not run.
const heldKeys = 8

// typeIntoAnswers types so many keys, a line of them with its Enter into each answer, short enough to end before that. The line
// is a command that there is none of, so that no model has to read it, and comes whole.
func typeIntoAnswers(t *testing.T, p *vmtest.Person, by typist, keys, line int) {
	t.Helper()
	p.Say("/set parameter num_predict 100")
	rng := rand.New(rand.NewPCG(1, 2))
	into := 0 // keys that were typed before an answer ended
	for n := 0; n < keys; {
		p.TypeLine(guideQuestion)
		word := []byte("/")
		for len(word) < min(line, keys-n)-1 {
			word = append(word, "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)])
		}
		before := len(p.VM.Output())
		by(t, p, string(word)+"\n")
		if !strings.Contains(p.VM.Output()[before:], "you> ") {
			into += len(word) + 1
		}
		p.Prompt()
		if got := strings.TrimSpace(p.Expect("\n")); got != string(word) {
			t.Fatalf("behind %d keys that all came %q was typed and %q came", n, word, got)
		}
		p.Prompt()
		n += len(word) + 1
	}
	if into == 0 {
		t.Error("no key was typed into an answer")
	}
	t.Logf("all of %d keys came, %d of them into answers that went on for longer", keys, into)
}
