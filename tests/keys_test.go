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
	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
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
			tt.config.Disk, tt.config.CPUs = vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{talker(t)}}), 2
			p := vmtest.Boot(t, tt.config)
			p.Prompt()
			typeIntoAnswers(t, p, tt.by, *manyKeys)
			p.Leave("/bye")
		})
	}
}

const keysPerSecond = 30 // faster than anybody types, and what a key that is held down gives

// typist types text at keysPerSecond of the machine's own time: package ovmf tells why.
type typist func(t *testing.T, p *vmtest.Person, text string)

func byKeyboard(t *testing.T, p *vmtest.Person, text string) {
	t.Helper()
	if err := p.VM.SendTextAt(t.Context(), text, keysPerSecond); err != nil {
		t.Fatal(err)
	}
}

func bySerial(t *testing.T, p *vmtest.Person, text string) {
	t.Helper()
	if err := p.VM.TypeAt(t.Context(), text, keysPerSecond); err != nil {
		t.Fatal(err)
	}
}

// heldKeys is how many keys can wait in QEMU before it forgets some: its keyboards have room for 16 bytes, or events, of
// which a key takes one when it is pressed and one when it is released.
const heldKeys = 8

// lineKeys is how many keys a line has with its Enter, and linesInto how many lines are typed into an answer.
const lineKeys, linesInto = 60, 8

// talker is a model that goes on for ever, at a pace that leaves the processors no rest.
func talker(t *testing.T) string {
	return writeModel(t, llmtest.Shape{Name: "voluble", Embedding: 256, Layers: 4, Heads: 4, KVHeads: 4, Head: 64, FeedForward: 768, Context: 4096, Types: []gguf.Type{gguf.Q8_0}})
}

// typeIntoAnswers types so many keys into answers of the talker, and after some lines one Enter that stops the answer. A line is a
// command that there is none of, so that no model has to read it, and comes whole when the answer has ended.
func typeIntoAnswers(t *testing.T, p *vmtest.Person, by typist, keys int) {
	t.Helper()
	p.Say("/set parameter num_predict 100000")
	rng := rand.New(rand.NewPCG(1, 2))
	began, most := time.Now(), linesInto
	for n := 0; n < keys; {
		p.Say("/new")
		p.TypeLine("Talk.")
		p.Expect("alpha> ")
		before := len(p.VM.Output())
		var lines []string
		for typed := 0; len(lines) < most && n+typed < keys; typed += lineKeys {
			line := []byte("/")
			for len(line) < min(lineKeys, max(keys-n-typed, 3))-1 {
				line = append(line, "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)])
			}
			by(t, p, string(line)+"\n")
			lines = append(lines, string(line))
		}
		p.Sleep(time.Second) // keys that follow each other faster are not meant to stop it
		ended := strings.Contains(p.VM.Output()[before:], "you> ")
		if !ended {
			by(t, p, "\n")
		}
		if said := p.Prompt(); ended { // its context is full, on a fast machine
			if most == 1 {
				t.Fatalf("no answer is long enough: %q", said)
			}
			most /= 2
		} else {
			vmtest.Contains(t, said, "topped")
		}
		for _, line := range lines {
			if got := strings.TrimSpace(p.Expect("\n")); got != line {
				t.Fatalf("behind %d keys that all came %q was typed and %q came", n, line, got)
			}
			p.Prompt()
			if !ended {
				n += len(line) + 1
			}
		}
		t.Logf("%d keys came after %v", n, time.Since(began).Round(time.Second))
	}
}
