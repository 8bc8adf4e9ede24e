package amd64

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKernelCallsOnlyWhatItMay disassembles the kernel and follows its calls from the
// ways in: whatever it reaches in the runtime must not need a goroutine.
func TestKernelCallsOnlyWhatItMay(t *testing.T) {
	allowed := map[string]bool{
		"runtime.memmove":              true,
		"runtime.memclrNoHeapPointers": true,
		"runtime.duffzero":             true,
		"runtime.duffcopy":             true,
		// Broken invariants: they fault, and the fault is reported as a crash.
		"runtime.panicBounds":      true,
		"runtime.panicIndex":       true,
		"runtime.panicIndexU":      true,
		"runtime.panicSliceAcap":   true,
		"runtime.panicSliceAlen":   true,
		"runtime.panicSliceB":      true,
		"runtime.panicdivide":      true,
		"runtime.panicshift":       true,
		"runtime.panicmem":         true,
		"runtime.goPanicIndex":     true,
		"runtime.morestack_noctxt": true, // never taken: the kernel's g has no limit
		"runtime.morestack":        true,
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program.elf")
	src := filepath.Join(dir, "main.go")
	writeFile(src, "package main\n\nimport \"alphaos/amd64\"\n\nfunc main() { println(amd64.Booted()) }\n", t)
	build := exec.Command("go", "build", "-buildmode=pie", "-o", program, src)
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command("go", "tool", "objdump", "-s", `^alphaos/amd64(/paging)?\.`, program).Output()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	text := regexp.MustCompile(`^TEXT (\S+?)(\(SB\))? `)
	target := regexp.MustCompile(`\b(?:CALL|JMP)\s+(\S+?)\(SB\)`)
	indirect := regexp.MustCompile(`\bCALL\s+(\S+)`)
	current := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := text.FindStringSubmatch(line); m != nil {
			current = strings.TrimSuffix(m[1], ".abi0")
			calls[current] = append(calls[current], []string{}...)
			continue
		}
		if m := target.FindStringSubmatch(line); m != nil {
			calls[current] = append(calls[current], strings.TrimSuffix(m[1], ".abi0"))
		} else if m := indirect.FindStringSubmatch(line); m != nil && current != "alphaos/amd64.gate" {
			calls[current] = append(calls[current], "through "+m[1])
		}
	}
	// The ways in, from assembly.
	queue := []string{"alphaos/amd64.kmain", "alphaos/amd64.apMain", "alphaos/amd64.trap", "alphaos/amd64.faultInside"}
	seen := map[string]string{}
	for _, f := range queue {
		seen[f] = "entry"
	}
	for len(queue) > 0 {
		f := queue[0]
		queue = queue[1:]
		if _, ok := calls[f]; !ok {
			t.Fatalf("%s is not in the disassembly", f)
		}
		for _, c := range calls[f] {
			if _, ok := seen[c]; ok || c == "_rt0_amd64_linux" {
				continue
			}
			seen[c] = f
			if strings.HasPrefix(c, "alphaos/amd64.") || strings.HasPrefix(c, "alphaos/amd64/paging.") {
				queue = append(queue, c)
			} else if !allowed[c] {
				t.Errorf("%s, reached from %s, calls %s: kernel code must not", f, seen[f], c)
			}
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d functions found: the disassembly was not understood", len(seen))
	}
}

func writeFile(name, text string, t *testing.T) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
