package tests

// The plug is pulled at any moment while documents are written and reports are saved, on disks that are slow
// to write.

import (
	"flag"
	"fmt"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/internal/fsck"
	"alphaos/internal/vmtest"
	"alphaos/knowledge"
	"alphaos/ovmf"
	"alphaos/tests/churn/steps"
)

var kills = flag.Int("kills", 0, "how often TestKills pulls the plug")

// TestKills pulls the plug while a program changes documents as fast as it can and, on another machine, in a
// conversation in which reports are saved: both at once, until it was pulled so many times in all. Each time
// fsck.fat finds nothing worse in the volumes than a dirty bit and clusters that nobody has, our own repair leaves
// nothing for it to find, and what was acknowledged is there.
func TestKills(t *testing.T) {
	if *kills == 0 {
		t.Skip("boots many times: run with -kills 200")
	}
	vmtest.NeedQEMU(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	model, _ := chatModel(t, story)
	documents := create.Options{EFI: vmtest.EFI(t, "./tests/churn"), Size: 160 << 20}
	notes := map[string]string{} // which are read, and indexed, in the first sessions of a drive
	for i := range 60 {
		notes[fmt.Sprintf("notes-%d.txt", i)] = strings.Repeat(fmt.Sprintf("Note %d tells of the pump number %d and of what it costs. ", i, i*i), 1000)
	}
	talk := create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}, Documents: writeDocuments(t, notes), Size: 200 << 20}
	var pulled atomic.Int64
	for i, kind := range []struct {
		name    string
		dir     string // that is changed
		drive   create.Options
		layouts []string
		pull    func(*killed, *testing.T, ovmf.Config, time.Duration)
		most    time.Duration // until the plug is pulled
	}{
		{"documents", drive.DocumentsDir, documents, []string{"minimal"}, (*killed).churn, 15 * time.Second},
		{"talk", "backup", talk, []string{"full", "minimal"}, (*killed).converse, 30 * time.Second}, // a report takes a while
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			var k killed
			for n := 0; pulled.Add(1) <= int64(*kills); n++ {
				if n%5 == 0 { // else it would fill up
					kind.drive.Journal, kind.drive.Layout = 1<<20, kind.layouts[n/5%len(kind.layouts)]
					k = killed{disk: vmtest.NewDrive(t, kind.drive), dir: kind.dir, files: map[string]string{}}
				}
				bus, rate := []string{"virtio", "ahci", "nvme", "usb"}[r.IntN(4)], 64<<10<<r.IntN(8)
				after := time.Duration(r.Int64N(int64(kind.most)))
				t.Run(fmt.Sprintf("%d-%s", n+1, bus), func(t *testing.T) {
					kind.pull(&k, t, ovmf.Config{Disk: k.disk, Bus: bus, WriteRate: rate}, after)
					k.sound(t, n%4 == 3)
				})
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// killed is a drive whose plug is pulled.
type killed struct {
	disk  string
	dir   string            // where this changes files
	files map[string]string // that must be there, by logical path
	round int               // of churn

	indexed bool // there is an index of the documents
}

// churn pulls the plug while documents are changed.
func (k *killed) churn(t *testing.T, c ovmf.Config, after time.Duration) {
	p := vmtest.Boot(t, c)
	p.Expect("churn: round ")
	p.Expect("\n")
	time.Sleep(after)
	p.VM.Kill()
	k.round++
	out := p.VM.Output()
	if !strings.Contains(out, fmt.Sprintf("churn: round %d\n", k.round)) || strings.Contains(out, "FAILED") {
		t.Fatalf("round %d: %s", k.round, vmtest.Tail(out, 2000))
	}
	done := 0
	for _, m := range regexp.MustCompile(`churn: did (\d+)\n`).FindAllStringSubmatch(out, -1) {
		done, _ = strconv.Atoi(m[1])
	}
	s := steps.New(k.round)
	for range done {
		s.Next()
	}
	got := k.below(t, k.dir)
	// A step or two may be done that nobody was told of any more.
	var differs string
	for range 4 {
		want := maps.Clone(k.files)
		maps.Copy(want, s.All)
		if maps.Equal(got, want) {
			t.Logf("the plug was pulled after %v and %d steps, of which %d were told, at %d KiB/s", after.Round(time.Millisecond), s.Steps, done, c.WriteRate>>10)
			k.files = got
			if s.Steps == 0 { // the next start finds nothing of this round, and begins it
				k.round--
			}
			return
		}
		if s.Steps == done {
			differs = difference(got, want)
		}
		s.Next()
	}
	t.Errorf("after %d steps: %s", done, differs)
}

func difference(got, want map[string]string) (s string) {
	for name, b := range want {
		if g, ok := got[name]; !ok {
			s += fmt.Sprintf("%s is lost; ", name)
		} else if g != b {
			s += fmt.Sprintf("%s has %d bytes that are not the %d expected; ", name, len(g), len(b))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			s += fmt.Sprintf("%s should not be there; ", name)
		}
	}
	return s
}

// converse pulls the plug in a conversation in which reports are saved.
func (k *killed) converse(t *testing.T, c ovmf.Config, after time.Duration) {
	p := vmtest.Boot(t, c)
	p.Prompt()
	var asked, reports []string
	on := true
	say := func(line string, waits ...string) (said string) {
		if on = on && p.VM.Type(line+"\n") == nil; !on {
			return ""
		}
		for _, w := range waits {
			_, got, err := p.Await(w)
			if on = on && err == nil; on {
				said += got
			}
		}
		return said
	}
	say("/clear", "you> ")
	say("/set parameter num_predict 30", "you> ")
	if k.indexed { // else the plug is pulled while they are read
		say("/search pump", "/open N", "you> ")
	}
	time.AfterFunc(after, p.VM.Kill)
	for i := 1; on; i++ {
		say("/documents scan", "Read now", "you> ")
		question := fmt.Sprintf("This is question %d.", i)
		if say(question, "alpha> "); on {
			asked = append(asked, question)
		}
		say("", "you> ")
		if m := regexp.MustCompile(`saved on the drive as (\S+\.txt)`).FindStringSubmatch(say("/report", "It tells of this machine", "you> ")); m != nil {
			reports = append(reports, m[1])
		}
	}
	if strings.Contains(p.VM.Output(), "had to stop") {
		t.Fatal(vmtest.Tail(p.VM.Output(), 3000))
	}
	t.Logf("the plug was pulled after %v, %d questions and %d reports, at %d KiB/s", after.Round(time.Millisecond), len(asked), len(reports), c.WriteRate>>10)
	d, _ := vmtest.Drive(t, k.disk)
	s, _, err := d.OpenJournal(nil)
	if err != nil {
		t.Fatal(err)
	}
	var saved []string
	for _, m := range s.Conversation() {
		saved = append(saved, m.Text)
	}
	for _, question := range asked {
		if !slices.Contains(saved, question) {
			t.Errorf("%q is lost: the journal has %q", question, saved)
		}
	}
	if f, err := d.Open(drive.IndexPath); err == nil { // there whole, or not at all
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := knowledge.Load(f, info.Size(), nil, ""); err != nil {
			t.Errorf("the index of %d bytes: %v", info.Size(), err)
		}
		k.indexed = true
	}
	got := k.below(t, "backup")
	for name, b := range k.files {
		if got[name] != b {
			t.Errorf("%s of an earlier session is another", name)
		}
	}
	for _, report := range reports {
		if whole := slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool {
			return strings.HasSuffix(report, name[strings.LastIndexByte(name, '/')+1:]) && strings.Contains(got[name], "AlphaOS")
		}); !whole {
			t.Errorf("%s was saved, and is not there", report)
		}
	}
	k.files = got
}

// below returns the files in a directory of the drive, by logical path.
func (k *killed) below(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	d, _ := vmtest.Drive(t, k.disk)
	if err := iofs.WalkDir(d, dir, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := iofs.ReadFile(d, path)
		all[path] = string(b)
		return err
	}); err != nil {
		t.Errorf("the files of the drive cannot be read: %v", err)
	}
	return all
}

// sound has fsck.fat judge the volumes as they are and after our repair of a copy, or of the drive itself.
func (k *killed) sound(t *testing.T, repair bool) {
	t.Helper()
	_, volumes := vmtest.Drive(t, k.disk)
	for _, v := range volumes {
		img := fsck.Copy(t, v)
		for _, line := range fsck.Says(t, img) {
			if !fsck.Harmless.MatchString(line) {
				t.Errorf("fsck.fat of volume %d: %s", v.Index, line)
			}
		}
		var dev fs.BlockDevice = v
		if !repair {
			copied, err := fs.OpenFileDevice(img, v.BlockSize(), true)
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			dev = copied
		}
		report, err := fat.Check(dev, fat.CheckOptions{Repair: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range report.Problems {
			if p.Kind > fat.Lost {
				t.Errorf("our check of volume %d finds: %s", v.Index, p)
			}
		}
		fsck.Sound(t, dev)
		if again, err := fat.Check(dev, fat.CheckOptions{}); err != nil || len(again.Problems) > 0 {
			t.Errorf("after our repair of volume %d: %v, %v", v.Index, err, again)
		}
	}
	if got := k.below(t, k.dir); !maps.Equal(got, k.files) {
		t.Errorf("our repair changed files: %s", difference(got, k.files))
	}
}
