package tests

// Ways to start other than the firmware's own: from the UEFI shell and from a boot
// manager, with start options.

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// notBootable writes a file with the headers of an EFI application and nothing to
// start behind them: the firmware passes it over and goes on to its shell.
func notBootable(t testing.TB) string {
	t.Helper()
	b := make([]byte, 1024)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[60:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	le.PutUint16(b[0x84:], 0x8664)
	le.PutUint16(b[0x98:], 0x20b)
	le.PutUint16(b[0x98+68:], 10)
	path := filepath.Join(t.TempDir(), "BOOTX64.EFI")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// chained is where AlphaOS lies when something else is what the firmware starts.
const chained = "EFI/alphaos/alphaos.efi"

// image returns AlphaOS as a file to put there.
func image(t testing.TB) drive.Extra {
	t.Helper()
	content, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	return drive.Extra{Path: chained, Content: content}
}

// TestChained starts AlphaOS from a boot manager that loads it from memory, as
// Limine does with the limine.conf of the documentation.
func TestChained(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	model, want := chatModel(t, story)
	for _, c := range []struct {
		name, missing string
		config        ovmf.Config
	}{
		{"with everything", "", ovmf.Config{}},
		{"without device and file, size in characters, 2 processors", "device,file,bytes", ovmf.Config{CPUs: 2, Bus: "nvme"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			loader, err := buildEFI("chain", "./tests/chain", "-ldflags=-X main.missing="+c.missing)
			if err != nil {
				t.Fatal(err)
			}
			c.config.Disk = newDrive(t, drive.Options{EFI: loader, Models: []string{model}, Extra: []drive.Extra{
				image(t), {Path: "limine.conf", Content: []byte(limineConf(t))},
			}})
			p := &person{t, ctx, boot(t, ctx, c.config)}
			p.expect("chain: starting")
			if said := p.prompt(); !strings.Contains(said, "options from the boot manager: verbose") {
				t.Errorf("not verbose: %q", said)
			}
			p.greedy()
			if got := p.ask(story); got != want {
				t.Errorf("in the machine\n%q\nwant\n%q", got, want)
			}
			p.typeLine("/bye")
			p.expect("All data saved. Goodbye.")
			p.off()
			checkDrive(t, c.config.Disk)
		})
	}
}

// limineConf returns the limine.conf of the documentation, with verbose added to
// its command line.
func limineConf(t testing.TB) string {
	return "/AlphaOS\n    protocol: efi_chainload\n    image_path: boot():/EFI/alphaos/alphaos.efi\n    cmdline: verbose\n"
}
