package tests

// What every test needs: the built programs, made once a run, drives, and a
// person at the serial port.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
	"alphaos/tools/pe"
)

// scratch holds what is built once for all tests.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "alphaos-tests-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	if os.Getenv("ALPHAOS_SCREENS") == "" {
		os.Setenv("ALPHAOS_SCREENS", filepath.Join(root(), "build", "screens"))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// root is the repository's folder: tests run in their package's own.
func root() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}

// screens is where screenshots worth looking at are saved.
func screens(name string) string { return filepath.Join(os.Getenv("ALPHAOS_SCREENS"), name) }

// goBuild runs "go build" for the machine or for this host.
func goBuild(env []string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-trimpath"}, args...)...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New("go build " + strings.Join(args, " ") + ": " + err.Error() + "\n" + string(out))
	}
	return nil
}

// buildEFI builds a package into an EFI application, as the Makefile does.
func buildEFI(name, pkg string, flags ...string) (string, error) {
	elf := filepath.Join(scratch, name+".elf")
	args := append([]string{"-buildmode=pie", "-o", elf}, flags...)
	if err := goBuild([]string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}, append(args, pkg)...); err != nil {
		return "", err
	}
	f, err := os.Open(elf)
	if err != nil {
		return "", err
	}
	defer f.Close()
	image, err := pe.Pack(f)
	if err != nil {
		return "", err
	}
	efi := filepath.Join(scratch, name+".EFI")
	return efi, os.WriteFile(efi, image, 0o666)
}

var alphaos = sync.OnceValues(func() (string, error) { return buildEFI("BOOTX64", ".") })

// hostTool builds the host command.
var hostTool = sync.OnceValues(func() (string, error) {
	tool := filepath.Join(scratch, "alphaos")
	return tool, goBuild(nil, "-o", tool, "./tools/alphaos")
})

// needQEMU skips the test where it cannot boot a machine, and returns a
// context that ends with the test, or after limit.
func needQEMU(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("boots QEMU: skipped by -short")
	}
	if _, err := ovmf.Program(); err != nil {
		t.Skip(err)
	}
	if _, err := ovmf.Find(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// program returns BOOTX64.EFI.
func program(t testing.TB) string {
	t.Helper()
	efi, err := alphaos()
	if err != nil {
		t.Fatal(err)
	}
	return efi
}

// newDrive makes a drive image that lasts as long as the test.
func newDrive(t testing.TB, o drive.Options) string {
	t.Helper()
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "drive.img")
	}
	if _, err := drive.Create(o); err != nil {
		t.Fatal(err)
	}
	return o.Out
}

// boot starts a machine that ends with the test. The zero Config but for Disk
// is what most tests want.
func boot(t testing.TB, ctx context.Context, c ovmf.Config) *ovmf.VM {
	t.Helper()
	vm, err := ovmf.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return vm
}

// person is someone at a machine's serial port.
type person struct {
	t   testing.TB
	ctx context.Context
	vm  *ovmf.VM
}

// patience is how long a person waits for any one thing: far longer than it
// takes on a loaded host, so that only what will never come is given up.
const patience = 3 * time.Minute

func (p *person) expect(text string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := p.vm.Expect(ctx, text)
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

// prompt waits until the machine asks, and returns what it said before.
func (p *person) prompt() string {
	p.t.Helper()
	return strings.TrimSuffix(p.expect("you> "), "you> ")
}

// say types a line at the prompt and returns all that comes up to the next
// prompt, without the echo of the line.
func (p *person) say(line string) string {
	p.t.Helper()
	p.typeLine(line)
	return p.prompt()
}

// typeLine types a line and waits for its echo to end.
func (p *person) typeLine(line string) {
	p.t.Helper()
	if err := p.vm.Type(line + "\n"); err != nil {
		p.t.Fatal(err)
	}
	p.expect("\n")
}

// ask is say for a question to the model: it returns the answer alone, without
// the speaker's name and the line of statistics.
func (p *person) ask(line string) string {
	p.t.Helper()
	return answer(p.t, p.say(line))
}

// statistics is the quiet line after an answer.
var statistics = regexp.MustCompile(`(?m)^.*\btok(en)?s?(/s|\b.*\bcontext\b).*$`)

// answer cuts the answer out of what came between two prompts.
func answer(t testing.TB, said string) string {
	t.Helper()
	_, after, ok := strings.Cut(said, "alpha> ")
	if !ok {
		t.Fatalf("no answer begins with %q: %q", "alpha> ", said)
	}
	if at := statistics.FindStringIndex(after); at != nil {
		after = after[:at[0]]
	}
	return strings.TrimSpace(after)
}

// off waits for the machine to switch itself off and checks that it did so
// properly.
func (p *person) off() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	code, err := p.vm.Wait(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	if code != 0 || p.vm.Reason() != "guest-shutdown" {
		p.t.Fatalf("the machine ended with exit code %d, reason %q; want 0, guest-shutdown\n%s", code, p.vm.Reason(), p.vm.Output())
	}
}

// screenshot saves the screen for a person to look at.
func (p *person) screenshot(name string) {
	p.t.Helper()
	if err := p.vm.Screenshot(p.ctx, screens(name)); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("screenshot: build/screens/%s", name)
}

// run runs a program and returns its standard output.
func run(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}
