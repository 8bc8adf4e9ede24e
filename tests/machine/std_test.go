package machine

// Go's standard library has tests of its own, written to find out whether a
// system carries a Go program. They are compiled here as they are, with one
// file added through an overlay: it links amd64/ in and sets the command line,
// which firmware does not give. The packages run one after another from the
// UEFI shell of one machine, so that each also finds the machine as the one
// before has handed it back.

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
	"alphaos/tools/pe"
)

// stdTest is a package of the standard library whose tests run in the machine.
// Its examples do not: they capture standard output through a pipe.
type stdTest struct {
	path  string
	brief bool   // also in a short run
	tags  string // build tags
	skip  []skip // tests left out
}

// skip names tests, as a regular expression, that cannot work in the machine.
type skip struct{ test, because string }

const (
	readsFiles  = "reads files of Go's source tree"
	startsChild = "starts a child process"
	usesNetwork = "listens on the network"
)

// All of compress/bzip2 is left out: its tests read files of Go's source tree
// before the first begins.
var stdTests = []stdTest{
	{path: "bytes"},
	{path: "compress/flate", skip: []skip{
		{"TestWriteBlock|TestWriteBlockDynamic", readsFiles},
		{"TestDeflateInflateString|TestWriterPersistentWriteError", readsFiles},
	}},
	{path: "compress/gzip", skip: []skip{{"TestIssue6550", readsFiles}}},
	{path: "compress/lzw", skip: []skip{{"TestWriter", readsFiles}}},
	{path: "compress/zlib", skip: []skip{{"TestWriterBig|TestWriterDict|TestWriterReset", readsFiles}}},
	{path: "container/heap", brief: true},
	{path: "container/list", brief: true},
	{path: "container/ring", brief: true},
	{path: "context", brief: true},
	{path: "crypto/sha256"},
	{path: "encoding/binary"},
	{path: "encoding/json", skip: []skip{{"TestHTTPDecoding", usesNetwork}}},
	{path: "errors"},
	{path: "fmt"},
	{path: "hash/crc32"},
	{path: "maps"},
	{path: "math"},
	{path: "math/big", skip: []skip{{"TestLinkerGC", startsChild}}},
	{path: "math/bits"},
	{path: "regexp", skip: []skip{{"TestRE2Search|TestFowler", readsFiles}}},
	{path: "slices", brief: true},
	{path: "sort", brief: true},
	{path: "strconv"},
	{path: "strings"},
	{path: "sync", brief: true, skip: []skip{{"TestIssue76126|TestMutexMisuse", startsChild}}},
	{path: "sync/atomic"},
	{path: "time", tags: "timetzdata", skip: []skip{
		{"TestLoadLocationFromTZData|TestLoadLocationFromTZDataSlim", readsFiles},
		{"TestLongAdjustTimers", "allows itself 60 s, which is too little under emulation"},
	}},
	{path: "unicode/utf8"},
	{path: "unique"},
	{path: "weak"},
	// One of ours: SQLite, which is Go translated from C and keeps memory of its own.
	{path: "alphaos/knowledge/db", brief: true, skip: []skip{
		{"TestStock", startsChild},
		{"TestCuts|TestDamaged|TestDeletedIsGone|TestIncremental|TestKeep|TestKeepStops|TestFull", "takes long under emulation"},
	}},
}

var only = flag.String("std", "", "packages of the standard library to test, with commas between")

// stdSource is the file added to a package's tests.
const stdSource = `package %[1]s_test

import (
	"os"

	"alphaos/amd64"
)

func init() {
	if amd64.Booted() {
		println("std: begin %[2]s")
		amd64.StartProcessors(amd64.Present())
		os.Args = []string{"test", "-test.v=true", "-test.short", "-test.run=^Test", "-test.timeout=0"%[3]s}
	}
}
`

// buildStd returns the EFI application that runs the tests of s.
func buildStd(t *testing.T, s stdTest) []byte {
	root, err := goroot()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(s.path, "/", "-")
	var skips []string
	for _, k := range s.skip {
		skips = append(skips, "^("+k.test+")$")
	}
	flags := ""
	if skips != nil {
		flags = fmt.Sprintf(", %q", "-test.skip="+strings.Join(skips, "|"))
	}
	source := scratchFile(t, name+"_test.go", fmt.Appendf(nil, stdSource, path.Base(s.path), s.path, flags))
	dir := filepath.Join(root, "src", filepath.FromSlash(s.path))
	if own, ok := strings.CutPrefix(s.path, "alphaos/"); ok {
		if dir, err = filepath.Abs(filepath.Join("../..", own)); err != nil {
			t.Fatal(err)
		}
	}
	added := filepath.Join(dir, "alphaos_test.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{added: source}})
	if err != nil {
		t.Fatal(err)
	}
	elf := vmtest.Scratch(name + ".elf")
	defer os.Remove(elf)
	vmtest.Go(t, pe.ForMachine, "test", "-c", "-trimpath", "-buildmode=pie", "-tags", s.tags,
		"-overlay", scratchFile(t, name+".json", overlay), "-o", elf, s.path)
	return vmtest.Pack(t, elf)
}

// scratchFile writes a file for the go command to read.
func scratchFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(vmtest.Scratch(name), content, 0o666); err != nil {
		t.Fatal(err)
	}
	return vmtest.Scratch(name)
}

// goroot names Go's own folder through a link of ours: a toolchain that go has
// fetched by itself is in the module cache, where overlays are refused.
var goroot = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for GOROOT: %w", err)
	}
	link := vmtest.Scratch("goroot")
	if err := os.Symlink(strings.TrimSpace(string(out)), link); err != nil {
		return "", err
	}
	return link, os.Setenv("GOROOT", link)
})

// TestStandardLibrary runs the tests with one processor and with two.
func TestStandardLibrary(t *testing.T) {
	vmtest.NeedQEMU(t)
	var chosen []stdTest
	images := make(map[string][]byte)
	for _, s := range stdTests {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.path) || *only == "" && !*soak && !s.brief {
			continue
		}
		chosen = append(chosen, s)
		images[s.path] = buildStd(t, s)
	}
	hello := program(t, "hello", "-ldflags=-X=main.status=failure")
	for _, cpus := range []int{1, 2} {
		if !*soak && cpus == 1 {
			continue
		}
		t.Run(fmt.Sprintf("%dcpu", cpus), func(t *testing.T) {
			left := chosen
			for boots := 0; len(left) > 0; boots++ {
				if boots == 4 {
					t.Fatalf("%d packages broke the machine: giving up", boots)
				}
				left = runStd(t, cpus, hello, left, images)
			}
		})
	}
}

// runStd boots a machine for the packages in left and returns those it did not
// come to because one broke the machine.
func runStd(t *testing.T, cpus int, hello string, left []stdTest, images map[string][]byte) []stdTest {
	var extra []create.Extra
	script := "@echo -off\r\nfs0:\r\n"
	for i, s := range left {
		file := fmt.Sprintf("std/t%d.efi", i)
		extra = append(extra, create.Extra{Path: file, Content: images[s.path]})
		script += strings.ReplaceAll(file, "/", "\\") + "\r\n"
	}
	script += "echo std: the end\r\n"
	extra = append(extra, create.Extra{Path: "startup.nsh", Content: []byte(script)})
	m := boot(t, ovmf.Config{Disk: vmtest.SmallDrive(t, hello, extra...), CPUs: cpus, MemoryMiB: 2048})
	m.Expect("hello: ")
	m.Expect("startup.nsh")
	m.Type("\n") // any key but Esc ends the countdown
	for i, s := range left {
		alive := true
		t.Run(s.path, func(t *testing.T) {
			alive = false
			if _, _, err := m.Await("std: begin " + s.path + "\n"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			which, got, err := m.Await("\nPASS\n", "\nFAIL\n")
			if err != nil {
				t.Fatal(err)
			}
			alive = true
			if which != 0 {
				t.Fatalf("%s", failures(got))
			}
			t.Logf("%v: %d passed, %d skipped by themselves", time.Since(began).Round(100*time.Millisecond),
				strings.Count(got, "--- PASS"), strings.Count(got, "--- SKIP"))
			for _, k := range s.skip {
				t.Logf("left out: %s, which %s", k.test, k.because)
			}
		})
		if !alive {
			m.VM.Kill()
			return left[i+1:]
		}
	}
	m.Expect("std: the end")
	m.VM.Kill()
	return nil
}

// failures cuts the failed tests out of verbose output.
func failures(out string) string {
	at := strings.Index(out, "--- FAIL")
	if at < 0 {
		return vmtest.Tail(out, 4000)
	}
	return vmtest.Tail(out[max(0, at-2000):], 6000)
}
