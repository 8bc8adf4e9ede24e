package vmtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/ovmf"
)

// A Person sits in front of a machine. What cannot be done, and what is not
// seen in time, ends the test. VM is for what only few tests need.
type Person struct {
	VM *ovmf.VM

	t    testing.TB
	said heartbeat
}

// heartbeat counts the bytes that the machine has said.
type heartbeat struct{ n atomic.Int64 }

func (h *heartbeat) Write(p []byte) (int, error) {
	h.n.Add(int64(len(p)))
	return len(p), nil
}

// Boot starts a machine that ends with the test. The zero Config but for Disk
// is what most tests want.
func Boot(t testing.TB, c ovmf.Config) *Person {
	t.Helper()
	p := &Person{t: t}
	c.Serial = &p.said
	vm, err := ovmf.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	p.VM = vm
	return p
}

// Patience is for how long a person bears that the machine says nothing: far
// longer than anything takes on a loaded host, so that only what will never
// come is given up.
const Patience = 5 * time.Minute

// breakdowns is what a machine says when something went wrong below the
// program, or when the program died of a panic.
var breakdowns = []string{"AlphaOS had to stop", "The program had to stop", "The program cannot start", "X64 Exception Type"}

// Await waits until the machine has said one of texts, and returns the index of
// the one that came first and all that was said up to its end. The error tells
// that the machine was silent for all of Patience, ended, or broke down, which
// is no error when it is what texts tell of.
func (p *Person) Await(texts ...string) (int, string, error) {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	go func() {
		// Counted in steps, so that a host that was suspended is no silence.
		const steps = 20
		for silent, words := 0, int64(-1); silent < steps && ctx.Err() == nil; silent++ {
			if n := p.said.n.Load(); n != words {
				silent, words = 0, n
			}
			select {
			case <-time.After(Patience / steps):
			case <-ctx.Done():
			}
		}
		cancel()
	}()
	waits := slices.Clone(texts)
	for _, b := range breakdowns {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, b) }) {
			waits = append(waits, b)
		}
	}
	which, got, err := p.VM.ExpectAny(ctx, waits...)
	if err != nil {
		return -1, got, fmt.Errorf("silent for %v or ended: %w", Patience, err)
	}
	if which >= len(texts) {
		// What follows says more.
		rest, stop := context.WithTimeout(context.Background(), 3*time.Second)
		defer stop()
		more, _ := p.VM.Expect(rest, "\x00")
		return -1, got, fmt.Errorf("the machine broke down: %s%s", Tail(got, 3000), more)
	}
	return which, got, nil
}

// ExpectAny is Await for what the test cannot go on without.
func (p *Person) ExpectAny(texts ...string) (int, string) {
	p.t.Helper()
	which, got, err := p.Await(texts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return which, got
}

// Expect waits until the machine has said text, and returns all that was said
// up to its end.
func (p *Person) Expect(text string) string {
	p.t.Helper()
	_, got := p.ExpectAny(text)
	return got
}

// Passes waits until the machine has said good, or bad, which ends the test,
// and returns all that was said before.
func (p *Person) Passes(good, bad string) string {
	p.t.Helper()
	which, got := p.ExpectAny(good, bad)
	if which != 0 {
		p.VM.Expect(p.t.Context(), "\n")
		p.t.Fatal(Tail(p.VM.Output(), 4000))
	}
	return got
}

// Prompt waits until the machine asks, and returns what it said before. The start-up manager, which is there after
// a bad end, is told to go on.
func (p *Person) Prompt() string {
	p.t.Helper()
	which, said := p.ExpectAny("you> ", Manager, managerHeld)
	if which != 0 {
		p.Type("1\n")
		said += p.Expect("you> ")
	}
	return strings.TrimSuffix(said, "you> ")
}

// Manager is what the start-up manager says last, and managerHeld what it says without a clock, after a crash.
const Manager, managerHeld = "any key stops the clock.", "Enter alone takes Start AlphaOS.\n"

// Type types text as it is.
func (p *Person) Type(text string) {
	p.t.Helper()
	if err := p.VM.Type(text); err != nil {
		p.t.Fatal(err)
	}
}

// Sleep waits for a span of the machine's time, which is long on a busy host.
func (p *Person) Sleep(d time.Duration) {
	p.t.Helper()
	if err := p.VM.Sleep(p.t.Context(), d); err != nil {
		p.t.Fatal(err)
	}
}

// TypeLine types a line and waits for its echo to end.
func (p *Person) TypeLine(line string) {
	p.t.Helper()
	p.Type(line + "\n")
	p.Expect("\n")
}

// Say types a line at the prompt and returns all that comes up to the next
// prompt, without the echo of the line.
func (p *Person) Say(line string) string {
	p.t.Helper()
	p.TypeLine(line)
	return p.Prompt()
}

// Ask is Say for a question to the model: it returns the answer alone.
func (p *Person) Ask(line string) string {
	p.t.Helper()
	return Answer(p.t, p.Say(line))
}

// Greedy makes answers repeatable, and tokens long at the most.
func (p *Person) Greedy(tokens int) {
	p.t.Helper()
	p.Say("/set parameter temperature 0")
	p.Say(fmt.Sprintf("/set parameter num_predict %d", tokens))
}

// statistics is the quiet line after an answer.
var statistics = regexp.MustCompile(`(?m)^.*\btok(en)?s?(/s|\b.*\bcontext\b).*$`)

// Answer cuts the answer out of what came between two prompts: without the
// speaker's name and the line of statistics.
func Answer(t testing.TB, said string) string {
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

// Leave says goodbye with the given words and waits until the machine has saved
// everything and switched itself off.
func (p *Person) Leave(words string) {
	p.t.Helper()
	p.TypeLine(words)
	p.Expect("All data saved. Goodbye.")
	p.Off()
}

// Off waits for the machine to switch itself off and checks that it did so
// properly.
func (p *Person) Off() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), Patience)
	defer cancel()
	code, err := p.VM.Wait(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	if code != 0 || p.VM.Reason() != "guest-shutdown" {
		p.t.Fatalf("the machine ended with exit code %d, reason %q; want 0, guest-shutdown\n%s", code, p.VM.Reason(), p.VM.Output())
	}
}

// Screenshot saves the screen for a person to look at.
func (p *Person) Screenshot(name string) {
	p.t.Helper()
	if err := p.VM.Screenshot(p.t.Context(), filepath.Join(os.Getenv("ALPHAOS_SCREENS"), name)); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("screenshot: build/screens/%s", name)
}

// StartTime returns how long it took from the firmware's hand-over to the
// prompt, on the host's clock, and logs it.
func (p *Person) StartTime() time.Duration {
	p.t.Helper()
	handover, ok := p.VM.SeenAt("BdsDxe: starting ")
	if !ok {
		p.t.Log("the firmware did not say when it started the program")
		return 0
	}
	prompt, _ := p.VM.SeenAt("you> ")
	d := prompt.Sub(handover)
	p.t.Logf("from the firmware's hand-over to the prompt: %v", d.Round(time.Millisecond))
	return d
}

// HostCPU returns the share of a host's processor, in percent, that the machine
// uses while it idles for the given time.
func (p *Person) HostCPU(idle time.Duration) float64 {
	p.t.Helper()
	time.Sleep(idle / 2) // until it does idle
	before, began := qemuCPU(p.t), time.Now()
	time.Sleep(idle)
	return 100 * (qemuCPU(p.t) - before).Seconds() / time.Since(began).Seconds()
}

// qemuCPU is the processor time that QEMU, this process's only child, has used.
func qemuCPU(t testing.TB) time.Duration {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): the name in parentheses, then state, ppid, ... utime and stime are 14 and 15.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 13 || f[1] != strconv.Itoa(os.Getpid()) || !bytes.Contains(stat, []byte("(qemu")) {
			continue
		}
		user, err1 := strconv.Atoi(f[11])
		system, err2 := strconv.Atoi(f[12])
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %s", path, stat)
		}
		return time.Duration(user+system) * time.Second / 100
	}
	t.Skip("QEMU's processor time is not to be had here")
	return 0
}

// Numbers reports each number that a program said as a benchmark's metric. The
// line's two groups are its unit and the number; units renames some.
func Numbers(b *testing.B, line *regexp.Regexp, said string, units map[string]string) {
	b.Helper()
	found := line.FindAllStringSubmatch(said, -1)
	if found == nil {
		b.Fatalf("there are no numbers in %q", said)
	}
	for _, m := range found {
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			b.Fatal(err)
		}
		unit, ok := units[m[1]]
		if !ok {
			unit = m[1]
		}
		b.ReportMetric(value, unit)
	}
}

// Contains checks that text has all parts.
func Contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// Squeeze makes texts comparable that were wrapped at different columns.
func Squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// Tail returns the last n bytes of s.
func Tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
