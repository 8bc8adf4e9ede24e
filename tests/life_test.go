package tests

// What happens to a drive, and to a person, in the long run: much is said, text is pasted, the stick is
// pulled out.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/ovmf"
	"alphaos/store"
	"alphaos/tools/drive"
)

// pages is a journal in memory.
type pages []byte

func (p pages) Size() int64                             { return int64(len(p)) }
func (p pages) Sync() error                             { return nil }
func (p pages) ReadAt(b []byte, at int64) (int, error)  { return copy(b, p[at:]), nil }
func (p pages) WriteAt(b []byte, at int64) (int, error) { return copy(p[at:], b), nil }

// fillJournal gives a drive a journal with one conversation that nearly fills it, and returns the number
// of its messages.
func fillJournal(t *testing.T, disk string) (messages int) {
	t.Helper()
	dev, err := fs.OpenFileDevice(disk, 512, true)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	volumes, err := gpt.Volumes(dev)
	if err != nil {
		t.Fatal(err)
	}
	vol, err := fat.Mount(volumes[0])
	if err != nil {
		t.Fatal(err)
	}
	f, err := vol.OpenInPlace(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	p := make(pages, f.Size())
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
	if _, err := f.WriteAt(p, 0); err != nil {
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
	ctx := needQEMU(t, 8*time.Minute)
	disk := newDrive(t, drive.Options{EFI: program(t)}) // the guide talks
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	p.prompt()
	empty := logTimes(t, p.vm)
	p.typeLine("/bye")
	p.off()

	messages := fillJournal(t, disk)
	var times []time.Duration
	for i := range 2 { // the second start finds what the model remembers, too
		p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
		said := p.prompt()
		times = append(times, logTimes(t, p.vm))
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
			p.say("/set parameter num_ctx 256") // half of it is read before the answer
			p.say("/set parameter num_predict 20")
			if got := p.ask(guideQuestion); len(got) < 10 {
				t.Errorf("the answer is %q", got)
			}
			p.screenshot("long-conversation.png")
		} else {
			info := p.say("/show info")
			for _, line := range strings.Split(info, "\n") {
				if strings.Contains(line, "start  ") || strings.Contains(line, "journal  ") || strings.Contains(line, "context  ") {
					t.Log(strings.TrimSpace(line))
				}
			}
			p.screenshot("long-conversation-recalled.png")
		}
		p.typeLine("/bye")
		p.expect("All data saved. Goodbye.")
		p.off()
	}
	t.Logf("from hand-over to the prompt: %v with an empty journal, %v with %d messages", empty, times, messages)
	checkDrive(t, disk)
}

// TestPasteIntoAnswer pastes twenty lines over the serial line while an answer runs: it goes on, and each
// line is a message.
func TestPasteIntoAnswer(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	model, _ := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	p.prompt()
	p.say("/set parameter temperature 0")
	p.say("/set parameter num_predict 60")
	before := len(p.vm.Output())
	p.typeLine(story)
	p.expect("alpha> ")
	var paste strings.Builder
	for i := range 20 {
		fmt.Fprintf(&paste, "This is line %d of the paste.\n", i)
	}
	if err := p.vm.Type(paste.String()); err != nil {
		t.Fatal(err)
	}
	p.screenshot("paste.png")
	if strings.Contains(p.vm.Output()[before:], "you> ") {
		t.Fatal("the answer ended before the paste was there, so this shows nothing: let it be longer")
	}
	if said := p.prompt(); strings.Contains(said, "Stopped") {
		t.Errorf("the paste stopped the answer: %q", said)
	}
	for i := range 20 {
		p.expect(fmt.Sprintf("This is line %d of the paste.\n", i))
		if said := p.prompt(); !strings.Contains(said, "alpha> ") || strings.Contains(said, "Stopped") {
			t.Errorf("line %d was not answered: %q", i, said)
		}
	}
	history := p.say("/history")
	at := 0
	for i := range 20 {
		n := strings.Index(history[at:], fmt.Sprintf("you: This is line %d of the paste.\n", i))
		if n < 0 {
			t.Fatalf("line %d is not in the history, or not in its turn: %q", i, history)
		}
		at += n
	}
	p.typeLine("/bye")
	p.expect("All data saved. Goodbye.")
	p.off()
}

// TestPulledOut pulls the stick out and plugs it into another port: what was said meanwhile is kept, and
// saved and answered then.
func TestPulledOut(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	disk := newDrive(t, drive.Options{EFI: program(t)}) // the guide talks
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: "usb"})}
	p.prompt()
	p.greedy()
	p.ask("Hello")
	if err := p.vm.Unplug(ctx); err != nil {
		t.Fatal(err)
	}
	p.typeLine("What is AlphaOS?")
	said := p.expect("Enter gives up waiting.")
	if !strings.Contains(said, "The drive was pulled out. Plug it in again: your message is kept here, and is saved and answered then.") {
		t.Errorf("it says %q", said)
	}
	p.screenshot("pulled-out.png")
	if err := p.vm.Plug(ctx, disk, 3); err != nil {
		t.Fatal(err)
	}
	if said := p.prompt(); !strings.Contains(said, "All that was said is saved.") || answer(t, said) == "" {
		t.Errorf("after it was plugged in again: %q", said)
	}
	p.typeLine("/bye")
	p.expect("All data saved. Goodbye.")
	p.off()
	for _, word := range []string{"EFI_", "PciRoot", "blocks at"} {
		if out := p.vm.Output(); strings.Contains(out[strings.Index(out, "you> "):], word) {
			t.Errorf("%s was shown: %q", word, out)
		}
	}
	checkDrive(t, disk)

	p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: "usb"})}
	if said := p.prompt(); strings.Contains(said, note) || !strings.Contains(said, "you: What is AlphaOS?") {
		t.Errorf("after a restart: %q", said)
	}
	p.screenshot("recalled.png")
	// Whoever does not plug it in again can switch off nevertheless.
	if err := p.vm.Unplug(ctx); err != nil {
		t.Fatal(err)
	}
	p.typeLine("/bye")
	p.expect("Not everything could be saved: the drive was pulled out.")
	p.expect("Shut down anyway? (yes or no) ")
	p.typeLine("yes")
	p.off()
}
