package tests

// What happens to a drive, and to a person, in the long run: much is said, text is pasted, the stick is
// pulled out.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs/fstest"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
	"alphaos/store"
)

// fillJournal gives a drive a journal with one conversation that nearly fills it, and returns the number
// of its messages.
func fillJournal(t *testing.T, disk string) (messages int) {
	t.Helper()
	vol, _ := vmtest.Volume(t, disk)
	f, err := vol.OpenInPlace(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	p := fstest.New(f.Size(), 512, 0, rand.New(rand.NewPCG(1, 1)))
	s, _, err := store.Open(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	for used, total := s.Usage(); used < total/20*17; used, total = s.Usage() {
		n := messages / 2
		if err := s.AddUser(fmt.Sprintf("Question %d: how do I keep what I say?", n)); err != nil {
			t.Fatal(err)
		}
		a := s.BeginAnswer()
		if err := a.Write(fmt.Sprintf("Answer %d: ", n) + strings.Repeat("what you say is kept in the journal on this drive. ", 8)); err != nil {
			t.Fatal(err)
		}
		if err := a.End(store.Stats{Model: "guide", Tokens: 100}, false); err != nil {
			t.Fatal(err)
		}
		messages += 2
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(p.Bytes(), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return messages
}

// TestLongConversation starts from a journal that holds years: the end is shown as it was, with the true
// number of messages, and the conversation goes on. What it costs is reported beside an empty start.
func TestLongConversation(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)}) // the guide talks
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	p.Prompt()
	empty := p.StartTime()
	p.Leave("/bye")

	messages := fillJournal(t, disk)
	var times []time.Duration
	for i := range 2 { // the second start finds what the model remembers, too
		p = vmtest.Boot(t, ovmf.Config{Disk: disk})
		said := p.Prompt()
		times = append(times, p.StartTime())
		total := messages + 2*i
		for _, want := range []string{fmt.Sprintf("The end of your last conversation (%d messages", total),
			fmt.Sprintf("you: Question %d: how do I keep", messages/2-1), fmt.Sprintf("alpha: Answer %d: what you say", messages/2-1)} {
			if !strings.Contains(said, want) {
				t.Errorf("%q is missing in %q", want, said)
			}
		}
		if strings.Contains(said, fmt.Sprintf("Question %d:", messages/2-3)) {
			t.Errorf("more than the end is shown: %q", said)
		}
		if i == 0 {
			p.Say("/set parameter num_ctx 256") // half of it is read before the answer
			p.Say("/set parameter num_predict 20")
			if got := p.Ask(guideQuestion); len(got) < 10 {
				t.Errorf("the answer is %q", got)
			}
			p.Screenshot("long-conversation.png")
		} else {
			info := p.Say("/show info")
			for _, line := range strings.Split(info, "\n") {
				if strings.Contains(line, "start  ") || strings.Contains(line, "journal  ") || strings.Contains(line, "context  ") {
					t.Log(strings.TrimSpace(line))
				}
			}
			p.Screenshot("long-conversation-recalled.png")
		}
		p.Leave("/bye")
	}
	t.Logf("from hand-over to the prompt: %v with an empty journal, %v with %d messages", empty, times, messages)
	vmtest.CheckDrive(t, disk)
}

// TestPasteIntoAnswer pastes twenty lines over the serial line while an answer runs: it goes on, and they are one
// message.
func TestPasteIntoAnswer(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	p.Prompt()
	p.Greedy(60)
	before := len(p.VM.Output())
	p.TypeLine(story)
	p.Expect("alpha> ")
	var paste strings.Builder
	for i := range 20 {
		fmt.Fprintf(&paste, "This is line %d of the paste.\n", i)
	}
	p.Type(paste.String())
	p.Screenshot("paste.png")
	if strings.Contains(p.VM.Output()[before:], "you> ") {
		t.Fatal("the answer ended before the paste was there, so this shows nothing: let it be longer")
	}
	if said := p.Prompt(); strings.Contains(said, "Stopped") {
		t.Errorf("the paste stopped the answer: %q", said)
	}
	p.Expect("This is line 0 of the paste.\n... This is line 1 of the paste.\n")
	if said := p.Prompt(); strings.Count(said, "... This is line") != 18 || strings.Count(said, "alpha> ") != 1 || strings.Contains(said, "Stopped") {
		t.Errorf("the paste was not answered as one message: %q", said)
	}
	if history := p.Say("/history"); !strings.Contains(history, "you: This is line 0 of the paste.\nThis is line 1 of the paste.\n") {
		t.Errorf("the paste is not one message in the history: %q", history)
	}
	p.Leave("/bye")
}

// TestPulledOut pulls the stick out in the middle of an answer and plugs it into another port: the conversation goes on
// meanwhile, and all of it is saved then.
func TestPulledOut(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)}) // the guide talks
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb-ssd"})
	p.Prompt()
	p.Greedy(100)
	p.TypeLine("What is AlphaOS?")
	p.Expect("alpha> ")
	if err := p.VM.Unplug(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := p.Prompt()
	p.TypeLine("Who are you?")
	said := p.Prompt()
	if all := answer + said; strings.Count(all, "Nothing can be saved at the moment: the drive was pulled out. Plug it in again. What is said is kept in memory until it can.") != 1 {
		t.Errorf("it says %q", all)
	}
	second := vmtest.Answer(t, said)
	if unsaved := p.Say("/history"); !strings.Contains(unsaved, "Not saved yet:") || !strings.Contains(unsaved, "you: Who are you?") {
		t.Errorf("the history is %q", unsaved)
	}
	p.Screenshot("pulled-out.png")
	if err := p.VM.Plug(t.Context(), disk, 3); err != nil {
		t.Fatal(err)
	}
	p.TypeLine("What can you do?")
	if said := p.Prompt(); !strings.Contains(said, "It can be saved again. All that was said is saved.") || vmtest.Answer(t, said) == "" {
		t.Errorf("after it was plugged in again: %q", said)
	}
	p.Screenshot("plugged-in-again.png")
	p.Leave("/bye")
	for _, word := range []string{"EFI_", "PciRoot", "blocks at"} {
		if out := p.VM.Output(); strings.Contains(out[strings.Index(out, "you> "):], word) {
			t.Errorf("%s was shown: %q", word, out)
		}
	}
	vmtest.CheckDrive(t, disk)

	p = vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb"})
	if said := p.Prompt(); strings.Contains(said, note) || !strings.Contains(said, "you: What can you do?") {
		t.Errorf("after a restart: %q", said)
	}
	if all := p.Say("/history"); !strings.Contains(all, "you: What is AlphaOS?") || !strings.Contains(all, second) || strings.Contains(all, "(cut short)") || strings.Contains(all, "Not saved") {
		t.Errorf("after a restart, the history is %q", all)
	}
	p.Screenshot("recalled.png")
	// The medium of this one is removable, which firmware treats otherwise.
	p.TypeLine("Are you an AI?")
	p.Expect("alpha> ")
	if err := p.VM.Unplug(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Prompt()
	if err := p.VM.Plug(t.Context(), disk, 1); err != nil {
		t.Fatal(err)
	}
	p.TypeLine("Who are you?")
	if said := p.Prompt(); !strings.Contains(said, "It can be saved again. All that was said is saved.") {
		t.Errorf("after it was plugged in where it was: %q", said)
	}
	// Whoever does not plug it in again can switch off nevertheless.
	if err := p.VM.Unplug(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.TypeLine("/bye")
	p.Expect("Not everything could be saved: the drive was pulled out.")
	p.Expect("Shut down anyway? (yes or no) ")
	p.TypeLine("yes")
	p.Off()
}
