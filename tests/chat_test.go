package tests

// A person's evening: they talk, shut down by asking, come back and find their
// conversation.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/models"
	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// goldenText returns what llama.cpp says after prompt with a reference model at
// temperature 0, or "" where the reference data is absent.
func goldenText(t testing.TB, model, prompt string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(), "..", "shared", "data", "golden", "greedy-llama.cpp.json"))
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]map[string]string
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	text, ok := golden[model][prompt]
	if !ok {
		t.Fatalf("the golden texts have no %q with %s", prompt, model)
	}
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), prompt))
}

// hostText returns what the same engine says on this host.
func hostText(t testing.TB, model, prompt, tokens string) string {
	t.Helper()
	tool, err := hostTool()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(run(t, "", tool, "chat", "-m", model, "-p", prompt, "-n", tokens, "--temp", "0"))
}

// chatModel returns the model that the conversations are held with: the real
// one of the reference data, or else a generated one, and the answer it must
// give to prompt at temperature 0 in 100 tokens.
func chatModel(t testing.TB, prompt string) (model, want string) {
	t.Helper()
	if model = reference("stories260K-F32.gguf"); model != "" {
		want = goldenText(t, "stories260K-F32", prompt)
	} else {
		model = writeModel(t, tinyShape)
	}
	host := hostText(t, model, prompt, "100")
	if want == "" {
		t.Log("no reference data: the answer must be the host's")
		return model, host
	}
	if host != want {
		t.Errorf("the host says\n%q, llama.cpp says\n%q", host, want)
	}
	return model, want
}

// guideQuestion is one whose answer a person needs in any case.
const guideQuestion = "How do I switch the machine off?"

// guideAnswer returns what the guide, the model that is part of the program,
// answers on this host to guideQuestion at temperature 0.
func guideAnswer(t testing.TB) string {
	t.Helper()
	want := hostText(t, filepath.Join(root(), "models", models.Guide), guideQuestion, "100")
	if !strings.Contains(want, "/bye") {
		t.Errorf("the guide does not tell how: %q", want)
	}
	return want
}

// greedy makes answers repeatable and 100 tokens long.
func (p *person) greedy() {
	p.say("/set parameter temperature 0")
	p.say("/set parameter num_predict 100")
}

const story = "Once upon a time"

func TestConversation(t *testing.T) { conversation(t, program(t), "") }

// conversation talks to a build of AlphaOS on two evenings, on a drive without a model:
// the guide speaks. Its screenshots' names begin with build.
func conversation(t *testing.T, efi, build string) {
	ctx := needQEMU(t, 5*time.Minute)
	want := guideAnswer(t)
	disk := newDrive(t, drive.Options{EFI: efi})

	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	contains(t, squeeze(p.prompt()), "Note: there is no model on this drive, so the guide talks")
	p.screenshot(build + "start.png")
	logTimes(t, p.vm)
	p.greedy()
	if got := p.ask(guideQuestion); squeeze(got) != squeeze(want) {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.screenshot(build + "chat.png")
	p.typeLine("Please shut down")
	p.expect("All data saved. Goodbye.")
	p.off()
	checkDrive(t, disk)

	p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
	if said := p.prompt(); strings.Contains(said, "ended unexpectedly") {
		t.Errorf("after a proper shutdown: %q", said)
	}
	history := p.say("/history")
	if !strings.Contains(history, guideQuestion) || !strings.Contains(squeeze(history), squeeze(want)) {
		t.Errorf("the second boot does not show the first conversation: %q", history)
	}
	// What the model remembered was saved at shutdown: it need not read again.
	var used, of int
	info := p.say("/show info")
	if _, after, ok := strings.Cut(info, "context         "); ok {
		fmt.Sscanf(after, "%d of %d", &used, &of)
	}
	if used == 0 {
		t.Errorf("after the second boot nothing of the conversation is in the context: %q", info)
	}
	p.screenshot(build + "second-boot.png")
	p.typeLine("/bye")
	p.expect("All data saved. Goodbye.")
	p.off()
	checkDrive(t, disk)
}

// squeeze makes texts comparable that were wrapped at different columns.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestKeyboard chats on the keyboard of a machine like a Mac: USB keyboard, USB
// drive, large screen. It stops an answer with a key, and leaves with another of
// the ways to say goodbye.
func TestKeyboard(t *testing.T) {
	ctx := needQEMU(t, 5*time.Minute)
	model, want := chatModel(t, story)
	disk := newDrive(t, drive.Options{EFI: program(t), Models: []string{model}})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{
		Disk: disk, Bus: "usb", USBKeyboard: true, Width: 2880, Height: 1800, MemoryMiB: 2048,
	})}
	keys := func(text string) {
		t.Helper()
		if err := p.vm.SendText(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	p.prompt()
	keys("/set parameter temperature 0\n")
	p.prompt()
	keys("/set parameter num_predict 100\n")
	p.prompt()
	keys(story + "\n")
	p.expect("\n")
	if got := answer(t, p.prompt()); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.screenshot("chat-2880x1800.png")

	// An answer that would be long is stopped by Ctrl-C.
	keys("/set parameter num_predict 100000\n")
	p.prompt()
	keys(story + "\n")
	p.expect("alpha> ")
	first := want[:20]
	p.expect(first)
	if err := p.vm.SendKeys(ctx, "ctrl-c"); err != nil {
		t.Fatal(err)
	}
	p.prompt()
	keys("Goodbye\n")
	p.expect("All data saved. Goodbye.")
	p.off()
	checkDrive(t, disk)
}

// TestSmallScreen checks that 800 by 600 reads well: a person looks at the
// screenshot.
func TestSmallScreen(t *testing.T) {
	ctx := needQEMU(t, 3*time.Minute)
	want := guideAnswer(t)
	disk := newDrive(t, drive.Options{EFI: program(t)})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, Bus: "ahci", Width: 800, Height: 600})}
	p.prompt()
	p.greedy()
	if got := p.ask(guideQuestion); squeeze(got) != squeeze(want) {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.screenshot("chat-800x600.png")
	p.typeLine("shut down")
	p.expect("All data saved. Goodbye.")
	p.off()
}

// logTimes prints how long the boot took, on the host's clock.
func logTimes(t testing.TB, vm *ovmf.VM) time.Duration {
	t.Helper()
	handover, ok := vm.SeenAt("BdsDxe: starting ")
	if !ok {
		t.Log("the firmware did not say when it started the program")
		return 0
	}
	prompt, _ := vm.SeenAt("you> ")
	d := prompt.Sub(handover)
	t.Logf("from the firmware's hand-over to the prompt: %v", d.Round(time.Millisecond))
	return d
}
