package tests

// A person's evening: they talk, shut down by asking, come back and find their
// conversation.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/models"
	"alphaos/ovmf"
)

// goldenText returns what llama.cpp says after prompt with a reference model at
// temperature 0, or "" where the reference data is absent.
func goldenText(t testing.TB, model, prompt string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vmtest.Root(), "..", "shared", "data", "golden", "greedy-llama.cpp.json"))
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

// hostText returns what the same engine says on this host, in tokens at the most.
func hostText(t testing.TB, model, prompt string, tokens int) string {
	t.Helper()
	return strings.TrimSpace(vmtest.Command(t, "chat", "-m", model, "-p", prompt, "-n", strconv.Itoa(tokens), "--temp", "0"))
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
	host := hostText(t, model, prompt, 100)
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
	want := hostText(t, filepath.Join(vmtest.Root(), "models", models.Guide), guideQuestion, 100)
	if !strings.Contains(want, "/bye") {
		t.Errorf("the guide does not tell how: %q", want)
	}
	return want
}

const story = "Once upon a time"

func TestConversation(t *testing.T) { conversation(t, vmtest.AlphaOS(t), "") }

// conversation talks to a build of AlphaOS on two evenings, on a drive without a model:
// the guide speaks. Its screenshots' names begin with build.
func conversation(t *testing.T, efi, build string) {
	vmtest.NeedQEMU(t)
	want := guideAnswer(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: efi})

	p := vmtest.Boot(t, ovmf.Config{Disk: disk})
	vmtest.Contains(t, vmtest.Squeeze(p.Prompt()), "Note: there is no model on this drive, so the guide talks")
	p.Screenshot(build + "start.png")
	p.StartTime()
	p.Greedy(100)
	if got := p.Ask(guideQuestion); vmtest.Squeeze(got) != vmtest.Squeeze(want) {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.Screenshot(build + "chat.png")
	p.Say("/set theme day")
	p.Leave("Please shut down")
	vmtest.CheckDrive(t, disk)

	p = vmtest.Boot(t, ovmf.Config{Disk: disk})
	if said := p.Prompt(); strings.Contains(said, "ended unexpectedly") {
		t.Errorf("after a proper shutdown: %q", said)
	}
	ground(t, p, day) // as it was left
	history := p.Say("/history")
	if !strings.Contains(history, guideQuestion) || !strings.Contains(vmtest.Squeeze(history), vmtest.Squeeze(want)) {
		t.Errorf("the second boot does not show the first conversation: %q", history)
	}
	// What the model remembered was saved at shutdown: it need not read again.
	var used, of int
	info := p.Say("/show info")
	if _, after, ok := strings.Cut(info, "context         "); ok {
		fmt.Sscanf(after, "%d of %d", &used, &of)
	}
	if used == 0 {
		t.Errorf("after the second boot nothing of the conversation is in the context: %q", info)
	}
	p.Screenshot(build + "second-boot.png")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}
