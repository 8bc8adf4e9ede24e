package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/internal/petest"
	"alphaos/llm/gguf"
)

// driveRun runs "drive" with arguments as a person would type them.
func driveRun(args ...string) (string, error) {
	cmd := driveCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestDriveCreate(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	efi := file("BOOTX64.EFI", petest.Application(nil))
	model := func(name string) []byte {
		b, err := gguf.Head([]gguf.KeyValue{{Key: "general.name", Value: name}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := file("a.gguf", model("first")), file("b.gguf", model("second"))
	img := filepath.Join(dir, "alphaos.img")

	t.Setenv("SOURCE_DATE_EPOCH", "1767225600")
	args := []string{"create", img, "--layout", "minimal", "--size", "64M", "--journal", "1M", "--model", a, "--model", b, "--efi", efi}
	out, err := driveRun(args...)
	if err != nil || !strings.Contains(out, "alphaos.img: 64 MiB, 2 models, journal 1 MiB, ") {
		t.Fatalf("said %q, error %v", out, err)
	}
	first, err := os.ReadFile(img)
	if err != nil || len(first) != 64<<20 {
		t.Fatalf("%d bytes, error %v", len(first), err)
	}
	if _, err := driveRun(args...); err == nil || !strings.Contains(err.Error(), "exists; add --yes") {
		t.Errorf("without --yes: %v", err)
	}
	if _, err := driveRun(append(args, "--yes")...); err != nil {
		t.Error(err)
	}
	if second, err := os.ReadFile(img); err != nil || !bytes.Equal(first, second) {
		t.Errorf("with SOURCE_DATE_EPOCH the second image differs, error %v", err)
	}
	if out, err := driveRun("create", img, "--efi", efi, "--yes"); err != nil || !strings.Contains(out, "512 MiB, no model but the guide in the program (add others with --model)") {
		t.Errorf("without --model: said %q, error %v", out, err)
	}
	out, err = driveRun("create", img, "--efi", efi, "--yes", "--layout", "full", "--size", "256M", "--esp", "48M", "--document", a)
	for _, want := range []string{"256 MiB, no model", "\n  ALPHAOS_ESP   48 MiB, ", "\n  ALPHAOS_SYS   128 MiB, ", "\n  ALPHAOSDATA   78 MiB, "} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("a full layout: said %q, not %q, error %v", out, want, err)
		}
	}
	// Files that would not be in the list of models.
	for _, name := range []string{"model.bin", ".hidden.gguf", "UPPER.GGUF"} {
		out, err := driveRun("create", img, "--efi", efi, "--yes", "--model", file(name, model("x")))
		if warned := strings.Contains(out, name+" will not be in the list of models"); err != nil || warned != (name != "UPPER.GGUF") {
			t.Errorf("%s: said %q, error %v", name, out, err)
		}
	}

	for _, c := range []struct {
		want string
		args []string
	}{
		{"name one image file", []string{"create"}},
		{"name one image file", []string{"create", "a", "b"}},
		{"add --efi BOOTX64.EFI", []string{"create", img}},
		{"--size: \"lots\" is not a size", []string{"create", img, "--efi", efi, "--size", "lots"}},
		{"--size: a drive of 0 bytes", []string{"create", img, "--efi", efi, "--size", "0"}},
		{"--journal: \"\" is not a size", []string{"create", img, "--efi", efi, "--journal", ""}},
		{"--journal: a drive needs a journal", []string{"create", img, "--efi", efi, "--journal", "0"}},
		{"layout \"fuller\" is not known", []string{"create", img, "--efi", efi, "--yes", "--layout", "fuller"}},
		{"--esp: \"some\" is not a size", []string{"create", img, "--efi", efi, "--yes", "--esp", "some"}},
		{"--system: a partition of 0 bytes", []string{"create", img, "--efi", efi, "--yes", "--system", "0"}},
		{"--esp and --system are for --layout full", []string{"create", img, "--efi", efi, "--yes", "--esp", "64M"}},
		{"is too small", []string{"create", img, "--efi", efi, "--yes", "--size", "30M"}},
		{"cut.gguf cannot be used: corrupt GGUF file", []string{"create", img, "--efi", efi, "--yes", "--model", file("cut.gguf", model("whole")[:40])}},
		{"no space or full stop at the end", []string{"create", img, "--efi", efi, "--yes", "--model", file("space.gguf ", model("x"))}},
		{"is not a GGUF model", []string{"create", img, "--efi", efi, "--yes", "--model", efi}},
	} {
		if _, err := driveRun(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one about %q", c.args, err, c.want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := driveRun("create", img, "--efi", efi, "--yes"); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("error %v", err)
	}
}
