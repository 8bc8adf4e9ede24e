package tests

// The plug is pulled in mid-answer, again and again, and nothing that was
// acknowledged is lost.

import (
	"fmt"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/fs/fat/fattest"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// unsaved is how many bytes of a growing answer may be lost: it is saved in
// pieces of half a kilobyte at most, and one may be on its way.
const unsaved = 600

const note = "Note: Your last session ended unexpectedly. I've recovered your conversation up to"

func TestPowerCut(t *testing.T) { pullThePlug(t, create.Options{EFI: vmtest.AlphaOS(t)}) }

// TestPowerCutOnStrictDisk has a disk that takes 64 KiB at once, at 20 MB/s, and is slow to flush.
func TestPowerCutOnStrictDisk(t *testing.T) {
	pullThePlug(t, withHabits(t, "disk-strict"))
}

func pullThePlug(t *testing.T, drive create.Options) {
	vmtest.NeedQEMU(t)
	t.Parallel() // one processor is enough for each of these
	model, tokens := reference("stories260K-F32.gguf"), 450
	if model == "" {
		model, tokens = writeModel(t, tinyShape), 900
	}
	want := hostText(t, model, story, tokens)
	if len(want) < unsaved+200 {
		t.Fatalf("an answer of %d bytes is too short for this test", len(want))
	}
	drive.Models = []string{model}
	disk := vmtest.NewDrive(t, drive)

	var shown string // of the answer, when the plug was pulled
	for i, cut := range []int{8, unsaved + 50, len(want) - 20} {
		bus := []string{"virtio", "usb", "nvme"}[i]
		p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: bus})
		said := p.Prompt()
		if recovered := strings.Contains(said, note); recovered != (i > 0) || strings.Contains(said, "was mended") {
			t.Errorf("boot %d: recovered is %v: %q", i+1, recovered, said)
		}
		if i > 0 {
			checkHistory(t, p, want, shown)
		}
		p.Say("/clear") // each round is a conversation of its own, so its answer is known
		p.Greedy(tokens)
		p.TypeLine(story)
		p.Expect(want[:cut])
		p.VM.Kill()
		out := p.VM.Output()
		shown = out[strings.LastIndex(out, "alpha> ")+len("alpha> "):]
		t.Logf("boot %d: the plug was pulled after %d bytes of the answer", i+1, len(shown))
		vmtest.CheckDrive(t, disk)
	}

	// As if a report, or something of another system, was being written as well.
	_, part := vmtest.Volume(t, disk)
	volume := fattest.Open(t, part)
	volume.Mark()
	volume.Lose(3)
	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	said := p.Prompt()
	if !strings.Contains(said, note) {
		t.Errorf("no note of the recovery: %q", said)
	}
	vmtest.Contains(t, vmtest.Squeeze(said), "ALPHAOS was not put in order when it was last used, and was mended: 3 clusters belong to no file (they are free again).")
	p.Screenshot("recovered.png")
	checkHistory(t, p, want, shown)
	if history := p.Say("/history"); strings.Count(history, story) < 3 {
		t.Errorf("the conversations of the earlier boots are lost: %q", history)
	}
	p.Leave("Please shut down")

	// Nobody has marked it, and the first FAT has lost the journal.
	volume.Entry([]string{"DATA       ", "JOURNAL    "}, "JOURNAL LOG", func(raw []byte) { volume.Set(0, fattest.First(raw)+1, 0) })
	p = vmtest.Boot(t, ovmf.Config{Disk: disk})
	if said = p.Prompt(); strings.Contains(said, note) || strings.Contains(said, "put in order") {
		t.Errorf("after a proper shutdown: %q", said)
	}
	vmtest.Contains(t, vmtest.Squeeze(said), "ALPHAOS was not in order, and was mended: its FATs differ in one entry (all are made as FAT 2 is).")
	checkHistory(t, p, want, shown)
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}

// checkHistory checks that the present conversation is there: the question,
// and the answer but for what may be unsaved.
func checkHistory(t *testing.T, p *vmtest.Person, want, shown string) {
	t.Helper()
	history := p.Say("/history")
	now := history[max(0, strings.LastIndex(history, "This conversation")):]
	_, now, ok := strings.Cut(now, story)
	if !ok {
		t.Errorf("the question is lost: %q", history)
	}
	_, now, _ = strings.Cut(now, "alpha: ")
	now, want, shown = vmtest.Squeeze(now), vmtest.Squeeze(want), vmtest.Squeeze(shown)
	n := 0
	for n < min(len(now), len(want)) && now[n] == want[n] {
		n++
	}
	t.Logf("%d bytes of the answer were shown, %d are saved", len(shown), n)
	if n < len(shown)-unsaved {
		t.Errorf("the answer was shown as\n%q\nbut the history has\n%q", shown, now)
	}
}

// TestJournalSurvivesAnyBus checks that a question is safe as soon as its
// answer begins, on every kind of disk.
func TestJournalSurvivesAnyBus(t *testing.T) {
	vmtest.NeedQEMU(t)
	t.Parallel()
	model, _ := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})
	for i, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: bus})
		p.Prompt()
		question := fmt.Sprintf("This is question %d on %s", i, bus)
		p.TypeLine(question)
		p.Expect("alpha> ")
		p.VM.Kill()
		p = vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: bus})
		if said := p.Prompt(); !strings.Contains(said, note) {
			t.Errorf("%s: no note of the recovery: %q", bus, said)
		}
		if history := p.Say("/history"); !strings.Contains(history, question) {
			t.Errorf("%s: the question is lost: %q", bus, history)
		}
		p.Leave("/bye")
	}
	vmtest.CheckDrive(t, disk)
}
