package tests

// The plug is pulled in mid-answer, again and again, and nothing that was
// acknowledged is lost.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

func TestPowerCut(t *testing.T) {
	ctx := needQEMU(t, 6*time.Minute)
	model, want := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}})
	const note = "Note: your last session ended unexpectedly. I've recovered your conversation up to"

	var shown []string // of each answer, what was on the screen when the plug was pulled
	for i, cut := range []int{8, 60, 150} {
		bus := []string{"virtio", "usb", "nvme"}[i]
		p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: bus})}
		said := p.prompt()
		if recovered := strings.Contains(said, note); recovered != (i > 0) {
			t.Errorf("boot %d: recovered is %v: %q", i+1, recovered, said)
		}
		checkHistory(t, p, shown)
		p.say("/clear") // each round is a conversation of its own, so its answer is known
		p.greedy()
		p.typeLine(story)
		text := strings.TrimPrefix(p.expect(want[max(0, cut-10):cut]), "alpha> ")
		p.vm.Kill()
		// What came while the plug was being pulled was shown as well.
		_, after, _ := strings.Cut(p.vm.Output()[strings.LastIndex(p.vm.Output(), "alpha> "):], "alpha> ")
		if len(after) > len(text) {
			text = after
		}
		shown = append(shown, text)
		t.Logf("boot %d: the plug was pulled after %q", i+1, text)
		checkDrive(t, disk)
	}

	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	said := p.prompt()
	if !strings.Contains(said, note) {
		t.Errorf("no note of the recovery: %q", said)
	}
	p.screenshot("recovered.png")
	checkHistory(t, p, shown)
	p.typeLine("Please shut down")
	p.expect("All data saved. Goodbye.")
	p.off()

	p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	if said := p.prompt(); strings.Contains(said, note) {
		t.Errorf("after a proper shutdown: %q", said)
	}
	checkHistory(t, p, shown)
	p.typeLine("/bye")
	p.off()
	checkDrive(t, disk)
}

// checkHistory checks that the present conversation, the last of shown, is
// there: the question, and the answer as far as it was shown.
func checkHistory(t *testing.T, p *person, shown []string) {
	t.Helper()
	if len(shown) == 0 {
		return
	}
	history := p.say("/history")
	if !strings.Contains(history, story) {
		t.Errorf("the question is lost: %q", history)
	}
	last := squeeze(shown[len(shown)-1])
	if !strings.Contains(squeeze(history), last) {
		t.Errorf("the answer was shown as\n%q\nbut the history has\n%q", last, squeeze(history))
	}
}

// TestJournalSurvivesAnyBus checks that a question is safe as soon as its
// answer begins, on every kind of disk.
func TestJournalSurvivesAnyBus(t *testing.T) {
	ctx := needQEMU(t, 6*time.Minute)
	model, _ := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}})
	for i, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: bus})}
		p.prompt()
		question := fmt.Sprintf("This is question %d on %s", i, bus)
		p.typeLine(question)
		p.expect("alpha> ")
		p.vm.Kill()
		p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: bus})}
		if said := p.prompt(); !strings.Contains(said, "ended unexpectedly") {
			t.Errorf("%s: no note of the recovery: %q", bus, said)
		}
		if history := p.say("/history"); !strings.Contains(history, question) {
			t.Errorf("%s: the question is lost: %q", bus, history)
		}
		p.typeLine("/bye")
		p.off()
	}
	checkDrive(t, disk)
}
