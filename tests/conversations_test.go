package tests

// What the quick reference promises, acted out: talk, go on with an old conversation, find things, shut down
// by saying so, have the power cut, and find all as it was left.

import (
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/fsck"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// endSteps are what a shutdown shows, in this order.
var endSteps = []string{"Pending writes: ", "Knowledge database: written", "Conversation: ", "Session metadata: saved", "Partitions: closed", "All data saved. Goodbye."}

// leaveByStep says words and sees each step of the shutdown.
func leaveByStep(t *testing.T, p *vmtest.Person, words string) {
	t.Helper()
	p.TypeLine(words)
	said := p.Expect("All data saved. Goodbye.")
	for _, step := range endSteps {
		_, rest, ok := strings.Cut(said, step)
		if !ok {
			t.Errorf("%q does not show %q, or not in its turn: %q", words, step, said)
			continue
		}
		said = rest
	}
	p.Off()
}

// askDatabase has the host's sqlite3 say what is in the database on a drive, after it has checked that.
func askDatabase(t *testing.T, disk, sql string) string {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Fatal("sqlite3 is not installed: tools/install.sh test does it")
	}
	vol, _ := vmtest.Volume(t, disk)
	b, err := iofs.ReadFile(vol, drive.DatabasePath)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "knowledge.db")
	if err := os.WriteFile(file, b, 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sqlite3", file, "PRAGMA integrity_check; "+sql).CombinedOutput()
	said, ok := strings.CutPrefix(string(out), "ok\n")
	if err != nil || !ok {
		t.Fatalf("sqlite3 says %q, %v", out, err)
	}
	return said
}

func TestQuickReference(t *testing.T) {
	vmtest.NeedQEMU(t)
	documents := writeDocuments(t, map[string]string{
		"boiler.md": "# Boiler\nThe boiler is a Vaillant.\n\n## Service\nThe circulation pump was replaced under warranty on 2024-11-08.\n",
		"parts.csv": "Article,Price\nXC23,4.50\nXC24,7.20\n",
		"scan.jpg":  "no text",
	})
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Config: []byte(`{"wait": 4}`), Documents: documents}) // the guide talks
	const first, second = guideQuestion, "What is AlphaOS?"

	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb"})
	vmtest.Contains(t, p.Expect(vmtest.Manager), ">  1  Start AlphaOS", "2  Safe Mode", "3  Verbose", "5  Shut down",
		"Memory: ", "Last: this is the first session on this drive", "That comes by itself in 4 s; ")
	if err := p.VM.SendKeys(t.Context(), "down", "up"); err != nil { // which stops the clock
		t.Fatal(err)
	}
	p.Expect("Model: none yet: the built-in guide talks") // and is loaded meanwhile
	p.Screenshot("startup.png")
	if err := p.VM.SendKeys(t.Context(), "ret"); err != nil {
		t.Fatal(err)
	}
	vmtest.Contains(t, p.Prompt(), "\nStart AlphaOS\nThe keyboard is read as a US one", "so the guide talks") // what was said meanwhile comes behind the manager's lines
	p.Greedy(60)
	answer := p.Ask(first)
	again := p.Say("/retry")
	if got := vmtest.Answer(t, again); vmtest.Squeeze(got) != vmtest.Squeeze(answer) {
		t.Errorf("/retry says %q, before it was %q", got, answer)
	}
	vmtest.Contains(t, again, "This is the same answer.")
	p.Say("/new")
	p.Ask(second)
	vmtest.Contains(t, vmtest.Squeeze(p.Say("/conversations")), first+" (2 messages)", second+" (2 messages, this one)")
	vmtest.Contains(t, vmtest.Squeeze(p.Say("/find switch machine")), "in 1 conversation", "you: "+first)
	vmtest.Contains(t, vmtest.Squeeze(p.Say("Show my documents")), "boiler.md (MD, 2 passages)", "parts.csv (CSV, 1 passage)", "scan.jpg (JPG: files of the kind .jpg are not read)")
	vmtest.Contains(t, vmtest.Squeeze(p.Say("/search XC23")), "[1] parts.csv, row 1", "Article: XC23; Price: 4.50")
	vmtest.Contains(t, p.Say("Which documents mention XC23?"), "One document has XC23 in it:\n- parts.csv")
	vmtest.Contains(t, vmtest.Squeeze(p.Say("When was the circulation pump of the boiler replaced?")), "In your documents, which this small model has no room for", "[1] boiler.md, Boiler › Service")
	p.Screenshot("documents.png")
	vmtest.Contains(t, p.Say("/open 1"), "The boiler is a Vaillant.", "replaced under warranty")
	vmtest.Contains(t, p.Say("Remember that the boiler is in the cellar"), "I will remember: the boiler is in the cellar.")
	vmtest.Contains(t, p.Say("/conversations"), "this one")
	vmtest.Contains(t, p.Say("How do I restart nginx?"), "alpha> ") // and does not restart
	p.Screenshot("conversations.png")
	vmtest.Contains(t, vmtest.Squeeze(p.Say("/open 1")), `Conversation 1, "`+first+`"`, "you: "+first)
	vmtest.Contains(t, p.Say("/export"), "2 messages written to /data/backup/")
	p.Screenshot("open.png")
	leaveByStep(t, p, "Please shut down")
	vmtest.CheckDrive(t, disk)
	vol, _ := vmtest.Volume(t, disk)
	list, err := vol.ReadDir("data/backup")
	if err != nil || len(list) != 2 || !strings.HasSuffix(list[0].Name(), "-how-do-i-switch-the-machine-off.md") || !strings.HasSuffix(list[1].Name(), ".jsonl.zst") {
		t.Fatalf("written were %v, %v: want an export and the day's backup", list, err)
	}
	if b, err := iofs.ReadFile(vol, "data/backup/"+list[0].Name()); err != nil || !strings.Contains(string(b), "\n"+first+"\n") || !strings.Contains(vmtest.Squeeze(string(b)), vmtest.Squeeze(answer)) {
		t.Errorf("%q, %v", b, err)
	}

	// A document is put on the drive on another computer, and is read when one looks for it.
	if err := vol.WriteFile("documents/new.txt", []byte("The ladder stands behind the shed.\n")); err != nil {
		t.Fatal(err)
	}
	if err := vol.Sync(); err != nil {
		t.Fatal(err)
	}
	const sql = "SELECT c.id, title, role FROM messages_fts JOIN messages m ON m.id = messages_fts.rowid JOIN conversations c ON c.id = m.conversation WHERE messages_fts MATCH 'switch' AND role = 'user'; SELECT count(*) FROM messages; SELECT text FROM facts; SELECT name FROM documents WHERE chunks > 0 ORDER BY name"
	if got := askDatabase(t, disk, sql); got != "1|"+first+"|user\n10\nthe boiler is in the cellar\nboiler.md\nparts.csv\n" {
		t.Errorf("the database says %q", got)
	}

	// One goes on with the conversation that was opened. Nobody touches a key at the start.
	p = vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb"})
	said := p.Expect("you> ")
	vmtest.Contains(t, said, ", ended properly", "Start AlphaOS\n")
	if strings.Contains(said, "ended unexpectedly") || !strings.Contains(said, "you: "+first) || strings.Contains(said, second) {
		t.Errorf("the second start shows %q", said)
	}
	p.Say("/rename The switch")
	const secret = "My blue locker has the number 4711"
	p.Ask(secret)
	p.TypeLine("forget that")
	vmtest.Contains(t, p.Expect("Forget it? (yes or no) "), `This deletes your last message, "`+secret+`"`)
	p.TypeLine("yes")
	vmtest.Contains(t, p.Prompt(), "Forgotten.")
	leaveByStep(t, p, "Goodbye")

	// The power goes away in an answer, after one conversation was deleted.
	p = vmtest.Boot(t, ovmf.Config{Disk: disk})
	if said := p.Prompt(); strings.Contains(said, "ended unexpectedly") || strings.Contains(said, secret) {
		t.Errorf("the third start shows %q", said)
	}
	vmtest.Contains(t, vmtest.Squeeze(p.Say("Show my conversations.")), "The switch (2 messages, this one)")
	p.TypeLine("/delete 2")
	vmtest.Contains(t, p.Expect("Delete it? (yes or no) "), `This deletes conversation 2, "`+second+`"`)
	p.TypeLine("yes")
	p.Prompt()
	vmtest.Contains(t, p.Say("/search XC23"), "[1] parts.csv, row 1") // from the index
	const last = "How do I keep what I say?"
	p.TypeLine(last)
	p.Expect("alpha> ")
	p.VM.Kill()
	_, volumes := vmtest.Drive(t, disk)
	for _, v := range volumes { // the database may have been written since the start: then the mark of being in use stands
		for _, line := range fsck.Says(t, fsck.Copy(t, v)) {
			if !fsck.Harmless.MatchString(line) {
				t.Errorf("fsck.fat says: %s", line)
			}
		}
	}

	p = vmtest.Boot(t, ovmf.Config{Disk: disk})
	vmtest.Contains(t, p.Expect(vmtest.Manager), "Last: ended unexpectedly; all is kept up to ")
	p.Screenshot("startup-recovery.png")
	said = p.Prompt() // the clock runs down
	if !regexp.MustCompile(`(?m)^Note: Your last session ended unexpectedly\. I've recovered your conversation up to \d+ \w+ \d{4}, \d\d:\d\d:\d\d\.\s*$`).MatchString(said) || !strings.Contains(said, "you: "+last) {
		t.Errorf("after the power cut: %q", said)
	}
	p.Screenshot("recovery-note.png")
	if list := p.Say("/conversations"); strings.Contains(list, second) || !strings.Contains(list, "The switch") {
		t.Errorf("after the power cut the conversations are %q", list)
	}
	vmtest.Contains(t, p.Say("/find nginx"), `Nothing that was said has "nginx".`)
	vmtest.Contains(t, p.Say("/memory"), "the boiler is in the cellar")
	vmtest.Contains(t, p.Say("/search ladder"), "[1] new.txt, line 1")
	leaveByStep(t, p, "/bye")
	vmtest.CheckDrive(t, disk)
	raw, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	absent(t, "the drive", raw, secret)
	if got := askDatabase(t, disk, "SELECT title FROM conversations; SELECT text FROM messages WHERE role = 'user' AND text LIKE '%keep%'"); got != "The switch\n"+last+"\n" {
		t.Errorf("the database says %q", got)
	}
}

// writeDocuments makes files of the host that go on a drive.
func writeDocuments(t *testing.T, content map[string]string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
